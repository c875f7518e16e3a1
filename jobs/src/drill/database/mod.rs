//! `drill database`: a backup restored for real into something that is thrown away, and looked at
//! until nothing is left to doubt.

mod boot;
mod compare;
mod digest;
mod histories;
mod inspect;
mod postgres;
mod restore;
mod scratch;
mod temporal;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ::postgres::conninfo::ConnInfo;
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use vault::manifest::{MAX_BYTES, Manifest};
use vault::{hex, read_small};

pub use histories::Sample;
pub use inspect::{Assertion, Restored, inspect};
pub use scratch::Target;

use self::scratch::{Identity, Scratch};
use super::{
    Check, CheckResult, Drilled, Evidence, FORMAT, Kind, Measures, SigningKey, Subject, new_id,
    record,
};
use crate::runner::{Job, Shared};
use crate::{Context, Error, Verdict};

/// Restores a backup into a scratch and checks it.
#[derive(Debug, Clone)]
pub struct DrillDatabase {
    /// An identity, the beginning of one, or `latest`.
    pub id: String,
    /// Where to restore to.
    pub target: Target,
    /// Databases that are backed up: never restored into.
    pub sources: Vec<ConnInfo>,
    /// Sessions that restore and read at once.
    pub jobs: NonZeroUsize,
    /// The operator's own checks.
    pub assertions: Vec<Assertion>,
    /// A Temporal server to start on the copy.
    pub temporal: Option<TemporalServer>,
    /// Signs the evidence.
    pub key: Option<Arc<SigningKey>>,
}

/// A Temporal server that is started on the restored copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporalServer {
    /// The server's program.
    pub binary: PathBuf,
    /// How many closed histories are read from it and compared with the archive.
    pub sample: Sample,
}

/// What a drill gathers on its way.
#[derive(Default)]
pub(super) struct Gathered {
    pub checks: Vec<Check>,
    pub measures: Measures,
    pub versions: BTreeMap<String, String>,
}

impl Gathered {
    /// Adds to the seconds of a part.
    fn spent(&mut self, part: &str, began: Instant) {
        let seconds = began.elapsed().as_secs_f64();
        *self.measures.parts.entry(part.to_owned()).or_default() += seconds;
    }
}

#[async_trait]
impl Job for DrillDatabase {
    type Report = Drilled;
    type Access = Shared;
    const NAME: &'static str = "drill database";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Drilled, Error> {
        let (started, began) = (context.clock.now(), Instant::now());
        let id = context.catalogue.resolve(&self.id).await?;
        let mut gathered = Gathered::default();
        gathered.versions.insert("aidp-backup".into(), env!("CARGO_PKG_VERSION").into());
        let mut subject = Subject { id: id.clone(), digest: None, as_of: None, names: Vec::new() };

        let mut scratch = None;
        if let Some(manifest) = self.manifest(context, &id, &mut subject, &mut gathered).await? {
            let at = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
            let rpo = subject.as_of.map(|time| (started - time).as_seconds_f64().max(0.0));
            gathered.measures.rpo_seconds = rpo.map(at);
            gathered.versions.insert("backup written by".into(), manifest.program_version.clone());
            scratch = self.restore_and_check(context, &manifest, began, &mut gathered).await?;
        }

        let Gathered { checks, measures, versions } = gathered;
        let evidence = Evidence {
            format: FORMAT.into(),
            id: new_id(started),
            kind: Kind::Database,
            verdict: Evidence::judge(&checks),
            started,
            ended: context.clock.now(),
            subject,
            versions,
            scratch,
            checks,
            measures,
        };
        let recorded = record(context, &evidence, self.key.as_deref()).await?;
        Ok(Drilled { evidence, recorded })
    }
}

