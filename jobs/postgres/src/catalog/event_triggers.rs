//! Event triggers.

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, class};
use crate::Error;
use crate::quote;

/// Reads `pg_event_trigger`.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let rows = cx
        .rows(
            "reading event triggers",
            "SELECT oid, evtname, evtevent, evtowner, evtenabled, evttags, \
                    evtfoid::regproc::text AS function \
             FROM pg_event_trigger",
        )
        .await?;
    let mut objects = Vec::new();
    for row in rows {
        let id = CatalogId { catalog: class::PG_EVENT_TRIGGER, oid: row.oid("oid")? };
        if cx.emit_global(id) != Emit::Everything {
            continue; // event triggers have no grants
        }
        let name = row.text("evtname")?;
        let quoted = quote::quote_ident(&name);
        let mut defn = format!(
            "CREATE EVENT TRIGGER {quoted} ON {}",
            quote::quote_ident(&row.text("evtevent")?)
        );
        let tags = row.texts("evttags")?;
        if !tags.is_empty() {
            let tags: Vec<String> = tags.iter().map(|tag| quote::quote_literal(tag)).collect();
            defn.push_str(&format!("\n         WHEN TAG IN ({})", tags.join(", ")));
        }
        defn.push_str(&format!("\n   EXECUTE FUNCTION {}();\n", row.text("function")?));
        let state = match row.char("evtenabled")? {
            'O' => None,
            'D' => Some("DISABLE"),
            'A' => Some("ENABLE ALWAYS"),
            'R' => Some("ENABLE REPLICA"),
            other => {
                return Err(Error::Refused {
                    what: format!("event trigger {name:?} has unknown state {other:?}"),
                    hint: "dump this database with its server's own pg_dump".into(),
                });
            }
        };
        if let Some(state) = state {
            defn.push_str(&format!("\nALTER EVENT TRIGGER {quoted} {state};\n"));
        }
        objects.push(Object {
            owner: Some(cx.role(row.oid("evtowner")?)),
            defn: defn.into(),
            drop_stmt: format!("DROP EVENT TRIGGER {quoted};\n"),
            address: Address::new("EVENT TRIGGER", &quoted, &quoted),
            ..Object::new(
                ObjectId::whole(id),
                "EVENT TRIGGER",
                name,
                Section::PostData,
                Rank::EventTrigger,
            )
        });
    }
    Ok(objects)
}
