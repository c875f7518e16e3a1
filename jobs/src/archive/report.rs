//! What came of archiving.

use chrono::{DateTime, Utc};
use serde::Serialize;
use temporal::connect::Calls;
use vault::window::Gone;

use crate::record::NamespaceRecord;
use crate::runner::Report;
use crate::{Error, Verdict};

/// What was archived.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Archived {
    /// `HOST:PORT` of Temporal's frontend.
    pub temporal: String,
    /// Namespace by namespace.
    pub namespaces: Vec<ArchivedNamespace>,
    /// Objects that no window names and whose grace time was over, removed.
    pub swept: u64,
    /// Calls to Temporal, by method.
    pub calls: Calls,
    #[serde(skip)]
    failures: Vec<Error>,
}

/// What was archived of a namespace.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchivedNamespace {
    /// Its name.
    pub namespace: String,
    /// Windows that were published.
    pub windows: u64,
    /// Runs in them.
    pub runs: u64,
    /// Events of those.
    pub events: u64,
    /// Bytes of their lines, uncompressed.
    pub bytes: u64,
    /// Bytes of their segments and indexes.
    pub stored_bytes: u64,
    /// Runs that were listed and gone when their history was asked for.
    pub vanished: Vec<Vanished>,
    /// Everything that closed before this is archived.
    pub covered_until: Option<DateTime<Utc>>,
    /// Windows that were joined with others.
    pub joined: u64,
    /// Windows that were removed by retention.
    pub removed: u64,
    /// Runs that Temporal deletes within the warning time and that are not archived.
    pub expiring: u64,
    /// The warning time in seconds.
    pub expiring_within_seconds: i64,
    /// Intervals between windows that no window covers.
    pub gaps: u64,
    /// For how many seconds Temporal keeps what has closed.
    pub retention_seconds: Option<i64>,
    /// Whether what is covered, missing and expiring is known, which a failure may have prevented.
    #[serde(skip)]
    pub(super) looked: bool,
    /// Why it was not finished.
    pub error: Option<String>,
}

/// A run that was listed and gone when its history was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Vanished {
    /// Workflow id.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
    /// When it closed.
    pub close_time: DateTime<Utc>,
}

impl From<&Gone> for Vanished {
    fn from(gone: &Gone) -> Self {
        Self {
            workflow_id: gone.workflow_id.clone(),
            run_id: gone.run_id.clone(),
            close_time: gone.close_time,
        }
    }
}

impl Archived {
    pub(super) fn new(address: &str) -> Self {
        Self {
            temporal: address.to_owned(),
            namespaces: Vec::new(),
            swept: 0,
            calls: Calls::default(),
            failures: Vec::new(),
        }
    }

    /// Adds namespaces that could not be had.
    pub(super) fn missing(&mut self, missing: Vec<(String, Error)>) {
        for (namespace, error) in missing {
            self.fail(ArchivedNamespace { namespace, ..ArchivedNamespace::default() }, error);
        }
    }

    /// Adds what became of a namespace.
    pub(super) fn add(&mut self, (done, failure): (ArchivedNamespace, Option<Error>)) {
        match failure {
            None => self.namespaces.push(done),
            Some(error) => self.fail(done, error),
        }
    }

    fn fail(&mut self, mut done: ArchivedNamespace, error: Error) {
        done.error = Some(crate::chain(&error));
        self.failures.push(error);
        self.namespaces.push(done);
    }

    /// Bytes stored in all.
    pub fn stored_bytes(&self) -> u64 {
        self.namespaces.iter().map(|namespace| namespace.stored_bytes).sum()
    }

    /// Runs archived in all.
    pub fn runs(&self) -> u64 {
        self.namespaces.iter().map(|namespace| namespace.runs).sum()
    }

    /// What failed, namespace by namespace, each with the error.
    pub fn failed(&self) -> impl Iterator<Item = (&ArchivedNamespace, &Error)> {
        let failed = self.namespaces.iter().filter(|namespace| namespace.error.is_some());
        failed.zip(&self.failures)
    }
}

impl Report for Archived {
    fn verdict(&self) -> Verdict {
        let of_one = |error: &Error| match error.verdict() {
            Verdict::Refused => Verdict::Refused,
            _ => Verdict::Failed,
        };
        match self.failures.as_slice() {
            [] if self.namespaces.iter().any(|namespace| namespace.expiring > 0) => {
                Verdict::Overdue
            }
            [] => Verdict::Done,
            [first, ..] if self.failures.len() == self.namespaces.len() => of_one(first),
            _ => Verdict::PartDone,
        }
    }

    fn namespaces(&self) -> Vec<NamespaceRecord> {
        let of_one = |namespace: &ArchivedNamespace| NamespaceRecord {
            namespace: namespace.namespace.clone(),
            done: namespace.error.is_none(),
            last_success: None,
            covered_until: namespace.covered_until,
            gaps: namespace.looked.then_some(namespace.gaps),
            expiring: namespace.looked.then_some(namespace.expiring),
            expiring_within_seconds: namespace.looked.then_some(namespace.expiring_within_seconds),
            retention_seconds: namespace.retention_seconds,
            runs: namespace.runs,
            stored_bytes: namespace.stored_bytes,
            error: namespace.error.clone(),
        };
        self.namespaces.iter().map(of_one).collect()
    }

    fn complaint(&self) -> Option<String> {
        let expiring: u64 = self.namespaces.iter().map(|namespace| namespace.expiring).sum();
        if self.failures.is_empty() && expiring > 0 {
            return Some(format!("histories are about to expire and are not archived: {expiring}"));
        }
        let (namespace, _) = self.failed().next()?;
        let error = namespace.error.as_deref().unwrap_or_default();
        let more = self.failures.len() - 1;
        let rest = if more == 0 { String::new() } else { format!(", and {more} more namespaces") };
        Some(format!("namespace {:?}: {error}{rest}", namespace.namespace))
    }
}
