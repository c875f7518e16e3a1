//! How a run ended, as metrics, notifications, the API and the page tell it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use jobs::archive::Archived;
use jobs::export::Exported;
use jobs::runner::Report;
use jobs::{Outcome, Verdict};
use serde::Serialize;

use crate::output;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// The run's id, by which its messages are found.
    pub run: Option<String>,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub finished: DateTime<Utc>,
    /// How that is judged.
    pub verdict: Verdict,
    /// The backup it published.
    pub backup: Option<String>,
    /// What went wrong, one line.
    pub error: Option<String>,
    /// What mends it.
    pub hint: Option<String>,
    /// Bytes it stored.
    pub bytes: u64,
    /// Rows it exported.
    pub rows: u64,
    /// Runs it archived, by namespace.
    pub archived: BTreeMap<String, u64>,
    /// Whether the run before it was good, as far as the store knows.
    #[serde(skip)]
    pub before: Option<bool>,
}

impl Ended {
    /// Of an export.
    pub fn export(outcome: &Outcome<Exported>) -> Self {
        let made = outcome.result.as_ref().ok();
        Self {
            backup: made.map(|made| made.backup.id.clone()),
            bytes: made.map_or(0, |made| made.backup.stored_bytes),
            rows: made.map_or(0, |made| made.backup.rows),
            ..Self::of(outcome)
        }
    }

    /// Of an archiving.
    pub fn archive(outcome: &Outcome<Archived>) -> Self {
        let made = outcome.result.as_ref().ok();
        let namespaces = made.map(|made| made.namespaces.as_slice()).unwrap_or_default();
        Self {
            bytes: made.map_or(0, Archived::stored_bytes),
            archived: namespaces.iter().map(|it| (it.namespace.clone(), it.runs)).collect(),
            ..Self::of(outcome)
        }
    }

    /// What every outcome has.
    fn of<R: Report>(outcome: &Outcome<R>) -> Self {
        let made = outcome.result.as_ref().ok();
        let failure = outcome.result.as_ref().err();
        Self {
            verdict: outcome.verdict(),
            error: failure.map(|error| jobs::chain(error)).or(made.and_then(Report::complaint)),
            hint: failure.and_then(jobs::Error::hint),
            before: outcome.before.as_ref().map(|record| record.done),
            ..Self::fault(outcome.started, outcome.finished)
        }
    }

    /// A run whose task panicked.
    pub fn fault(started: DateTime<Utc>, finished: DateTime<Utc>) -> Self {
        Self {
            run: None,
            started,
            finished,
            verdict: Verdict::Failed,
            backup: None,
            error: Some("the program has a fault: the run ended unexpectedly".into()),
            hint: Some("please report this, with the messages before it".into()),
            bytes: 0,
            rows: 0,
            archived: BTreeMap::new(),
            before: None,
        }
    }

    /// What it made, in a few words.
    pub fn made(&self) -> String {
        match &self.backup {
            Some(backup) => backup.clone(),
            None => output::counted(self.archived.values().sum(), "run"),
        }
    }

    /// Its exit code, were it a command.
    pub fn exit(&self) -> u8 {
        crate::exit::Exit::from(self.verdict) as u8
    }
}
