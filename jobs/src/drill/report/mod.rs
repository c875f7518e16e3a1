//! `drill report --since-backup`: which workflows have moved since a restore point.
//!
//! A restored database is as old as its backup: workflows that finished since are running again,
//! and activities that were in progress run again. The backup's own rows say what was open then;
//! later windows of the archive say what has finished since; a live server, where there still is
//! one, says the rest. Nothing is restored for it.

mod open;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use temporal::connect::{self, Connection};

use crate::history::find;
use crate::history::{Lost, Query};
use crate::runner::{Job, Report, Shared};
use crate::{Context, Error, Verdict};
use open::Open;

/// Says what has moved since a backup.
#[derive(Debug, Clone)]
pub struct SinceBackup {
    /// An identity, the beginning of one, or `latest`.
    pub id: String,
    /// How a live server is reached, if one may be asked.
    pub temporal: Option<connect::Options>,
}

/// What has moved.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// The backup.
    pub backup: String,
    /// The moment that a restore of it goes back to.
    pub as_of: DateTime<Utc>,
    /// Close of the newest archived run: what closed later may have closed unseen.
    pub archived_until: Option<DateTime<Utc>>,
    /// The live server that was asked, or why none could be.
    pub live: Live,
    /// Runs that the restored database holds as running and that have finished since.
    pub finished: Vec<MovedRun>,
    /// Runs that are still running and have more events than the restored database has.
    pub progressed: Vec<MovedRun>,
    /// Runs that were started since: the restored database does not know them.
    pub started: Vec<MovedRun>,
    /// Runs that were open and of which nothing is known since.
    pub unknown: Vec<MovedRun>,
    /// Activities that were scheduled and not done: they run again.
    pub activities: Vec<Again>,
    /// What could not be read of the archive; runs in it are missing here.
    pub damaged: Vec<Lost>,
}

/// Whether a live server was asked.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Its address.
    pub address: Option<String>,
    /// Why it could not be asked.
    pub error: Option<String>,
}

/// A run that moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MovedRun {
    /// Namespace.
    pub namespace: String,
    /// Workflow id.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
    /// Workflow type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Status now: `WORKFLOW_EXECUTION_STATUS_COMPLETED`.
    pub status: Option<String>,
    /// When it closed.
    pub close_time: Option<DateTime<Utc>>,
    /// Events that the backup has.
    pub events_before: Option<u64>,
    /// Events that there are now.
    pub events_now: Option<u64>,
    /// Whether its history is archived.
    pub archived: bool,
}

/// An activity that will run again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Again {
    /// Namespace.
    pub namespace: String,
    /// Workflow id.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
    /// Activity id.
    pub activity_id: String,
    /// Activity type.
    pub activity_type: String,
    /// Whether the run is known to have moved since: what the activity does was then done once.
    pub moved: bool,
}

impl Report for Moved {
    fn verdict(&self) -> Verdict {
        if self.damaged.is_empty() { Verdict::Done } else { Verdict::Damaged }
    }
}

#[async_trait]
impl Job for SinceBackup {
    type Report = Moved;
    type Access = Shared;
    const NAME: &'static str = "drill report";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Moved, Error> {
        let manifest = context.catalogue.load(&self.id).await?;
        context.progress.begin("reading the backup");
        let Open { as_of, mut runs, activities, namespaces } =
            open::read(context, &manifest).await?;

