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
/// Some thousand namespaces fit.
const MAX_BYTES: u64 = 1 << 20;
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
    /// Databases that it was to export; empty for other jobs, and in records of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// Group of the last backup that this source made; `None` when it never made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
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
    /// How it stands with each namespace, for a job that is about those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<NamespaceRecord>,
}

/// How it stands with the archive of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceRecord {
    /// Its name.
    pub namespace: String,
    /// Whether the last run did all of it.
    pub done: bool,
    /// End of the last run that did.
    pub last_success: Option<DateTime<Utc>>,
    /// Everything that closed before this is archived; `None` when nothing is.
    pub covered_until: Option<DateTime<Utc>>,
    /// Intervals between windows that no window covers; `None` when it is not known.
    pub gaps: Option<u64>,
    /// Runs that are not archived and that Temporal deletes soon; `None` when it is not known.
    pub expiring: Option<u64>,
    /// How soon, in seconds.
    pub expiring_within_seconds: Option<i64>,
    /// For how many seconds Temporal keeps what has closed.
    pub retention_seconds: Option<i64>,
    /// Runs that the last run archived.
    pub runs: u64,
    /// Bytes that it stored.
    pub stored_bytes: u64,
    /// What went wrong, one line.
    pub error: Option<String>,
}

impl Record {
    /// The record of an outcome.
    pub(crate) fn of<R: Report>(
        source: &str,
        databases: Vec<String>,
        context: &Context,
        outcome: &Outcome<R>,
    ) -> Self {
        let (backup, error, hint) = match &outcome.result {
            Ok(report) => (report.backup().map(str::to_owned), report.complaint(), None),
            Err(error) => (None, Some(crate::chain(error)), error.hint()),
        };
        let mut namespaces =
            outcome.result.as_ref().map(crate::runner::Report::namespaces).unwrap_or_default();
        for namespace in namespaces.iter_mut().filter(|namespace| namespace.done) {
            namespace.last_success = Some(outcome.finished);
        }
        Self {
            format_version: VERSION,
            job: outcome.job.to_owned(),
            source: source.to_owned(),
            databases,
            group: outcome.result.as_ref().ok().and_then(|it| it.group().map(str::to_owned)),
            host: context.holder.host.clone(),
            started: outcome.started,
            finished: outcome.finished,
            done: outcome.verdict() == Verdict::Done,
            backup,
            error,
            hint,
            namespaces,
        }
    }

    /// What a run that failed cannot tell stays as the record before it had it.
    pub(crate) fn carry(&mut self, before: Option<&Self>) {
        if self.group.is_none() {
            self.group = before.and_then(|before| before.group.clone());
        }
        let before = before.map(|before| before.namespaces.as_slice()).unwrap_or_default();
        if self.namespaces.is_empty() && !self.done {
            self.namespaces = before
                .iter()
                .map(|known| NamespaceRecord {
                    done: false,
                    // Nobody has counted since.
                    expiring: None,
                    runs: 0,
                    stored_bytes: 0,
                    error: None,
                    ..known.clone()
                })
                .collect();
        }
        for namespace in self.namespaces.iter_mut().filter(|namespace| !namespace.done) {
            let Some(known) = before.iter().find(|it| it.namespace == namespace.namespace) else {
                continue;
            };
            namespace.last_success = namespace.last_success.or(known.last_success);
            namespace.retention_seconds = namespace.retention_seconds.or(known.retention_seconds);
            if namespace.gaps.is_none() {
                namespace.gaps = known.gaps;
                namespace.covered_until = known.covered_until;
            }
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

/// The record that `record` is about to take the place of; `None` when there is none, or none that
/// can be read.
pub(crate) async fn before(store: &dyn Store, record: &Record) -> Result<Option<Record>, Error> {
    match read_small(store, &record.key()?, MAX_BYTES).await {
        Ok(bytes) => Ok(decode(&bytes)),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
        Err(error) => Err(vault::Error::from(error).into()),
    }
}

/// Removes records.
pub(crate) async fn forget(store: &dyn Store, records: &[Record]) -> Result<(), Error> {
    let keys = records.iter().map(Record::key).collect::<Result<Vec<_>, _>>()?;
    Ok(store.delete(&keys).await.map_err(vault::Error::from)?)
}

fn decode(bytes: &[u8]) -> Option<Record> {
    let record = serde_json::from_slice::<Record>(bytes).ok()?;
    (record.format_version <= VERSION).then_some(record)
}

/// Every record, by key; those that cannot be read are left out with a warning.
pub(crate) async fn all(store: &dyn Store) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    for info in store.list(PREFIX).await.map_err(vault::Error::from)? {
        match read_small(store, &info.key, MAX_BYTES).await {
            Ok(bytes) => match decode(&bytes) {
                Some(record) => records.push(record),
                None => tracing::warn!("{} is not a record of a run", info.key),
            },
            Err(error) if error.kind == StoreErrorKind::NotFound => {}
            Err(error) => return Err(vault::Error::from(error).into()),
        }
    }
    Ok(records)
}
