//! Operators.

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, Record, class};
use crate::Error;
use crate::quote;

/// Reads `pg_operator`.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let rows = cx
        .rows(
            "reading operators",
            "SELECT o.oid, o.oprname, o.oprnamespace, o.oprowner, o.oprkind, \
                    nullif(o.oprcode, 0)::regproc::text AS function, \
                    CASE WHEN o.oprleft <> 0 THEN format_type(o.oprleft, NULL) END AS left_type, \
                    CASE WHEN o.oprright <> 0 THEN format_type(o.oprright, NULL) END AS right_type, \
                    c.oprname AS commutator, cn.nspname AS commutator_schema, \
                    n.oprname AS negator, nn.nspname AS negator_schema, \
                    nullif(o.oprrest, 0)::regproc::text AS restrict, \
                    nullif(o.oprjoin, 0)::regproc::text AS join, \
                    o.oprcanmerge, o.oprcanhash \
             FROM pg_operator o \
             LEFT JOIN pg_operator c ON c.oid = o.oprcom \
             LEFT JOIN pg_namespace cn ON cn.oid = c.oprnamespace \
             LEFT JOIN pg_operator n ON n.oid = o.oprnegate \
             LEFT JOIN pg_namespace nn ON nn.oid = n.oprnamespace \
             WHERE o.oprnamespace <> 'pg_catalog'::regnamespace",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let id = CatalogId { catalog: class::PG_OPERATOR, oid: row.oid("oid")? };
        let namespace = row.oid("oprnamespace")?;
        let mut emit = cx.emit_in(id, namespace)?;
        if emit != Emit::Everything {
            continue; // operators have no grants
        }
        let namespace = cx.namespace(namespace)?.name.clone();
        let schema = quote::quote_ident(&namespace);
        let name = row.text("oprname")?;
        let side = |column: &str| -> Result<String, Error> {
            Ok(row.opt_text(column)?.unwrap_or_else(|| "NONE".to_owned()))
        };
        let signature = format!("{name} ({}, {})", side("left_type")?, side("right_type")?);
        let defn = match row.opt_text("function")? {
            Some(function) => create(&format!("{schema}.{name}"), &function, &row)?,
            // Named as a commutator or negator before anybody made it: making the other one
            // names it again.
            None => {
                emit = Emit::Nothing;
                String::new()
            }
        };
        objects.push(Object {
            owner: Some(cx.role(row.oid("oprowner")?)),
            emit,
            defn: defn.into(),
            drop_stmt: format!("DROP OPERATOR {schema}.{signature};\n"),
            address: Address::new("OPERATOR", format!("{schema}.{signature}"), &signature),
            // Prefix operators come before infix ones.
            order: vec![
                name.clone(),
                if row.char("oprkind")? == 'b' { "2" } else { "1" }.to_owned(),
                signature,
            ],
            namespace: Some(namespace),
            ..Object::new(ObjectId::whole(id), "OPERATOR", name, Section::PreData, Rank::Operator)
        });
    }
    Ok(objects)
}

fn create(qualified: &str, function: &str, row: &Record) -> Result<String, Error> {
    let mut options = vec![format!("FUNCTION = {function}")];
    for (option, column) in [("LEFTARG", "left_type"), ("RIGHTARG", "right_type")] {
        options.extend(row.opt_text(column)?.map(|name| format!("{option} = {name}")));
    }
    for (option, column, schema) in [
        ("COMMUTATOR", "commutator", "commutator_schema"),
        ("NEGATOR", "negator", "negator_schema"),
    ] {
        if let (Some(name), Some(schema)) = (row.opt_text(column)?, row.opt_text(schema)?) {
            let schema = quote::quote_ident(&schema);
            options.push(format!("{option} = OPERATOR({schema}.{name})"));
        }
    }
    for (option, column) in [("MERGES", "oprcanmerge"), ("HASHES", "oprcanhash")] {
        if row.bool(column)? {
            options.push(option.to_owned());
        }
    }
    for (option, column) in [("RESTRICT", "restrict"), ("JOIN", "join")] {
        options.extend(row.opt_text(column)?.map(|name| format!("{option} = {name}")));
    }
    Ok(format!("CREATE OPERATOR {qualified} (\n    {}\n);\n", options.join(",\n    ")))
}
