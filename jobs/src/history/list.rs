//! Archived runs, listed.

use async_trait::async_trait;
use serde::Serialize;
use temporal::segment::Summary;

use super::{Query, find};
use crate::runner::{Job, Report, Shared};
use crate::{Context, Damage, Error, Verdict};

/// Lists archived runs.
#[derive(Debug, Clone)]
pub struct ListRuns {
    /// Which.
    pub query: Query,
    /// At most so many; `None` for all.
    pub limit: Option<usize>,
}

/// Runs that were found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Runs {
    /// Newest first.
    pub runs: Vec<Summary>,
    /// Whether there are more.
    pub more: bool,
    /// What could not be read; runs of it are missing.
    pub damaged: Vec<Damage>,
    /// Objects that were read to find them, and lists.
    pub reads: u64,
}

impl Report for Runs {
    fn verdict(&self) -> Verdict {
        if self.damaged.is_empty() { Verdict::Done } else { Verdict::Damaged }
    }
}

#[async_trait]
impl Job for ListRuns {
    type Report = Runs;
    type Access = Shared;
    const NAME: &'static str = "history list";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Runs, Error> {
        let found = find::find(context, &self.query, self.limit.unwrap_or(usize::MAX - 1)).await?;
        Ok(Runs {
            runs: found.hits.into_iter().map(|hit| hit.entry.summary).collect(),
            more: found.more,
            damaged: found.damaged,
            reads: found.reads,
        })
    }
}
