//! Archived runs, listed.

use async_trait::async_trait;
use serde::Serialize;
use temporal::segment::Summary;
use tokio::sync::mpsc::Sender;

use super::find::Search;
use super::old::OldArchive;
use super::{Listed, Lost, Query};
use crate::runner::{Job, Report, Shared};
use crate::{Context, Error, Verdict};

/// Lists archived runs, newest first, all at once.
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
    pub damaged: Vec<Lost>,
}

/// Lists archived runs, newest first, one by one.
#[derive(Debug)]
pub struct StreamRuns {
    /// An archive to read instead of the store.
    pub from: Option<OldArchive>,
    /// Which.
    pub query: Query,
    /// At most so many; `None` for all.
    pub limit: Option<usize>,
    /// Where they go as they are found: there may be more than memory holds.
    pub runs: Sender<Listed>,
}

/// What came besides the runs.
#[derive(Debug)]
pub struct StreamedRuns {
    /// Whether there are more.
    pub more: bool,
    /// What could not be read; runs of it are missing.
    pub damaged: Vec<Lost>,
}

impl Report for StreamedRuns {
    fn verdict(&self) -> Verdict {
        if self.damaged.is_empty() { Verdict::Done } else { Verdict::Damaged }
    }
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
        let limit = self.limit.unwrap_or(usize::MAX - 1);
        // One more tells whether there are more.
        let mut search = Search::begin(context, &self.query, limit + 1).await?;
        let mut runs = Vec::new();
        while let Some(hit) = search.next(context).await? {
            if runs.len() == limit {
                return Ok(Runs { runs, more: true, damaged: search.damaged });
            }
            runs.push(hit.entry.summary);
        }
        Ok(Runs { runs, more: false, damaged: search.damaged })
    }
}

#[async_trait]
impl Job for StreamRuns {
    type Report = StreamedRuns;
    type Access = Shared;
    const NAME: &'static str = "history list";

    async fn run(&self, context: &Context, _: &Shared) -> Result<StreamedRuns, Error> {
        let limit = self.limit.unwrap_or(usize::MAX - 1);
        if let Some(from) = &self.from {
            let opened = from.search(context, &self.query).await?;
            for run in opened.runs.iter().take(limit) {
                self.give(Listed::Old(Box::new(run.into()))).await?;
            }
            return Ok(StreamedRuns { more: opened.runs.len() > limit, damaged: opened.lost });
        }
        // One more tells whether there are more.
        let mut search = Search::begin(context, &self.query, limit + 1).await?;
        let mut given = 0;
        while let Some(hit) = search.next(context).await? {
            if given == limit {
                return Ok(StreamedRuns { more: true, damaged: search.damaged });
            }
            self.give(Listed::Archived(Box::new(hit.entry.summary))).await?;
            given += 1;
        }
        Ok(StreamedRuns { more: false, damaged: search.damaged })
    }
}

impl StreamRuns {
    async fn give(&self, run: Listed) -> Result<(), Error> {
        // Whoever reads no longer wants no more.
        self.runs.send(run).await.map_err(|_| Error::Cancelled)
    }
}