impl DrillDatabase {
    /// The manifest, checked; `None` when there is nothing that could be restored.
    async fn manifest(
        &self,
        context: &Context,
        id: &str,
        subject: &mut Subject,
        gathered: &mut Gathered,
    ) -> Result<Option<Manifest>, Error> {
        let failed = |why: String| {
            Check::new("manifest", CheckResult::Fail)
                .expected("whole, and of this backup")
                .found(why)
        };
        let store = context.catalogue.store().as_ref();
        if let Some(key) = Manifest::key(id) {
            let bytes = read_small(store, &key, MAX_BYTES as u64).await;
            let bytes = bytes.map_err(vault::Error::from)?;
            subject.digest = Some(hex::encode(&Sha256::digest(&bytes)));
        }
        let manifest = match context.catalogue.load(id).await {
            Ok(manifest) => manifest,
            Err(error @ vault::Error::Manifest { .. }) => {
                let error = Error::from(error);
                let check = match error.verdict() {
                    Verdict::Damaged => failed(crate::chain(&error)),
                    _ => Check::not_run("manifest", crate::chain(&error)),
                };
                gathered.checks.push(check);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        subject.names = manifest.databases.iter().map(|d| d.name.clone()).collect();
        subject.as_of = manifest.databases.iter().map(|d| d.snapshot_time).min();
        let wrong = contradictions(&manifest);
        if let Some(first) = wrong.first() {
            gathered.checks.push(failed(first.clone()).names(wrong.clone()));
            return Ok(None);
        }
        let check = Check::new("manifest", CheckResult::Pass);
        gathered.checks.push(check.expected("whole, and of this backup"));
        for missing in &manifest.failed {
            let why = format!("it is not in this backup: {}", missing.error);
            gathered.checks.push(Check::not_run("restore", why).about(&missing.name));
        }
        Ok(Some(manifest))
    }

    /// Restores every database, looks at all of it, and throws it away.
    async fn restore_and_check(
        &self,
        context: &Context,
        manifest: &Manifest,
        began: Instant,
        gathered: &mut Gathered,
    ) -> Result<Option<super::Scratch>, Error> {
        let sources = self.sources(manifest).await;
        context.progress.begin("preparing the scratch");
        let opening = Scratch::open(&self.target, self.temporal.is_some(), &sources);
        let mut scratch = match stoppable(context, opening).await? {
            Ok(scratch) => scratch,
            Err(error) => {
                gathered.checks.push(Check::not_run("scratch", complaint(&error)));
                return Ok(None);
            }
        };
        let (version, _) = scratch.version();
        gathered.versions.insert("scratch PostgreSQL".into(), version.to_owned());
        for database in &manifest.databases {
            let name = format!("source PostgreSQL of {}", database.name);
            gathered.versions.insert(name, database.server_version.clone());
        }
        let work = self.work(context, manifest, &mut scratch, &sources, began, gathered);
        // Whatever becomes of it, nothing is left behind.
        let outcome = stoppable(context, work).await;
        let described = scratch.close().await;
        let gone = if described.gone { CheckResult::Pass } else { CheckResult::Fail };
        gathered
            .checks
            .push(Check::new("scratch is gone", gone).expected("nothing is left of it").optional());
        outcome??;
        Ok(Some(described))
    }

    async fn work(
        &self,
        context: &Context,
        manifest: &Manifest,
        scratch: &mut Scratch,
        sources: &BTreeSet<Identity>,
        began: Instant,
        gathered: &mut Gathered,
    ) -> Result<(), Error> {
        let restoring = Instant::now();
        let restored = restore::all(self, context, manifest, scratch, sources, gathered).await?;
        gathered.spent("restore", restoring);
        if restored.len() == manifest.databases.len() {
            gathered.measures.rto_seconds = Some(began.elapsed().as_secs_f64());
        }
        let checking = Instant::now();
        let rows = manifest.rows();
        let progress = &context.progress;
        let checks =
            inspect(&restored, manifest, &self.assertions, self.jobs, progress, &context.cancel)
                .await?;
        gathered.checks.extend(checks);
        gathered.checks.extend(temporal::sanity(&restored, manifest).await);
        gathered.spent("checks", checking);
        if let Some(server) = &self.temporal {
            temporal::serve(context, server, &restored, manifest, scratch, gathered).await?;
        }
        gathered.measures.counts.insert("rows".into(), rows);
        gathered.measures.counts.insert("bytes".into(), manifest.stored_bytes());
        Ok(())
    }

    /// Every database that is backed up, by what it is.
    async fn sources(&self, manifest: &Manifest) -> BTreeSet<Identity> {
        let of_backup = manifest.databases.iter().filter_map(|database| {
            let cluster = database.system_identifier.clone()?;
            Some(Identity { cluster, database: database.name.clone() })
        });
        of_backup.chain(scratch::identify(&self.sources).await).collect()
    }
}

/// What a manifest says that cannot be, though its digest is right: one that was put in the
/// place of another.
fn contradictions(manifest: &Manifest) -> Vec<String> {
    let mut wrong = Vec::new();
    let begun = manifest.started.format("%Y%m%dT%H%M%SZ").to_string();
    if !manifest.id.starts_with(&begun) {
        wrong
            .push(format!("it calls itself {} and says that it was begun at {begun}", manifest.id));
    }
    for database in &manifest.databases {
        if !database.location.starts_with(&format!("exports/{}/", manifest.id)) {
            let location = &database.location;
            wrong.push(format!("its database {:?} lies at {location}", database.name));
        }
    }
    wrong
}

/// An error on one line, with what mends it.
pub(super) fn complaint(error: &Error) -> String {
    match error.hint() {
        Some(hint) => format!("{} ({hint})", crate::chain(error)),
        None => crate::chain(error),
    }
}

/// Does something until the drill is told to stop.
async fn stoppable<T>(context: &Context, work: impl Future<Output = T>) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = context.cancel.cancelled() => Err(Error::Cancelled),
        done = work => Ok(done),
    }
}
