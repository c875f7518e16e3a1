//! Closed runs as visibility lists them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use temporal::connect::Connection;
use temporal::{Execution, Namespace, query};

use super::plan::{self, Closed, Interval};
use crate::{Context, Error};

/// Runs held at a time.
pub(super) const SLICE: u64 = 4_000;

/// The closed runs of a namespace within a restriction.
pub(super) struct Listing<'a> {
    pub context: &'a Context,
    pub connection: &'a Connection,
    pub namespace: &'a Namespace,
    pub filter: &'a str,
}

impl Closed for Execution {
    fn close_time(&self) -> DateTime<Utc> {
        self.close_time
    }

    fn bytes(&self) -> u64 {
        u64::try_from(self.history_size_bytes).unwrap_or(0)
    }
}

impl Listing<'_> {
    /// How many runs closed in an interval.
    pub(super) async fn count(&self, part: Interval) -> Result<u64, Error> {
        self.context.go_on()?;
        let query = query::closed(self.filter, Some(part.from), Some(part.to));
        self.connection.count(self.namespace, &query).await.map_err(Error::temporal)
    }

    /// An interval in slices that can be held, oldest first.
    pub(super) async fn slices(&self, part: Interval) -> Result<Vec<Interval>, Error> {
        plan::slices(part, SLICE, |slice| self.count(slice)).await
    }

    /// Every run that closed in a slice, by run id once: pages may shift while they are read.
    pub(super) async fn runs(&self, slice: Interval) -> Result<Vec<Execution>, Error> {
        let query = query::closed(self.filter, Some(slice.from), Some(slice.to));
        let mut runs: Vec<Execution> = Vec::new();
        let mut token = Vec::new();
        loop {
            self.context.go_on()?;
            let page = self.connection.list(self.namespace, &query, token).await;
            let page = page.map_err(Error::temporal)?;
            runs.extend(page.executions);
            if page.next.is_empty() {
                break;
            }
            token = page.next;
        }
        let mut seen = HashSet::new();
        runs.retain(|run| seen.insert(run.run_id.clone()));
        Ok(runs)
    }
}
