//! The databases of one run: opened together, planned, then copied one after the other.
//!
//! One that fails leaves the others alone. What stops the whole run is the store, the lease and
//! a request to stop.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::join_all;
use postgres::conninfo::ConnInfo;
use postgres::plan::Plan;
use postgres::progress::Progress;
use postgres::snapshot::{KEEP_ALIVE, Snapshot};
use vault::manifest::{Database, FailedSource, Object};

use super::beside::{Alive, beside};
use super::{Export, describe};
use crate::{Context, Error};

/// A database that failed, and why.
#[derive(Debug)]
pub(super) struct Failed {
    name: String,
    error: Error,
}

impl Failed {
    /// Says it to the operator, once: not when it is what the run ends with.
    pub fn report(&self) {
        tracing::error!("{}", crate::chain(&self.error));
    }

    /// As the manifest says it.
    pub fn describe(&self) -> FailedSource {
        let error = match &self.error {
            // The database is named beside it.
            Error::Database { source, .. } => crate::chain(source),
            error => crate::chain(error),
        };
        FailedSource { name: self.name.clone(), error }
    }
}

/// Open snapshots.
pub(super) struct Opened {
    pub snapshots: Vec<(String, Snapshot)>,
    pub failed: Vec<Failed>,
}

/// Checked plans.
pub(super) struct Planned {
    pub plans: Vec<Prepared>,
    pub failed: Vec<Failed>,
}

/// One database, ready to be copied.
pub(super) struct Prepared {
    name: String,
    snapshot: Snapshot,
    plan: Plan,
}

/// What was copied.
#[derive(Default)]
pub(super) struct Copied {
    pub databases: Vec<Database>,
    pub objects: Vec<Object>,
    pub failed: Vec<Failed>,
}

/// Milliseconds between the first and the last snapshot.
pub(super) fn skew(snapshots: &[(String, Snapshot)]) -> u64 {
    let times = || snapshots.iter().map(|(_, snapshot)| snapshot.info().time);
    let span = times().max().zip(times().min()).map(|(last, first)| last - first);
    span.and_then(|span| u64::try_from(span.num_milliseconds()).ok()).unwrap_or(0)
}

/// What the source is called when nobody has named it: the cluster's identifier, or else the
/// server's address.
pub(super) fn source_name(snapshots: &[(String, Snapshot)], databases: &[ConnInfo]) -> String {
    let identifiers = snapshots.iter().filter_map(|(_, s)| s.info().system_identifier.as_deref());
    let mut identifiers: Vec<&str> = identifiers.collect();
    identifiers.sort_unstable();
    identifiers.dedup();
    if identifiers.len() > 1 {
        tracing::warn!(
            "the databases are in several clusters: give the source a name with --source, so \
             that its backups stay in one group when a cluster is away"
        );
    }
    if let Some(&identifier) = identifiers.first() {
        return identifier.to_owned();
    }
    // Never one name for all: backups of two servers must not expire each other.
    let hosts = databases.iter().flat_map(ConnInfo::hosts).map(ToString::to_string);
    let mut hosts: Vec<String> = hosts.collect();
    hosts.sort_unstable();
    hosts.dedup();
    let address = hosts.join(",");
    tracing::warn!(
        "the role may not ask for the cluster's identifier: the backups are grouped by the \
         address {address}; give the source a name with --source to be independent of that"
    );
    address
}

/// The error of a run in which every database failed.
pub(super) fn all_failed(mut failed: Vec<Failed>) -> Error {
    let count = failed.len();
    if count == 0 {
        return Error::Refused {
            what: "no database was named".into(),
            hint: "give --database URL".into(),
        };
    }
    let first = failed.remove(0).error;
    failed.iter().for_each(Failed::report);
    if count == 1 { first } else { Error::AllFailed { count, first: Box::new(first) } }
}

/// Sorts a database's failure from one that stops the run.
fn judge(context: &Context, name: &str, error: postgres::Error) -> Result<Failed, Error> {
    let error = Error::database("export", name, error);
    context.go_on()?;
    if matches!(error, Error::Cancelled) || error.is_of_the_store() {
        return Err(error);
    }
    Ok(Failed { name: name.to_owned(), error })
}

impl Export {
    /// Opens the snapshots of all databases at once.
    pub(super) async fn open(&self, context: &Context) -> Result<Opened, Error> {
        let opening = self.databases.iter().map(|info| async {
            let snapshot = tokio::select! {
                biased;
                () = context.cancel.cancelled() => Err(postgres::Error::Cancelled),
                snapshot = Snapshot::open(info, &self.session) => snapshot,
            };
            (info.database().to_owned(), snapshot)
        });
        let mut opened = Opened { snapshots: Vec::new(), failed: Vec::new() };
        for (name, snapshot) in join_all(opening).await {
            match snapshot {
                Ok(snapshot) => opened.snapshots.push((name, snapshot)),
                Err(error) => opened.failed.push(judge(context, &name, error)?),
            }
        }
        if opened.snapshots.is_empty() {
            return Err(all_failed(opened.failed));
        }
        Ok(opened)
    }

    /// Plans every database.
    pub(super) async fn plan(
        &self,
        context: &Context,
        snapshots: Vec<(String, Snapshot)>,
    ) -> Result<Planned, Error> {
        let mut planned = Planned { plans: Vec::new(), failed: Vec::new() };
        for (name, mut snapshot) in snapshots {
            let plan = tokio::select! {
                biased;
                () = context.cancel.cancelled() => Err(postgres::Error::Cancelled),
                plan = postgres::plan::plan(snapshot.session(), &self.selection) => plan,
            };
            match plan {
                Ok(plan) => planned.plans.push(Prepared { name, snapshot, plan }),
                Err(error) => planned.failed.push(judge(context, &name, error)?),
            }
        }
        Ok(planned)
    }

    /// Copies the databases one after the other, each over all connections.
    pub(super) async fn copy(
        &self,
        context: &Context,
        plans: Vec<Prepared>,
        id: &str,
        started: DateTime<Utc>,
    ) -> Result<Copied, Error> {
        let options = self.options(started);
        let mut copied = Copied::default();
        let mut waiting: VecDeque<Prepared> = plans.into();
        while let Some(Prepared { name, mut snapshot, plan }) = waiting.pop_front() {
            context.go_on()?;
            tracing::info!("exporting {name:?}: {} tables", plan.tables.len());
            let facts = describe::Facts::of(&snapshot, &plan);
            let (sink, location) = self.sink(context, id, &name);
            let progress = Arc::new(Progress::default());
            context.progress.follow("copying", vec![progress.clone()]);
            let export = postgres::export::export(
                &mut snapshot,
                plan,
                &options,
                sink.clone(),
                progress,
                context.cancel.clone(),
            );
            // The snapshots that wait are idle: nothing between here and the server may take
            // them for dead.
            let exported = beside(export, KEEP_ALIVE, &mut waiting).await;
            snapshot.close().await;
            match exported {
                Ok(exported) => {
                    let described = describe::database(facts, exported, &options, location);
                    copied.databases.push(described);
                    copied.objects.extend(sink.written());
                }
                Err(error) => copied.failed.push(judge(context, &name, error)?),
            }
        }
        Ok(copied)
    }
}

/// The snapshots whose turn has not come.
#[async_trait]
impl Alive for VecDeque<Prepared> {
    async fn sign(&mut self) {
        for prepared in self.iter_mut() {
            // What fails here fails again, and by name, when its turn comes.
            if let Err(error) = prepared.snapshot.keep_alive().await {
                tracing::debug!("{:?}: {}", prepared.name, crate::chain(&error));
            }
        }
    }
}
