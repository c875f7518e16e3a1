//! One consistent view of a database, shared by many sessions.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::Error;
use crate::conninfo::ConnInfo;
use crate::plan::DatabaseInfo;
use crate::quote::quote_literal;
use crate::session::{Session, SessionOptions};

/// How often an idle leader should be [kept alive](Snapshot::keep_alive), below the idle
/// limits of common firewalls and load balancers.
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long the server may take to answer a sign of life.
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(60);

/// An exported snapshot. Its leading session holds the transaction (and the locks) open for as
/// long as this lives; [`worker`](Self::worker) sessions see the same rows.
pub struct Snapshot {
    info: ConnInfo,
    options: SessionOptions,
    leader: Session,
    facts: SnapshotInfo,
}

/// What a snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Identifier that other transactions import it by.
    pub id: String,
    /// Write-ahead log position when it was taken: of the last record written, or replayed on
    /// a standby. `None` where the role may not ask.
    pub lsn: Option<String>,
    /// The server's clock when it was taken.
    pub time: DateTime<Utc>,
    /// The cluster's identifier. `None` where the role may not ask.
    pub system_identifier: Option<String>,
    /// Whether the server is in recovery.
    pub standby: bool,
}

impl Snapshot {
    /// Connects and takes a snapshot.
    ///
    /// # Errors
    /// As [`Session::open`]; [`Error::Query`].
    pub async fn open(info: &ConnInfo, options: &SessionOptions) -> Result<Self, Error> {
        let mut leader = Session::open(info, options).await?;
        let doing = "taking a snapshot";
        leader.execute(doing, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        // The first statement takes the snapshot; position and time are read right after.
        let row = leader
            .row(
                doing,
                "SELECT pg_catalog.pg_export_snapshot() AS id, \
                 pg_catalog.pg_is_in_recovery() AS standby, \
                 (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8 AS time, \
                 pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_identify, \
                 pg_catalog.has_function_privilege('pg_catalog.pg_current_wal_lsn()', 'EXECUTE') \
                 AND pg_catalog.has_function_privilege('pg_catalog.pg_last_wal_replay_lsn()', 'EXECUTE') AS may_locate",
            )
            .await?;
        let standby: bool = row.get("standby")?;
        let lsn = if row.get("may_locate")? {
            let function = if standby { "pg_last_wal_replay_lsn" } else { "pg_current_wal_lsn" };
            let sql = format!("SELECT pg_catalog.{function}()::pg_catalog.text AS lsn");
            leader.row(doing, &sql).await?.get("lsn")?
        } else {
            None
        };
        let system_identifier = if row.get("may_identify")? {
            let sql = "SELECT system_identifier::pg_catalog.text AS id FROM pg_catalog.pg_control_system()";
            leader.row(doing, sql).await?.get("id")?
        } else {
            None
        };
        let facts = SnapshotInfo {
            id: row.get("id")?,
            lsn,
            // A server's clock stays within what a date can say.
            time: DateTime::from_timestamp_micros(row.get("time")?).unwrap_or_default(),
            system_identifier,
            standby,
        };
        let info = leader.conninfo().clone();
        Ok(Self { info, options: options.clone(), leader, facts })
    }

    /// What this is a snapshot of.
    pub fn info(&self) -> &SnapshotInfo {
        &self.facts
    }

    /// The database.
    pub fn database(&self) -> &DatabaseInfo {
        self.leader.database_info()
    }

    /// The leading session, inside the transaction: reads made through it see the snapshot.
    pub fn session(&mut self) -> &mut Session {
        &mut self.leader
    }

    /// A further session that sees the same rows.
    ///
    /// # Errors
    /// As [`Session::open`]; [`Error::Refused`] when it reached another server than the leader.
    pub async fn worker(&self) -> Result<Session, Error> {
        self.workers().open().await
    }

    /// What opens further sessions without holding on to the leader.
    pub fn workers(&self) -> Workers {
        Workers {
            info: self.info.clone(),
            options: self.options.clone(),
            id: self.facts.id.clone(),
            started: self.leader.started(),
        }
    }

    /// A sign of life from the leader, so that nothing between it and the server takes the
    /// connection for dead; call it every [`KEEP_ALIVE`] while only workers are busy.
    ///
    /// # Errors
    /// [`Error::Query`] when the server is gone, or does not answer for a minute.
    pub async fn keep_alive(&mut self) -> Result<(), Error> {
        let doing = "keeping the snapshot open";
        match tokio::time::timeout(KEEP_ALIVE_ANSWER, self.leader.execute(doing, "SELECT 1")).await
        {
            Ok(answer) => answer,
            Err(_) => {
                let late =
                    std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer within a minute");
                Err(self.leader.error(doing, sqlx::Error::Io(late)))
            }
        }
    }

    /// Ends the transaction and the session.
    pub async fn close(self) {
        self.leader.close().await;
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("of", &self.info).field("facts", &self.facts).finish()
    }
}

/// Opens sessions on one snapshot, for as long as its leader holds it.
#[derive(Debug, Clone)]
pub struct Workers {
    info: ConnInfo,
    options: SessionOptions,
    id: String,
    started: i64,
}

impl Workers {
    /// A session inside a transaction that sees the snapshot.
    ///
    /// # Errors
    /// As [`Snapshot::worker`].
    pub async fn open(&self) -> Result<Session, Error> {
        let mut session = Session::open(&self.info, &self.options).await?;
        // Behind one name there may be several servers, and a snapshot's identifier may exist
        // on each of them, or again after a restart.
        if session.started() != self.started {
            return Err(Error::Refused {
                what: format!("{} is now another server, or restarted", self.info),
                hint: "all sessions of an export must reach one run of one server: name it directly, not a load balancer, and run again".to_owned(),
            });
        }
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
            quote_literal(&self.id)
        );
        session.execute("joining the snapshot", &sql).await?;
        Ok(session)
    }
}
