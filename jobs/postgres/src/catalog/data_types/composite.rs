//! Stand-alone composite types.

use std::collections::HashMap;

use pgarchive::CatalogId;

use super::{Details, Subjects, collation};
use crate::Error;
use crate::catalog::{Address, Catalog, Described, class};
use crate::quote;

pub(super) async fn read(
    cx: &mut Catalog<'_>,
    subjects: &Subjects,
) -> Result<HashMap<u32, Details>, Error> {
    // A type without attributes has no row in pg_attribute, hence the outer join.
    let rows = cx
        .rows(
            "reading composite types",
            "SELECT t.oid, t.typrelid, a.attnum::int4 AS number, a.attname, \
                    format_type(a.atttypid, a.atttypmod) AS definition, \
                    cn.nspname AS collation_schema, c.collname AS collation \
             FROM pg_type t JOIN pg_class r ON r.oid = t.typrelid AND r.relkind = 'c' \
             LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND NOT a.attisdropped \
             LEFT JOIN pg_type at ON at.oid = a.atttypid \
             LEFT JOIN pg_collation c ON c.oid = a.attcollation AND c.oid <> at.typcollation \
             LEFT JOIN pg_namespace cn ON cn.oid = c.collnamespace \
             ORDER BY t.oid, a.attnum",
        )
        .await?;
    let mut attributes: HashMap<u32, Vec<String>> = HashMap::new();
    let mut details: HashMap<u32, Details> = HashMap::new();
    for row in rows {
        let oid = row.oid("oid")?;
        let Some(subject) = subjects.get(&oid) else { continue };
        let relation = CatalogId { catalog: class::PG_CLASS, oid: row.oid("typrelid")? };
        let detail = details
            .entry(oid)
            .or_insert_with(|| Details { absorbs: vec![relation], ..Details::default() });
        let list = attributes.entry(oid).or_default();
        let Some(name) = row.opt_text("attname")? else { continue };
        let name = quote::quote_ident(&name);
        let mut attribute = format!("\n\t{name} {}", row.text("definition")?);
        if let Some(collation) = collation(&row)? {
            attribute.push_str(&format!(" COLLATE {collation}"));
        }
        list.push(attribute);
        detail.described.push(Described {
            row: relation,
            subid: row.int4("number")?,
            address: Address::new(
                "COLUMN",
                format!("{}.{name}", subject.qualified()),
                format!("{}.{name}", quote::quote_ident(&subject.name)),
            ),
        });
    }
    for (oid, list) in attributes {
        if let (Some(subject), Some(detail)) = (subjects.get(&oid), details.get_mut(&oid)) {
            let defn = format!("CREATE TYPE {} AS ({}\n);\n", subject.qualified(), list.join(","));
            detail.defn = defn.into();
        }
    }
    Ok(details)
}
