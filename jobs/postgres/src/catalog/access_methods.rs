//! Access methods of tables and indexes.

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, class};
use crate::Error;
use crate::quote;

/// Reads `pg_am`.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let sql = "SELECT oid, amname, amtype, amhandler::regproc::text AS handler FROM pg_am";
    let mut objects = Vec::new();
    for row in cx.rows("reading access methods", sql).await? {
        let id = CatalogId { catalog: class::PG_AM, oid: row.oid("oid")? };
        if cx.emit_global(id) != Emit::Everything {
            continue; // access methods have no grants
        }
        let name = row.text("amname")?;
        let quoted = quote::quote_ident(&name);
        let class = match row.char("amtype")? {
            'i' => "INDEX",
            't' => "TABLE",
            other => {
                return Err(Error::Refused {
                    what: format!("access method {name:?} is of unknown type {other:?}"),
                    hint: "dump this database with its server's own pg_dump".into(),
                });
            }
        };
        let handler = row.text("handler")?;
        objects.push(Object {
            defn: format!("CREATE ACCESS METHOD {quoted} TYPE {class} HANDLER {handler};\n").into(),
            drop_stmt: format!("DROP ACCESS METHOD {quoted};\n"),
            address: Address::new("ACCESS METHOD", &quoted, &quoted),
            ..Object::new(
                ObjectId::whole(id),
                "ACCESS METHOD",
                name,
                Section::PreData,
                Rank::AccessMethod,
            )
        });
    }
    Ok(objects)
}
