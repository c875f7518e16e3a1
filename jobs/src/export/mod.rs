//! Databases to a published backup.

mod beside;
mod databases;
mod describe;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use pgarchive::Codec;
use postgres::conninfo::ConnInfo;
pub use postgres::export::Format;
use postgres::export::{DataFormat, ExportOptions};
use postgres::selection::Selection;
use postgres::session::SessionOptions;
use serde::Serialize;
use vault::manifest::{FORMAT_VERSION, Kind, Manifest};
use vault::{Key, StoreErrorKind};

use crate::prune::{self, Pruned, Rules};
use crate::runner::{self, Exclusive, Job, Report};
use crate::{Context, Error, StoreSink, Summary, Verdict, group, verify};
use databases::{Copied, Opened, Planned};

/// Exports databases.
#[derive(Debug, Clone)]
pub struct Export {
    /// Which databases.
    pub databases: Vec<ConnInfo>,
    /// Label of the source; the cluster's system identifier when not given.
    pub source: Option<String>,
    /// What of each.
    pub selection: Selection,
    /// How they are connected to.
    pub session: SessionOptions,
    /// Format of the archives.
    pub format: Format,
    /// Form of table data.
    pub data: DataFormat,
    /// Compression.
    pub codec: Codec,
    /// Connections that copy at the same time.
    pub jobs: NonZeroUsize,
    /// What to remove afterwards; nothing when not given.
    pub retention: Option<Rules>,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    /// The backup.
    pub backup: Summary,
    /// What retention did; `None` when it was not asked for, or failed.
    pub pruned: Option<Pruned>,
    /// Why retention failed: the backup is kept all the same.
    pub prune_error: Option<String>,
}

impl Report for Exported {
    fn verdict(&self) -> Verdict {
        let nothing_removed = self
            .pruned
            .as_ref()
            .is_some_and(|pruned| !pruned.unreadable.is_empty() || !pruned.damaged.is_empty());
        if self.backup.failed.is_empty() && self.prune_error.is_none() && !nothing_removed {
            Verdict::Done
        } else {
            Verdict::PartDone
        }
    }

    fn backup(&self) -> Option<&str> {
        Some(&self.backup.id)
    }

    fn group(&self) -> Option<&str> {
        Some(&self.backup.group)
    }

    fn complaint(&self) -> Option<String> {
        let failed = self.backup.failed.iter().map(|f| format!("{}: {}", f.name, f.error));
        let prune = self.prune_error.iter().map(|error| format!("retention: {error}"));
        let damaged = self.pruned.iter().flat_map(|it| it.unreadable.iter().chain(&it.damaged));
        let damaged = damaged.map(|damage| format!("retention: nothing is removed: {damage}"));
        let all: Vec<String> = failed.chain(prune).chain(damaged).collect();
        if all.is_empty() { None } else { Some(all.join("; ")) }
    }
}

#[async_trait]
impl Job for Export {
    type Report = Exported;
    type Access = Exclusive;
    const NAME: &'static str = "export";

    fn recorded_as(&self) -> Option<String> {
        let names: Vec<&str> = self.databases.iter().map(ConnInfo::database).collect();
        let host = self.databases.first()?.hosts().first()?;
        Some(self.source.clone().unwrap_or_else(|| format!("{} at {host}", names.join("+"))))
    }

    fn databases(&self) -> Vec<String> {
        self.databases.iter().map(|info| info.database().to_owned()).collect()
    }

    async fn run(&self, context: &Context, access: &Exclusive) -> Result<Exported, Error> {
        self.refuse_twice()?;
        let started = context.clock.now().trunc_subsecs(3);
        let id = Manifest::new_id(started, rand::random());
        let manifest = match self.make(context, &id, started).await {
            Ok(manifest) => publish(context, access, manifest).await?,
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => {
                discard(context, access, &id).await;
                return Err(error);
            }
        };
        let mut exported =
            Exported { backup: Summary::from(&manifest), pruned: None, prune_error: None };

        // Retention: only now that the new backup is known to be good, and only in its favour.
        if let Some(rules) = &self.retention {
            context.progress.begin("applying retention");
            match prune::apply(rules, context, access.guard(), Some(&id)).await {
                Ok(pruned) => {
                    for damage in pruned.unreadable.iter().chain(&pruned.damaged) {
                        tracing::error!("backup {id} is kept, but nothing is removed: {damage}");
                    }
                    exported.pruned = Some(pruned);
                }
                Err(error) => {
                    let error = crate::chain(&error);
                    tracing::error!("backup {id} is kept, but retention failed: {error}");
                    exported.prune_error = Some(error);
                }
            }
        }
        Ok(exported)
    }
}

