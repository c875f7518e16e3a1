//! Casts and transforms: conversions between types, and between types and languages.

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, class};
use crate::Error;
use crate::quote;

/// SQL for the qualified signature of the function whose OID is `oid`; NULL when it is zero.
fn signature(oid: &str) -> String {
    format!(
        "(SELECT format('%I.%I(%s)', n.nspname, p.proname, \
                 (SELECT string_agg(format_type(t.oid, NULL), ', ' ORDER BY place) \
                  FROM unnest(p.proargtypes) WITH ORDINALITY AS t (oid, place))) \
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = {oid})"
    )
}

/// Reads `pg_cast`. The cast from a range to its multirange comes with the range.
pub async fn read_casts(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let automatic = if cx.at_least(14) {
        "EXISTS (SELECT FROM pg_range r \
                 WHERE r.rngtypid = c.castsource AND r.rngmultitypid = c.casttarget)"
    } else {
        "false"
    };
    let sql = format!(
        "SELECT c.oid, format_type(c.castsource, NULL) AS source, \
                format_type(c.casttarget, NULL) AS target, c.castcontext, c.castmethod, \
                s.typname AS source_name, t.typname AS target_name, {} AS function \
         FROM pg_cast c JOIN pg_type s ON s.oid = c.castsource \
         JOIN pg_type t ON t.oid = c.casttarget \
         WHERE NOT {automatic}",
        signature("c.castfunc")
    );
    let mut objects = Vec::new();
    for row in cx.rows("reading casts", &sql).await? {
        let id = CatalogId { catalog: class::PG_CAST, oid: row.oid("oid")? };
        if cx.emit_global(id) != Emit::Everything {
            continue; // casts have no grants
        }
        let name = format!("({} AS {})", row.text("source")?, row.text("target")?);
        let method = row.char("castmethod")?;
        let how = match (method, row.opt_text("function")?) {
            ('b', _) => "WITHOUT FUNCTION".to_owned(),
            ('i', _) => "WITH INOUT".to_owned(),
            ('f', Some(function)) => format!("WITH FUNCTION {function}"),
            _ => {
                return Err(Error::Refused {
                    what: format!("cast {name} works by unknown method {method:?}"),
                    hint: "dump this database with its server's own pg_dump".into(),
                });
            }
        };
        let context = match row.char("castcontext")? {
            'a' => " AS ASSIGNMENT",
            'i' => " AS IMPLICIT",
            _ => "",
        };
        objects.push(Object {
            tag: format!("CAST {name}"),
            defn: format!("CREATE CAST {name} {how}{context};\n").into(),
            drop_stmt: format!("DROP CAST {name};\n"),
            address: Address::new("CAST", &name, &name),
            ..Object::new(
                ObjectId::whole(id),
                "CAST",
                format!("{} {}", row.text("source_name")?, row.text("target_name")?),
                Section::PreData,
                Rank::Cast,
            )
        });
    }
    Ok(objects)
}

/// Reads `pg_transform`.
pub async fn read_transforms(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let sql = format!(
        "SELECT t.oid, format_type(t.trftype, NULL) AS type, y.typname, l.lanname, \
                {} AS from_sql, {} AS to_sql \
         FROM pg_transform t JOIN pg_type y ON y.oid = t.trftype \
         JOIN pg_language l ON l.oid = t.trflang",
        signature("t.trffromsql"),
        signature("t.trftosql")
    );
    let mut objects = Vec::new();
    for row in cx.rows("reading transforms", &sql).await? {
        let id = CatalogId { catalog: class::PG_TRANSFORM, oid: row.oid("oid")? };
        if cx.emit_global(id) != Emit::Everything {
            continue; // transforms have no grants
        }
        let language = row.text("lanname")?;
        let name = format!("FOR {} LANGUAGE {}", row.text("type")?, quote::quote_ident(&language));
        let mut functions = Vec::new();
        for (clause, column) in [("FROM SQL", "from_sql"), ("TO SQL", "to_sql")] {
            if let Some(function) = row.opt_text(column)? {
                functions.push(format!("{clause} WITH FUNCTION {function}"));
            }
        }
        objects.push(Object {
            tag: format!("TRANSFORM {name}"),
            defn: format!("CREATE TRANSFORM {name} ({});\n", functions.join(", ")).into(),
            drop_stmt: format!("DROP TRANSFORM {name};\n"),
            address: Address::new("TRANSFORM", &name, &name),
            ..Object::new(
                ObjectId::whole(id),
                "TRANSFORM",
                format!("{} {language}", row.text("typname")?),
                Section::PreData,
                Rank::Transform,
            )
        });
    }
    Ok(objects)
}
