//! Subscriptions of this database, restored without connecting.

use pgarchive::{CatalogId, Section};

use super::{Address, Catalog, Emit, Object, ObjectId, Rank, Record, class};
use crate::Error;
use crate::quote;

/// Reads `pg_subscription`.
///
/// # Errors
/// [`Error::Refused`] when there are subscriptions and the role may not read how they connect,
/// which only superusers may by default.
pub async fn read(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    if !cx.everything() {
        return Ok(Vec::new());
    }
    let readable = cx
        .row(
            "asking for the right to read subscriptions",
            "SELECT has_column_privilege('pg_subscription', 'subconninfo', 'SELECT') AS readable",
        )
        .await?
        .bool("readable")?;
    if !readable {
        return refuse_unreadable(cx).await;
    }
    let columns = match cx.version {
        170_000.. => {
            "subbinary, substream::text AS streaming, subtwophasestate, subdisableonerr, \
                      subpasswordrequired, subrunasowner, suborigin, subfailover"
        }
        160_000.. => {
            "subbinary, substream::text AS streaming, subtwophasestate, subdisableonerr, \
                      subpasswordrequired, subrunasowner, suborigin, false AS subfailover"
        }
        150_000.. => {
            "subbinary, substream::text AS streaming, subtwophasestate, subdisableonerr, \
                      true AS subpasswordrequired, false AS subrunasowner, 'any' AS suborigin, \
                      false AS subfailover"
        }
        140_000.. => {
            "subbinary, substream::text AS streaming, 'd'::\"char\" AS subtwophasestate, \
                      false AS subdisableonerr, true AS subpasswordrequired, \
                      false AS subrunasowner, 'any' AS suborigin, false AS subfailover"
        }
        _ => {
            "false AS subbinary, 'f' AS streaming, 'd'::\"char\" AS subtwophasestate, \
              false AS subdisableonerr, true AS subpasswordrequired, \
              false AS subrunasowner, 'any' AS suborigin, false AS subfailover"
        }
    };
    let sql = format!(
        "SELECT oid, subname, subowner, subconninfo, subslotname, subsynccommit, \
                subpublications, {columns} \
         FROM pg_subscription WHERE subdbid = {}",
        cx.database_oid
    );
    let mut objects = Vec::new();
    for row in cx.rows("reading subscriptions", &sql).await? {
        let id = CatalogId { catalog: class::PG_SUBSCRIPTION, oid: row.oid("oid")? };
        if cx.emit_global(id) != Emit::Everything {
            continue; // subscriptions have no grants
        }
        let name = row.text("subname")?;
        let quoted = quote::quote_ident(&name);
        objects.push(Object {
            owner: Some(cx.role(row.oid("subowner")?)),
            defn: create(&quoted, &row, cx.version)?.into(),
            drop_stmt: format!("DROP SUBSCRIPTION {quoted};\n"),
            address: Address::new("SUBSCRIPTION", &quoted, &quoted),
            ..Object::new(
                ObjectId::whole(id),
                "SUBSCRIPTION",
                name,
                Section::PostData,
                Rank::Subscription,
            )
        });
    }
    Ok(objects)
}

async fn refuse_unreadable(cx: &mut Catalog<'_>) -> Result<Vec<Object>, Error> {
    let sql = format!(
        "SELECT subname FROM pg_subscription WHERE subdbid = {} ORDER BY subname",
        cx.database_oid
    );
    match cx.rows("listing subscriptions", &sql).await?.first() {
        None => Ok(Vec::new()),
        Some(row) => Err(Error::Refused {
            what: format!(
                "role {:?} may not read how subscription {:?} of database {:?} connects",
                cx.current_role,
                row.text("subname")?,
                cx.database
            ),
            hint: "GRANT pg_read_all_data to the role (PostgreSQL 14 and later), or export as a \
                   superuser"
                .into(),
        }),
    }
}

fn create(quoted: &str, row: &Record, version: i32) -> Result<String, Error> {
    let publications = row.texts("subpublications")?;
    let slot = match row.opt_text("subslotname")? {
        Some(slot) => quote::quote_literal(&slot),
        None => "NONE".to_owned(),
    };
    let mut sql = format!(
        "CREATE SUBSCRIPTION {quoted} CONNECTION {} PUBLICATION {} \
         WITH (connect = false, slot_name = {slot}",
        quote::quote_literal(&row.text("subconninfo")?),
        quote::quote_ident_list(publications.iter().map(String::as_str)),
    );
    if row.bool("subbinary")? {
        sql.push_str(", binary = true");
    }
    // A boolean until PostgreSQL 15. Off is said aloud, because 18 made another default; only
    // 13 does not know the option.
    match row.text("streaming")?.as_str() {
        "t" | "true" => sql.push_str(", streaming = on"),
        "p" => sql.push_str(", streaming = parallel"),
        _ if version >= 140_000 => sql.push_str(", streaming = off"),
        _ => {}
    }
    if row.char("subtwophasestate")? != 'd' {
        sql.push_str(", two_phase = on");
    }
    if row.bool("subdisableonerr")? {
        sql.push_str(", disable_on_error = true");
    }
    if !row.bool("subpasswordrequired")? {
        sql.push_str(", password_required = false");
    }
    if row.bool("subrunasowner")? {
        sql.push_str(", run_as_owner = true");
    }
    if row.bool("subfailover")? {
        sql.push_str(", failover = true");
    }
    let commit = row.text("subsynccommit")?;
    if commit != "off" {
        sql.push_str(&format!(", synchronous_commit = {}", quote::quote_ident(&commit)));
    }
    let origin = row.text("suborigin")?;
    if !origin.eq_ignore_ascii_case("any") {
        sql.push_str(&format!(", origin = {}", quote::quote_ident(&origin)));
    }
    sql.push_str(");\n");
    Ok(sql)
}
