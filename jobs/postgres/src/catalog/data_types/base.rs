//! Base types.

use std::collections::HashMap;

use super::{Details, Subjects};
use crate::Error;
use crate::catalog::{Catalog, Record};
use crate::quote;

pub(super) async fn read(
    cx: &mut Catalog<'_>,
    subjects: &Subjects,
) -> Result<HashMap<u32, Details>, Error> {
    let subscript = if cx.at_least(14) {
        "nullif(t.typsubscript, 0)::regproc::text"
    } else {
        "NULL::text" // subscripting functions came with PostgreSQL 14
    };
    let sql = format!(
        "SELECT t.oid, t.typlen, t.typinput::text AS input, t.typoutput::text AS output, \
                nullif(t.typreceive, 0)::regproc::text AS receive, \
                nullif(t.typsend, 0)::regproc::text AS send, \
                nullif(t.typmodin, 0)::regproc::text AS modin, \
                nullif(t.typmodout, 0)::regproc::text AS modout, \
                nullif(t.typanalyze, 0)::regproc::text AS analyze, \
                {subscript} AS subscript, t.typcollation <> 0 AS collatable, \
                pg_get_expr(t.typdefaultbin, 0) AS default_expression, \
                t.typdefault AS default_text, \
                CASE WHEN t.typelem <> 0 THEN format_type(t.typelem, NULL) END AS element, \
                t.typcategory, t.typispreferred, t.typdelim, t.typalign, t.typstorage, \
                t.typbyval \
         FROM pg_type t WHERE t.typtype = 'b' AND t.typisdefined"
    );
    let mut details = HashMap::new();
    for row in cx.rows("reading base types", &sql).await? {
        let oid = row.oid("oid")?;
        let Some(subject) = subjects.get(&oid) else { continue };
        let defn = definition(&subject.qualified(), &row)?;
        details.insert(
            oid,
            Details {
                defn: defn.into(),
                drop_cascades: true,
                has_shell: true,
                ..Details::default()
            },
        );
    }
    Ok(details)
}

fn definition(qualified: &str, row: &Record) -> Result<String, Error> {
    let length = match row.int2("typlen")? {
        -1 => "variable".to_owned(),
        length => length.to_string(),
    };
    let mut defn = format!("CREATE TYPE {qualified} (\n    INTERNALLENGTH = {length}");
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            defn.push_str(&format!(",\n    {name} = {value}"));
        }
    };
    let character = |column: &str, default: char| -> Result<Option<String>, Error> {
        let value = row.char(column)?;
        Ok((value != default).then(|| quote::quote_literal(&value.to_string())))
    };
    let flag = |set: bool| set.then(|| "true".to_owned());
    option("INPUT", Some(row.text("input")?));
    option("OUTPUT", Some(row.text("output")?));
    option("RECEIVE", row.opt_text("receive")?);
    option("SEND", row.opt_text("send")?);
    option("TYPMOD_IN", row.opt_text("modin")?);
    option("TYPMOD_OUT", row.opt_text("modout")?);
    option("ANALYZE", row.opt_text("analyze")?);
    option("COLLATABLE", flag(row.bool("collatable")?));
    let default = match row.opt_text("default_expression")? {
        Some(expression) => Some(expression),
        None => row.opt_text("default_text")?.map(|text| quote::quote_literal(&text)),
    };
    option("DEFAULT", default);
    option("SUBSCRIPT", row.opt_text("subscript")?);
    option("ELEMENT", row.opt_text("element")?);
    option("CATEGORY", character("typcategory", 'U')?);
    option("PREFERRED", flag(row.bool("typispreferred")?));
    option("DELIMITER", character("typdelim", ',')?);
    let alignment = match row.char("typalign")? {
        'c' => "char",
        's' => "int2",
        'i' => "int4",
        'd' => "double",
        other => return Err(unknown(qualified, "alignment", other)),
    };
    option("ALIGNMENT", Some(alignment.to_owned()));
    let storage = match row.char("typstorage")? {
        'p' => "plain",
        'e' => "external",
        'x' => "extended",
        'm' => "main",
        other => return Err(unknown(qualified, "storage", other)),
    };
    option("STORAGE", Some(storage.to_owned()));
    if row.bool("typbyval")? {
        defn.push_str(",\n    PASSEDBYVALUE");
    }
    defn.push_str("\n);\n");
    Ok(defn)
}

fn unknown(qualified: &str, what: &str, code: char) -> Error {
    Error::Refused {
        what: format!("type {qualified} has an unknown {what} {code:?}"),
        hint: "dump this database with its server's own pg_dump".into(),
    }
}
