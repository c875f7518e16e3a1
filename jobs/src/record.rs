//! How the last run of each source ended, so that `status` can say so.
//!
//! One small object per job and source, `runs/JOB.SOURCE.json`, replaced by each run. It is a
//! courtesy: nothing is decided by it, and what counts as a backup are manifests alone.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use vault::{Key, PutMode, Store, StoreErrorKind, read_small};

use crate::runner::{Outcome, Report};
use crate::{Context, Error, Verdict};

const PREFIX: &str = "runs/";
const MAX_BYTES: u64 = 64 * 1024;
const VERSION: u32 = 1;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Version of this format.
    pub format_version: u32,
    /// The job.
    pub job: String,
    /// The source, by its label or by what is known of it before a connection is made.
    pub source: String,
    /// Host it ran on.
    pub host: String,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub finished: DateTime<Utc>,
    /// Whether everything was done.
    pub done: bool,
    /// The backup it published.
    pub backup: Option<String>,
    /// What went wrong, one line.
    pub error: Option<String>,
    /// What mends it.
    pub hint: Option<String>,
}

impl Record {
    /// The record of an outcome.
    pub(crate) fn of<R: Report>(source: &str, context: &Context, outcome: &Outcome<R>) -> Self {
        let (backup, error, hint) = match &outcome.result {
            Ok(report) => (report.backup().map(str::to_owned), report.complaint(), None),
            Err(error) => (None, Some(crate::chain(error)), error.hint()),
        };
        Self {
            format_version: VERSION,
            job: outcome.job.to_owned(),
            source: source.to_owned(),
            host: context.holder.host.clone(),
            started: outcome.started,
            finished: outcome.finished,
            done: outcome.verdict() == Verdict::Done,
            backup,
            error,
            hint,
        }
    }

    fn key(&self) -> Result<Key, vault::Error> {
        let mut source = Key::escape_segment(&self.source);
        // Long names may share a record; a segment has its limit.
        source.truncate(150);
        let text = format!("{PREFIX}{}.{source}.json", self.job);
        Key::new(text).map_err(|error| {
            let action = "cannot name the record of a run";
            vault::StoreError::new(StoreErrorKind::Invalid, action, "the store")
                .with_source(error)
                .into()
        })
    }
}

/// Stores a record in place of the one before.
pub(crate) async fn put(store: &dyn Store, record: &Record) -> Result<(), Error> {
    let json = serde_json::to_vec(record).unwrap_or_default();
    let key = record.key()?;
    store.put(&key, Bytes::from(json), PutMode::Overwrite).await.map_err(vault::Error::from)?;
    Ok(())
}

/// Every record, by key; those that cannot be read are left out with a warning.
pub(crate) async fn all(store: &dyn Store) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    for info in store.list(PREFIX).await.map_err(vault::Error::from)? {
        match read_small(store, &info.key, MAX_BYTES).await {
            Ok(bytes) => match serde_json::from_slice::<Record>(&bytes) {
                Ok(record) if record.format_version <= VERSION => records.push(record),
                _ => tracing::warn!("{} is not a record of a run", info.key),
            },
            Err(error) if error.kind == StoreErrorKind::NotFound => {}
            Err(error) => return Err(vault::Error::from(error).into()),
        }
    }
    Ok(records)
}
