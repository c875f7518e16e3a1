//! How a run ended, as metrics, notifications, the API and the page tell it.

use chrono::{DateTime, Utc};
use jobs::export::Exported;
use jobs::{Outcome, Verdict};
use serde::Serialize;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
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
}

impl Ended {
    /// Of an export.
    pub fn export(outcome: &Outcome<Exported>) -> Self {
        let made = outcome.result.as_ref().ok();
        let failure = outcome.result.as_ref().err();
        let complaint = made.and_then(jobs::runner::Report::complaint);
        Self {
            started: outcome.started,
            finished: outcome.finished,
            verdict: outcome.verdict(),
            backup: made.map(|made| made.backup.id.clone()),
            error: failure.map(|error| jobs::chain(error)).or(complaint),
            hint: failure.and_then(jobs::Error::hint),
            bytes: made.map_or(0, |made| made.backup.stored_bytes),
            rows: made.map_or(0, |made| made.backup.rows),
        }
    }

    /// A run whose task panicked.
    pub fn fault(started: DateTime<Utc>, finished: DateTime<Utc>) -> Self {
        Self {
            started,
            finished,
            verdict: Verdict::Failed,
            backup: None,
            error: Some("the program has a fault: the run ended unexpectedly".into()),
            hint: Some("please report this, with the messages before it".into()),
            bytes: 0,
            rows: 0,
        }
    }

    /// Its exit code, were it a command.
    pub fn exit(&self) -> u8 {
        crate::exit::Exit::from(self.verdict) as u8
    }
}