        // What closed since and is archived.
        context.progress.begin("reading the archive");
        let query = Query { since: Some(as_of), ..Query::default() };
        let found = find::all(context, &query).await?;
        let mut moved = Moved {
            backup: manifest.id.clone(),
            as_of,
            archived_until: found.hits.first().map(|hit| hit.entry.summary.close_time),
            live: Live::default(),
            finished: Vec::new(),
            progressed: Vec::new(),
            started: Vec::new(),
            unknown: Vec::new(),
            activities: Vec::new(),
            damaged: found.damaged,
        };
        let mut seen = BTreeSet::new();
        for hit in &found.hits {
            let run = &hit.entry.summary;
            seen.insert(run.run_id.clone());
            let before = runs.remove(&run.run_id);
            let entry = MovedRun {
                namespace: run.namespace.clone(),
                workflow_id: run.workflow_id.clone(),
                run_id: run.run_id.clone(),
                type_name: run.type_name.clone(),
                status: Some(run.status.clone()),
                close_time: Some(run.close_time),
                events_before: before.as_ref().and_then(|run| run.events),
                events_now: Some(hit.entry.at.events),
                archived: true,
            };
            match before {
                Some(_) => moved.finished.push(entry),
                // Closed in the backup already, if it was begun before: visibility is a little late.
                None if run.start_time >= as_of => moved.started.push(entry),
                None => {}
            }
        }

        match &self.temporal {
            Some(options) => {
                context.progress.begin("asking the live server");
                match Connection::open(options).await {
                    Ok(connection) => {
                        moved.live.address = Some(connection.address().to_owned());
                        let asked =
                            live(&connection, &namespaces, &mut runs, &seen, &mut moved).await;
                        moved.live.error = asked.err().map(|error| crate::chain(&error));
                    }
                    Err(error) => moved.live.error = Some(crate::chain(&error)),
                }
            }
            None => moved.live.error = Some("it was not to be asked".into()),
        }
        moved.unknown =
            runs.into_values().filter(|run| !run.unchanged).map(|run| run.entry()).collect();
        let known = |run: &&MovedRun| run.run_id.clone();
        let finished: BTreeSet<String> = moved.finished.iter().map(|run| known(&run)).collect();
        let progressed: BTreeSet<String> = moved.progressed.iter().map(|run| known(&run)).collect();
        moved.activities = activities
            .into_iter()
            .map(|again| Again {
                moved: finished.contains(&again.run_id) || progressed.contains(&again.run_id),
                ..again
            })
            .collect();
        moved.activities.sort_unstable();
        for list in
            [&mut moved.finished, &mut moved.progressed, &mut moved.started, &mut moved.unknown]
        {
            list.sort_by(|a, b| {
                (&a.namespace, &a.workflow_id).cmp(&(&b.namespace, &b.workflow_id))
            });
        }
        Ok(moved)
    }
}

/// What a live server knows of the runs that are left, and which ones it started since.
async fn live(
    connection: &Connection,
    namespaces: &BTreeMap<String, String>,
    runs: &mut BTreeMap<String, open::Run>,
    seen: &BTreeSet<String>,
    moved: &mut Moved,
) -> Result<(), Error> {
    let ids: Vec<String> = runs.keys().cloned().collect();
    for id in ids {
        let Some(run) = runs.get_mut(&id) else { continue };
        let now = connection.run(&run.namespace, &run.workflow_id, &run.run_id).await;
        let Some(now) = now.map_err(Error::temporal)? else { continue };
        let entry = MovedRun {
            status: Some(now.status.clone()),
            close_time: now.close_time,
            events_now: Some(now.events),
            ..run.entry()
        };
        if now.close_time.is_some() {
            moved.finished.push(entry);
        } else if run.events.is_none_or(|before| now.events > before) {
            moved.progressed.push(entry);
        } else {
            run.unchanged = true;
            continue;
        }
        runs.remove(&id);
    }
    for namespace in namespaces.values() {
        for now in
            connection.started_since(namespace, moved.as_of).await.map_err(Error::temporal)?
        {
            if seen.contains(&now.run_id) {
                continue;
            }
            moved.started.push(MovedRun {
                namespace: namespace.clone(),
                workflow_id: now.workflow_id,
                run_id: now.run_id,
                type_name: now.type_name,
                status: Some(now.status),
                close_time: now.close_time,
                events_before: None,
                events_now: Some(now.events),
                archived: false,
            });
        }
    }
    Ok(())
}
