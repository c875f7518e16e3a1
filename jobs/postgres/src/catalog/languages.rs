//! Procedural languages that no extension brought.

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, class};
use crate::Error;
use crate::quote;

/// Reads `pg_language`.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let rows = cx
        .rows(
            "reading languages",
            "SELECT oid, lanname, lanowner, lanpltrusted, \
                    lanplcallfoid::regproc::text AS handler, \
                    nullif(laninline, 0)::regproc::text AS inline, \
                    nullif(lanvalidator, 0)::regproc::text AS validator, \
                    lanacl::text[] AS acl, acldefault('l', lanowner)::text[] AS acldefault \
             FROM pg_language WHERE lanispl ORDER BY oid",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let id = CatalogId { catalog: class::PG_LANGUAGE, oid: row.oid("oid")? };
        let emit = cx.emit_global(id);
        if emit == Emit::Nothing {
            continue;
        }
        let name = row.text("lanname")?;
        let quoted = quote::quote_ident(&name);
        let trusted = row.bool("lanpltrusted")?;
        let mut defn = format!(
            "CREATE {}PROCEDURAL LANGUAGE {quoted} HANDLER {}",
            if trusted { "TRUSTED " } else { "" },
            row.text("handler")?
        );
        for (clause, column) in [("INLINE", "inline"), ("VALIDATOR", "validator")] {
            if let Some(function) = row.opt_text(column)? {
                defn.push_str(&format!(" {clause} {function}"));
            }
        }
        defn.push_str(";\n");
        // Nobody can be granted an untrusted language.
        let acls = if trusted { vec![cx.acl("LANGUAGE", &row)?] } else { Vec::new() };
        objects.push(Object {
            owner: Some(cx.role(row.oid("lanowner")?)),
            emit,
            defn: defn.into(),
            drop_stmt: format!("DROP PROCEDURAL LANGUAGE {quoted};\n"),
            address: Address::new("LANGUAGE", &quoted, &quoted),
            acls,
            ..Object::new(
                ObjectId::whole(id),
                "PROCEDURAL LANGUAGE",
                name,
                Section::PreData,
                Rank::Language,
            )
        });
    }
    Ok(objects)
}
