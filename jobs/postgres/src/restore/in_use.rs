//! What is in the target may be dropped only where nobody lives on it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Original;
use crate::Error;
use crate::inspect;
use crate::quote::quote_literal;
use crate::session::Session;

/// A session that was closed a moment ago, our own included, is seen a little longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Refuses to drop what is in `database` of the server of `session` while it is the archive's
/// original, or in use.
///
/// # Errors
/// [`Error::Refused`], [`Error::Query`].
pub(super) async fn check(
    session: &mut Session,
    database: &str,
    protect: Option<&Original>,
) -> Result<(), Error> {
    if let Some(original) = protect.filter(|original| original.database == database)
        && inspect::system_identifier(session).await?.as_ref() == Some(&original.system_identifier)
    {
        return Err(Error::Refused {
            what: format!(
                "database {database:?} is the very one that the backup was made of, and would be \
                 overwritten"
            ),
            hint:
                "to restore a copy name another database or server; to put it back in place stop \
                   what uses it (Temporal and its workers) and add --over-source"
                    .to_owned(),
        });
    }
    let begun = Instant::now();
    loop {
        let count = others(session, database).await?;
        if count == 0 {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let plural = if count == 1 { "" } else { "s" };
            return Err(Error::Refused {
                what: format!(
                    "database {database:?} is in use by {count} session{plural}, and what is in it \
                     would be dropped"
                ),
                hint: "stop what uses it (Temporal and its workers) first".to_owned(),
            });
        }
        sleep(PAUSE).await;
    }
}

/// Sessions of others in a database.
async fn others(session: &mut Session, database: &str) -> Result<i64, Error> {
    // The kind of other roles' sessions is hidden from a role that may not see statistics; the
    // server's own workers have no role.
    let sql = format!(
        "SELECT pg_catalog.count(*) AS sessions FROM pg_catalog.pg_stat_activity \
         WHERE datname = {} AND usesysid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid() \
         AND coalesce(backend_type, 'client backend') = 'client backend'",
        quote_literal(database)
    );
    session.row("looking for sessions in the target", &sql).await?.get("sessions")
}
