//! Range types, with the multiranges that come with them.

use std::collections::HashMap;

use super::{Details, Subjects, collation};
use crate::Error;
use crate::catalog::Catalog;
use crate::quote;

pub(super) async fn read(
    cx: &mut Catalog<'_>,
    subjects: &Subjects,
) -> Result<HashMap<u32, Details>, Error> {
    let multirange = if cx.at_least(14) {
        "format_type(r.rngmultitypid, NULL)"
    } else {
        "NULL::text" // multiranges came with PostgreSQL 14
    };
    let sql = format!(
        "SELECT r.rngtypid AS oid, format_type(r.rngsubtype, NULL) AS subtype, \
                {multirange} AS multirange, o.opcdefault, o.opcname, n.nspname AS opcschema, \
                cn.nspname AS collation_schema, c.collname AS collation, \
                nullif(r.rngcanonical, 0)::regproc::text AS canonical, \
                nullif(r.rngsubdiff, 0)::regproc::text AS subdiff \
         FROM pg_range r \
         JOIN pg_type s ON s.oid = r.rngsubtype \
         JOIN pg_opclass o ON o.oid = r.rngsubopc \
         JOIN pg_namespace n ON n.oid = o.opcnamespace \
         LEFT JOIN pg_collation c ON c.oid = r.rngcollation AND c.oid <> s.typcollation \
         LEFT JOIN pg_namespace cn ON cn.oid = c.collnamespace"
    );
    let mut details = HashMap::new();
    for row in cx.rows("reading range types", &sql).await? {
        let oid = row.oid("oid")?;
        let Some(subject) = subjects.get(&oid) else { continue };
        let mut defn = format!("CREATE TYPE {} AS RANGE (", subject.qualified());
        defn.push_str(&format!("\n    subtype = {}", row.text("subtype")?));
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                defn.push_str(&format!(",\n    {name} = {value}"));
            }
        };
        option("multirange_type_name", row.opt_text("multirange")?);
        let class = quote::quote_qualified(&row.text("opcschema")?, &row.text("opcname")?);
        option("subtype_opclass", (!row.bool("opcdefault")?).then_some(class));
        option("collation", collation(&row)?);
        option("canonical", row.opt_text("canonical")?);
        option("subtype_diff", row.opt_text("subdiff")?);
        defn.push_str("\n);\n");
        // The canonical function takes the type it is part of.
        let has_shell = true;
        details.insert(oid, Details { defn: defn.into(), has_shell, ..Details::default() });
    }
    Ok(details)
}
