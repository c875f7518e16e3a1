//! An archive into a database: ours, or any that stock `pg_dump -Fd` wrote.
//!
//! What is wrong with the archive or the target is found before anything is changed, and
//! named. Definitions come first, one after the other; then rows, indexes and constraints go
//! in parallel by the archive's dependencies; grants, event triggers and refreshes come last,
//! as in `pg_restore`. The first error stops everything.

mod archive;
mod data;
mod database;
mod end_marker;
mod in_use;
mod inserts;
mod large_objects;
mod preflight;
mod rows;
mod run;
mod schedule;
mod session;
mod sql;
mod statement;
mod status;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use pgarchive::{ArchiveSource, Toc};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::conninfo::ConnInfo;
use crate::progress::{Phase, Progress};
use crate::temporal_schema::{self, TemporalCopy};
use archive::Archive;
use session::Writer;
use status::Status;

pub use rows::{ExpectedTable, RestoredTable};

/// What to do with the target before the archive goes in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prepare {
    /// The database exists and holds nothing but extensions; anything else is refused.
    #[default]
    RequireEmpty,
    /// Drop what the archive holds, as far as it is there (`--clean`).
    DropArchived,
    /// Create the database, which must not exist (`--create`).
    Create,
    /// Drop the whole database with everything in it if it exists, and create it anew
    /// (`--clean --create`).
    DropDatabaseAndCreate,
}

impl Prepare {
    fn creates(self) -> bool {
        matches!(self, Self::Create | Self::DropDatabaseAndCreate)
    }
}

/// A database by what it is, not by what it is called from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// System identifier of its cluster.
    pub system_identifier: String,
    /// Its name there.
    pub database: String,
}

/// How to restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Sessions that work at once.
    pub jobs: NonZeroUsize,
    /// What becomes of the target before.
    pub prepare: Prepare,
    /// The database that the archive is of, whose content is not to be dropped for this.
    pub protect: Option<Original>,
    /// Leave every object to the role that restores.
    pub no_owner: bool,
    /// Restore neither grants nor default privileges.
    pub no_privileges: bool,
    /// Put everything into the default tablespace.
    pub no_tablespaces: bool,
    /// Try although the target is of an older major version than the archive's server.
    pub unsafe_older_server: bool,
    /// Leave Temporal's cluster membership and schema version as they are in the archive:
    /// for a restore that takes the place of the original.
    pub keep_temporal_state: bool,
    /// Least `maintenance_work_mem` of each session, in KiB; the server's own setting counts
    /// where it is larger.
    pub maintenance_work_mem_kib: u32,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            jobs: NonZeroUsize::new(2).unwrap_or(NonZeroUsize::MIN),
            prepare: Prepare::default(),
            protect: None,
            no_owner: false,
            no_privileges: false,
            no_tablespaces: false,
            unsafe_older_server: false,
            keep_temporal_state: false,
            maintenance_work_mem_kib: 256 * 1024,
        }
    }
}

/// What a restore has put into the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// Database restored into.
    pub database: String,
    /// Rows of each table, in archive order.
    pub tables: Vec<RestoredTable>,
    /// Large objects.
    pub large_objects: u64,
    /// Entries restored, data included.
    pub entries: u64,
    /// Time that indexes, constraints and all that comes after the rows took, added up over the
    /// sessions.
    pub after_rows: Duration,
    /// What was done for Temporal, when this is one of its databases.
    pub temporal: Option<TemporalCopy>,
}

/// Every role that a restore of all of `toc` needs: owners, grantees, and those of policies, user
/// mappings and settings.
pub fn roles(toc: &Toc) -> BTreeSet<String> {
    let options = RestoreOptions { prepare: Prepare::Create, ..RestoreOptions::default() };
    preflight::Requirements::of(toc.entries.iter(), &options).roles()
}

/// Finds out whether the archive behind `source` can go into the database that `target` names, and
/// changes nothing.
///
/// # Errors
/// Those of [`restore`] before anything is changed.
pub async fn check(
    source: Arc<dyn ArchiveSource>,
    toc: Toc,
    target: &ConnInfo,
    options: &RestoreOptions,
) -> Result<(), Error> {
    let archive = Archive::open(source, toc, target, options, &[], Arc::default()).await?;
    database::check(&archive, target).await.map(drop)
}

/// Restores the archive behind `source`, whose table of contents is `toc`, into the database
/// that `target` names. Rows are compared with `expected`, unless that is empty: it names
/// every table whose rows are in the archive.
///
/// # Errors
/// Before anything is changed [`Error::Refused`] for what the target lacks or holds,
/// [`Error::File`] for a data file that is missing; afterwards [`Error::PartlyRestored`]
/// around the first failure, which says in what state the target is left.
pub async fn restore(
    source: Arc<dyn ArchiveSource>,
    toc: Toc,
    target: &ConnInfo,
    options: &RestoreOptions,
    expected: &[ExpectedTable],
    progress: Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Restored, Error> {
    let status = Arc::new(Status::default());
    let work = async {
        // Whatever can be known beforehand is: nothing is changed yet.
        let archive = Arc::new(
            Archive::open(source, toc, target, options, expected, Arc::clone(&progress)).await?,
        );
        let target = database::check(&archive, target).await?;

        progress.enter(Phase::Defining);
        if options.prepare.creates() {
            database::create(&archive, &target, &status).await?;
        }
        let mut leader = Writer::open(&target, &archive.settings, &status).await?;
        if options.prepare == Prepare::DropArchived {
            run::drop_archived(&mut leader, &archive, &status).await?;
        }
        let mut schedule = archive.schedule();
        run::definitions(&mut leader, &archive, &mut schedule, &status).await?;
        progress.enter(Phase::Copying);
        let (mut leader, done) =
            run::in_parallel(leader, &archive, &target, schedule, &status).await?;

        progress.enter(Phase::Finishing);
        // First of all: a copy that is otherwise not as it should be must not join a ring.
        let temporal = match &archive.temporal {
            Some(schema) if !options.keep_temporal_state => {
                Some(temporal_schema::settle(leader.session(), schema, &archive.database).await?)
            }
            _ => None,
        };
        rows::compare(&done.tables, expected, leader.session().database())?;
        let outlook = match &archive.temporal {
            Some(schema) => temporal_schema::outlook(leader.session(), schema, Utc::now()).await?,
            None => None,
        };
        leader.make_durable().await?;
        leader.close().await;
        progress.enter(Phase::Done);
        Ok(Restored {
            database: target.database().to_owned(),
            tables: done.tables,
            large_objects: done.large_objects,
            entries: status.done(),
            after_rows: status.after_rows(),
            temporal: archive.temporal.clone().map(|schema| TemporalCopy {
                schema,
                settled: temporal,
                outlook,
            }),
        })
    };
    let result = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::Cancelled),
        result = work => result,
    };
    match result {
        Ok(restored) => Ok(restored),
        Err(error) => Err(status.give_up(target, error).await),
    }
}
