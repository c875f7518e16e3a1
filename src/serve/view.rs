//! What the sidecar knows, for whoever asks over HTTP: replaced as a whole whenever it changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use jobs::overview::{Kept, Overview};
use jobs::record::{NamespaceRecord, Record};
use jobs::{Progress, Verdict};
use vault::Catalogue;

use super::agenda::{Due, Why};
use super::task::Task;
use crate::ended::Ended;
use crate::secret::Secret;

/// What the sidecar knows.
#[derive(Debug, Clone)]
pub struct View {
    /// Where backups are kept.
    pub store: String,
    /// The same, for whoever reads histories in it.
    pub catalogue: Catalogue,
    /// What was last seen there.
    pub overview: Option<Arc<Overview>>,
    /// Why it could not be looked at, when the last look failed.
    pub trouble: Option<Trouble>,
    /// Free and total bytes of a directory's file system.
    pub space: Option<(u64, u64)>,
    /// The jobs.
    pub tasks: Vec<TaskView>,
    /// How reading the configuration went.
    pub reload: Reload,
    /// Age at which a source is overdue.
    pub overdue_after: chrono::TimeDelta,
    /// Whether no run is started any more.
    pub stopping: bool,
    /// Lets its bearer start jobs.
    pub token: Option<Secret>,
    /// Whether archived histories are shown.
    pub browse: bool,
}

/// Something that does not work.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// Since when.
    pub since: DateTime<Utc>,
    /// One line.
    pub error: String,
    /// What mends it.
    pub hint: Option<String>,
}

/// How reading the configuration went.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reload {
    /// When it was last read with success.
    pub at: DateTime<Utc>,
    /// Why the newest one was refused, and the one before is still used.
    pub refused: Option<Trouble>,
}

/// A job.
#[derive(Debug, Clone)]
pub struct TaskView {
    /// Which.
    pub task: Task,
    /// Its name.
    pub name: &'static str,
    /// Its schedule, and the zone of that.
    pub schedule: Option<(String, String)>,
    /// The next run.
    pub next: Option<Due>,
    /// The run in progress.
    pub running: Option<Running>,
    /// How the last run here ended.
    pub last: Option<Ended>,
    /// What it is about.
    pub sources: Vec<String>,
    /// Its backups, oldest first.
    pub backups: Vec<Kept>,
    /// The store's record of its last run, here or elsewhere.
    pub record: Option<Record>,
    /// What this process has done.
    pub counters: Counters,
}

/// A run in progress.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its id, by which its messages are found.
    pub run: String,
    /// Why it was started.
    pub why: Why,
    /// When.
    pub started: DateTime<Utc>,
    /// How far it is.
    pub progress: Arc<Progress>,
}

/// Sums since the process started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Runs by outcome.
    pub runs: BTreeMap<&'static str, u64>,
    /// Bytes stored.
    pub bytes: u64,
    /// Rows exported.
    pub rows: u64,
    /// Runs archived, by namespace.
    pub archived: BTreeMap<String, u64>,
    /// Attempts after the first.
    pub retries: u64,
}

impl Counters {
    /// Counts a run.
    pub fn count(&mut self, ended: &Ended, why: Why) {
        *self.runs.entry(outcome(ended.verdict)).or_default() += 1;
        self.bytes += ended.bytes;
        self.rows += ended.rows;
        for (namespace, runs) in &ended.archived {
            *self.archived.entry(namespace.clone()).or_default() += runs;
        }
        self.retries += u64::from(why == Why::Retry);
    }
}

/// The word that metrics have for a verdict.
pub fn outcome(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Done => "done",
        Verdict::PartDone => "partial",
        Verdict::Failed | Verdict::Overdue => "failed",
        Verdict::Refused => "usage",
        Verdict::Damaged => "damaged",
        Verdict::LeaseHeld => "busy",
    }
}

impl TaskView {
    /// The newest whole backup.
    pub fn last_good(&self) -> Option<&Kept> {
        self.backups.iter().rev().find(|kept| kept.summary.failed.is_empty())
    }

    /// How it stands with each namespace, for the archive.
    pub fn namespaces(&self) -> &[NamespaceRecord] {
        self.record.as_ref().map(|record| record.namespaces.as_slice()).unwrap_or_default()
    }

    /// The oldest whole backup.
    pub fn oldest(&self) -> Option<&Kept> {
        self.backups.iter().find(|kept| kept.summary.failed.is_empty())
    }
}