impl Export {
    /// Everything before the commit.
    async fn make(
        &self,
        context: &Context,
        id: &str,
        started: DateTime<Utc>,
    ) -> Result<Manifest, Error> {
        // The snapshots of all databases are open before the first row is copied.
        context.progress.begin("opening snapshots");
        let Opened { snapshots, mut failed } = self.open(context).await?;
        let skew = databases::skew(&snapshots);
        let named = || databases::source_name(&snapshots, &self.databases);
        let source = self.source.clone().unwrap_or_else(named);

        // Every plan is made, and held against the catalogs, before data is read.
        context.progress.begin("reading the catalogs");
        let Planned { plans, failed: unplanned } = self.plan(context, snapshots).await?;
        failed.extend(unplanned);

        // Rows go from the server to the store as they come.
        let Copied { databases, objects, failed: uncopied } =
            self.copy(context, plans, id, started).await?;
        failed.extend(uncopied);
        if databases.is_empty() {
            return Err(databases::all_failed(failed));
        }
        failed.iter().for_each(databases::Failed::report);
        let names: Vec<String> =
            self.databases.iter().map(|info| info.database().to_owned()).collect();
        let selection = describe::selection(&self.selection);
        let mut manifest = Manifest {
            format_version: FORMAT_VERSION,
            id: id.to_owned(),
            kind: Kind::Export,
            group: group::name(&source, &names, &selection),
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            host: context.holder.host.clone(),
            selection,
            started,
            finished: started,
            failed: failed.iter().map(databases::Failed::describe).collect(),
            databases,
            snapshot_skew_ms: skew,
            objects,
        };
        manifest.objects.sort_by(|a, b| a.key.cmp(&b.key));

        // What was stored is read back, all of it: digests, structure, rows.
        context.go_on()?;
        let meter = context.progress.begin("reading back");
        let store = context.catalogue.store();
        let found =
            verify::check(store, &manifest, self.jobs.get(), &meter, &context.cancel).await?;
        if !found.damage.is_empty() {
            return Err(Error::ReadBack { damage: found.damage });
        }
        context.go_on()?;
        manifest.finished = context.clock.now().trunc_subsecs(3).max(started);
        Ok(manifest)
    }

    /// Whether `group` is the one that its backups join. Without a label the cluster's identifier
    /// is known only once a connection is made, so that any is taken for its.
    pub fn joins(&self, group: &str) -> bool {
        let names: Vec<String> =
            self.databases.iter().map(|info| info.database().to_owned()).collect();
        let selection = describe::selection(&self.selection);
        match &self.source {
            Some(source) => group == crate::group::name(source, &names, &selection),
            None => {
                let (_, rest) = group.split_once('/').unwrap_or_default();
                crate::group::name("", &names, &selection).strip_prefix('/') == Some(rest)
            }
        }
    }

    /// A backup holds databases by name, so each name may come once.
    fn refuse_twice(&self) -> Result<(), Error> {
        let mut seen = BTreeSet::new();
        match self.databases.iter().find(|info| !seen.insert(info.database())) {
            None => Ok(()),
            Some(twice) => Err(Error::Refused {
                what: format!("database {:?} is named twice", twice.database()),
                hint: "databases of one name go into exports of their own, each with its --source"
                    .into(),
            }),
        }
    }

    /// Options of the database side.
    fn options(&self, created: DateTime<Utc>) -> ExportOptions {
        ExportOptions {
            format: self.format,
            jobs: self.jobs,
            data: self.data,
            codec: self.codec,
            chunk_bytes: postgres::export::CHUNK_BYTES,
            created,
        }
    }

    /// The sink of one database's files, and its prefix: an archive has a folder of its own, a
    /// script stands beside the others.
    fn sink(&self, context: &Context, id: &str, database: &str) -> (Arc<StoreSink>, String) {
        let prefix = match self.format {
            Format::Directory => format!("exports/{id}/{}/", Key::escape_segment(database)),
            Format::Plain => format!("exports/{id}/"),
        };
        let store = context.catalogue.store().clone();
        (Arc::new(StoreSink::new(store, prefix.clone())), prefix)
    }
}

/// The commit: the catalogue asks the lease before and after.
async fn publish(
    context: &Context,
    access: &Exclusive,
    manifest: Manifest,
) -> Result<Manifest, Error> {
    match context.catalogue.publish(&manifest, access.guard()).await {
        Ok(()) => {
            tracing::info!("published {}", manifest.id);
            Ok(manifest)
        }
        Err(error) => {
            // After any other failure the manifest may still arrive: whether the objects are
            // needed is then for a later sweep to find out.
            if matches!(&error, vault::Error::Store(e) if e.kind == StoreErrorKind::Full) {
                discard(context, access, &manifest.id).await;
            }
            Err(error.into())
        }
    }
}

/// Removes the objects of a run that failed: a full disk must not stay full until a sweep.
async fn discard(context: &Context, access: &Exclusive, id: &str) {
    let discard = async { Ok(context.catalogue.discard(id, access.guard()).await?) };
    runner::within_seconds("removing what a failed export has stored", discard).await;
}
