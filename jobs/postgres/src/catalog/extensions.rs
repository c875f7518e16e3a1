//! Extensions. Their members are left to `CREATE EXTENSION`, but for changed grants.

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, class};
use crate::Error;
use crate::quote;

/// Reads `pg_extension`.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let rows = cx
        .rows(
            "reading extensions",
            "SELECT x.oid, x.extname, n.nspname \
             FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let id = CatalogId { catalog: class::PG_EXTENSION, oid: row.oid("oid")? };
        let name = row.text("extname")?;
        let quoted = quote::quote_ident(&name);
        let schema = quote::quote_ident(&row.text("nspname")?);
        // An extension has no grants of its own: what initdb made (plpgsql) is not emitted.
        let emit = match cx.emit_global(id) {
            Emit::Everything => Emit::Everything,
            _ => Emit::Nothing,
        };
        objects.push(Object {
            emit,
            // No version: the target's default is the one that its server has scripts for.
            defn: format!("CREATE EXTENSION IF NOT EXISTS {quoted} WITH SCHEMA {schema};\n").into(),
            drop_stmt: format!("DROP EXTENSION {quoted};\n"),
            address: Address::new("EXTENSION", &quoted, &quoted),
            ..Object::new(ObjectId::whole(id), "EXTENSION", name, Section::PreData, Rank::Extension)
        });
    }
    Ok(objects)
}
