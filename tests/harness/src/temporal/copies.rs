//! What must be done to a copy of Temporal's databases before a server is started on it.
//!
//! Two measured traps: a copy whose membership rows are fresh joins the ring of the cluster it was
//! copied from and takes work from it; and a copy's overdue timers fire at once, retention's
//! among them, which deletes the histories that a test wants to look at.

use crate::error::Error;
use crate::postgres::Server;

/// Tables of what a cluster still means to do.
const TASKS: &str = "timer_tasks, transfer_tasks, visibility_tasks, history_immediate_tasks, \
                     history_scheduled_tasks, replication_tasks";

/// Empties the table of ring members in a copy, so that it starts a ring of its own.
///
/// # Errors
/// When the database is none of Temporal's.
pub fn clear_membership(postgres: &Server, database: &str) -> Result<(), Error> {
    postgres.psql(database, "TRUNCATE cluster_membership").map(drop)
}

/// Empties the tables of ring members and of tasks in a copy: it can be looked at, and does
/// nothing by itself.
///
/// # Errors
/// When the database is none of Temporal's.
pub fn freeze(postgres: &Server, database: &str) -> Result<(), Error> {
    clear_membership(postgres, database)?;
    postgres.psql(database, &format!("TRUNCATE {TASKS}")).map(drop)
}
