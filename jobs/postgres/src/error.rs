//! What can go wrong between a database and an archive.

use pgarchive::StreamError;

/// A failed export or restore.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection settings make no sense.
    #[error("invalid connection settings: {what}")]
    Settings {
        /// Which setting and why.
        what: String,
        /// What mends it.
        hint: String,
    },
    /// No connection to any of the hosts.
    #[error("cannot connect to {target}")]
    Connect {
        /// Host, port and database, never a password.
        target: String,
        /// What mends it.
        hint: String,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// A query failed.
    #[error("{doing} failed in database {database:?}")]
    Query {
        /// Database name.
        database: String,
        /// What was being done, such as `reading table public.t`.
        doing: String,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// The role may not read something that the export must contain.
    #[error("role {role:?} may not read {object} in database {database:?}")]
    Denied {
        /// Database name.
        database: String,
        /// Role connected as.
        role: String,
        /// Class and name.
        object: String,
    },
    /// A lock could not be had in time.
    #[error("could not lock {object} in database {database:?} within the lock timeout")]
    Locked {
        /// Database name.
        database: String,
        /// Class and name.
        object: String,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// A table is no longer what the snapshot saw.
    #[error("{object} in database {database:?} was {what} while the export began")]
    Changed {
        /// Database name.
        database: String,
        /// Class and name.
        object: String,
        /// `dropped or renamed`, `truncated or rewritten`.
        what: &'static str,
    },
    /// User objects that the export cannot represent.
    #[error("database {database:?} holds objects that this version cannot export: {}", objects.join(", "))]
    Uncovered {
        /// Database name.
        database: String,
        /// Class and name of each, the first few.
        objects: Vec<String>,
    },
    /// Something else that the export or restore refuses.
    #[error("{what}")]
    Refused {
        /// What and why.
        what: String,
        /// What mends it.
        hint: String,
    },
    /// A statement of a restore failed.
    #[error("cannot restore {object}: statement failed: {statement}")]
    Restore {
        /// Class and name of the entry.
        object: String,
        /// The statement, shortened.
        statement: String,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// The archive or its store failed.
    #[error("cannot {doing} {file}")]
    File {
        /// `write` or `read`.
        doing: &'static str,
        /// File name inside the archive.
        file: String,
        /// The store's or the format's own error.
        #[source]
        source: StreamError,
    },
    /// Tables whose rows are not those that the archive's maker counted.
    #[error("rows differ after the restore into database {database:?}: {}", differences.join("; "))]
    Rows {
        /// Database name.
        database: String,
        /// Each difference, the table first.
        differences: Vec<String>,
    },
    /// A restore failed after it had begun to change the target.
    #[error("database {database:?} is left partly restored, with {done} of {total} entries")]
    PartlyRestored {
        /// Database name.
        database: String,
        /// Whether this restore created the database.
        created: bool,
        /// Entries that are in.
        done: u64,
        /// Entries that there are.
        total: u64,
        /// Why it failed.
        #[source]
        source: Box<Error>,
    },
    /// A worker broke down, which is a defect of this program.
    #[error("a worker broke down")]
    Task {
        /// How.
        #[source]
        source: tokio::task::JoinError,
    },
    /// The run was told to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl Error {
    /// Whether this is what became of a run that was told to stop.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Cancelled => true,
            Self::PartlyRestored { source, .. } => source.is_cancelled(),
            _ => false,
        }
    }

    /// What mends it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Settings { hint, .. } | Self::Connect { hint, .. } | Self::Refused { hint, .. } => {
                Some(hint.clone())
            }
            Self::Denied { role, .. } => Some(format!("GRANT pg_read_all_data TO {role:?} (PostgreSQL 14 and later), or grant SELECT on it")),
            Self::Locked { .. } => Some(
                "another session holds a conflicting lock (see pg_locks); try again later or raise --lock-timeout".into(),
            ),
            Self::Changed { .. } => Some(
                "nothing was exported; run again, and a new snapshot sees the table as it is now".into(),
            ),
            Self::Uncovered { .. } => Some(
                "nothing was exported; dump this database with pg_dump until a newer version knows these classes".into(),
            ),
            Self::Query { source, .. } => crate::conninfo::query_hint(source),
            Self::Task { .. } => Some("this is a defect: report it".into()),
            Self::Restore { source, .. } => crate::conninfo::query_hint(source),
            Self::Rows { .. } => Some(
                "the database is whole but for these tables; run verify on this backup to tell damage from a changed archive".into(),
            ),
            Self::PartlyRestored { database, created, source, .. } => {
                let again = if *created {
                    format!("drop database {database:?}, which this restore created, before trying again (or use --clean --create)")
                } else {
                    "before trying again empty the database, or use --clean, which drops what the archive holds".to_owned()
                };
                Some(match source.hint() {
                    Some(hint) => format!("{hint}; {again}"),
                    None => again,
                })
            }
            Self::File { doing: "read" | "find", .. } => {
                Some("run verify on this backup: it names every damaged or missing file".into())
            }
            Self::File { .. } | Self::Cancelled => None,
        }
    }
}
