//! The restores of a drill, each judged: damage is a failure, a scratch that does not do is not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use futures::StreamExt;
use pgarchive::{ArchiveSource, ByteStream, SourceFile, StreamError};
use postgres::restore::{ExpectedTable, Prepare, RestoreOptions};
use vault::manifest::{Database, Manifest};

use super::inspect::Restored;
use super::scratch::{Identity, Scratch};
use super::{DrillDatabase, Gathered, complaint};
use crate::drill::{Check, CheckResult};
use crate::restore::open;
use crate::{Context, Error, StoreSource, Verdict};

const NAME: &str = "restore";

/// Restores every database that can be.
pub(super) async fn all(
    drill: &DrillDatabase,
    context: &Context,
    manifest: &Manifest,
    scratch: &mut Scratch,
    sources: &BTreeSet<Identity>,
    gathered: &mut Gathered,
) -> Result<Vec<Restored>, Error> {
    let mut restored = Vec::new();
    for database in &manifest.databases {
        context.go_on()?;
        match one(drill, context, manifest, database, scratch, sources, gathered).await {
            Ok(done) => {
                let check = Check::new(NAME, CheckResult::Pass).about(&database.name);
                gathered.checks.push(check.expected("every entry of the archive goes in"));
                restored.push(done);
            }
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) if error.is_of_the_store() && error.verdict() != Verdict::Damaged => {
                return Err(error);
            }
            Err(error) => {
                let (result, why) = (judge(&error), complaint(&error));
                let check = Check::new(NAME, result).about(&database.name).found(why);
                gathered.checks.push(check.names(damaged(&error)));
            }
        }
    }
    Ok(restored)
}

async fn one(
    drill: &DrillDatabase,
    context: &Context,
    manifest: &Manifest,
    database: &Database,
    scratch: &mut Scratch,
    sources: &BTreeSet<Identity>,
    gathered: &mut Gathered,
) -> Result<Restored, Error> {
    if database.format == "plain" {
        return Err(Error::Refused {
            what: "it was exported as an SQL script, which a drill does not restore".into(),
            hint: "export with --format directory".into(),
        });
    }
    let (source, toc) = open(context, manifest, database).await?;
    let waited = Arc::new(AtomicU64::new(0));
    let timed = Arc::new(Timed { source: source.clone(), waited: waited.clone() });
    let info = scratch.next(sources)?;
    scratch.make_roles(&postgres::restore::roles(&toc)).await?;
    let mut options = RestoreOptions {
        jobs: drill.jobs,
        prepare: Prepare::Create,
        no_tablespaces: true,
        // What is in the backup is compared with it before anything is changed.
        keep_temporal_state: true,
        ..RestoreOptions::default()
    };
    let failed = |error| Error::database("restore", &database.name, error);
    let fits = postgres::restore::check(source.clone(), toc.clone(), &info, &options).await;
    if let Err(postgres::Error::Refused { .. }) = fits {
        // Owners and grants need roles, which a server that is not the drill's own may lack.
        options.no_owner = true;
        options.no_privileges = true;
        let fits = postgres::restore::check(source.clone(), toc.clone(), &info, &options).await;
        fits.map_err(failed)?;
    } else {
        fits.map_err(failed)?;
    }
    let expected: Vec<ExpectedTable> = database
        .tables
        .iter()
        .map(|table| ExpectedTable {
            schema: table.schema.clone(),
            name: table.name.clone(),
            // What is restored is counted and compared afterwards, table by table.
            rows: table.rows,
        })
        .collect();
    let progress = Arc::new(postgres::progress::Progress::default());
    context.progress.follow("restoring", vec![progress.clone()]);
    let restored = postgres::restore::restore(
        timed,
        toc.clone(),
        &info,
        &options,
        &expected,
        progress,
        context.cancel.clone(),
    );
    let after_rows = match restored.await {
        Ok(restored) => restored.after_rows,
        // Everything went in, and some tables have other rows: the checks say which, and what
        // else is wrong.
        Err(postgres::Error::PartlyRestored { source, .. })
            if matches!(*source, postgres::Error::Rows { .. }) =>
        {
            std::time::Duration::ZERO
        }
        Err(error) => return Err(failed(error)),
    };
    let sessions = drill.jobs.get() as f64;
    let fetch = waited.load(Ordering::Relaxed) as f64 / 1e6 / sessions;
    for (part, seconds) in [("fetch", fetch), ("index", after_rows.as_secs_f64() / sessions)] {
        *gathered.measures.parts.entry(part.into()).or_default() += seconds;
    }
    Ok(Restored { name: database.name.clone(), info, toc, source, owners: !options.no_owner })
}

/// Damage, or a scratch that does not do.
fn judge(error: &Error) -> CheckResult {
    match error.verdict() {
        Verdict::Damaged => return CheckResult::Fail,
        Verdict::Refused => return CheckResult::NotRun,
        _ => {}
    }
    let Error::Database { source, .. } = error else { return CheckResult::NotRun };
    let mut source: &postgres::Error = source;
    while let postgres::Error::PartlyRestored { source: inner, .. } = source {
        source = inner;
    }
    match source {
        // Rows that break a rule (23), that are no values of their type (22), definitions that
        // refer to what is not there (42): the archive does not fit itself. Everything else
        // (no room, no memory, no connection) says nothing about it.
        postgres::Error::Restore { object, source, .. } if !object.starts_with("DATABASE") => {
            let state = source.as_database_error().and_then(|error| error.code());
            match state.as_deref().and_then(|state| state.get(..2)) {
                Some("22" | "23" | "42") => CheckResult::Fail,
                _ => CheckResult::NotRun,
            }
        }
        postgres::Error::Rows { .. } => CheckResult::Fail,
        _ => CheckResult::NotRun,
    }
}

/// The objects that are damaged, by name.
fn damaged(error: &Error) -> Vec<String> {
    match error {
        Error::Damaged { damage, .. } => damage.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

/// Adds up how long a store is waited for.
struct Timed {
    source: Arc<StoreSource>,
    waited: Arc<AtomicU64>,
}

#[async_trait]
impl ArchiveSource for Timed {
    async fn list(&self) -> Result<Vec<SourceFile>, StreamError> {
        self.source.list().await
    }

    async fn open(&self, name: &str) -> Result<ByteStream, StreamError> {
        let add = |waited: &AtomicU64, began: Instant| {
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            waited.fetch_add(micros, Ordering::Relaxed);
        };
        let began = Instant::now();
        let stream = self.source.open(name).await?;
        add(&self.waited, began);
        let waited = self.waited.clone();
        Ok(futures::stream::unfold(stream, move |mut stream| {
            let waited = waited.clone();
            async move {
                let began = Instant::now();
                let next = stream.next().await;
                add(&waited, began);
                next.map(|next| (next, stream))
            }
        })
        .boxed())
    }
}
