//! One archived history.

use std::collections::BTreeSet;

use async_trait::async_trait;
use temporal::segment::{self, Summary};

use super::find::{self, Hit, Search};
use super::old::{OldArchive, OldRun};
use super::{Lost, Query, WorkflowId};
use crate::archive::Pattern;
use crate::runner::{Job, Report, Shared};
use crate::{Context, Error, Verdict};

/// Brings one history back.
#[derive(Debug, Clone)]
pub struct ShowRun {
    /// An archive to read instead of the store.
    pub from: Option<OldArchive>,
    /// Its workflow.
    pub workflow_id: String,
    /// Its run; the one that closed last when not given.
    pub run_id: Option<String>,
    /// Its namespace.
    pub namespace: Option<Pattern>,
}

/// A history.
#[derive(Debug)]
pub struct Shown {
    /// The run.
    pub summary: Summary,
    /// `{"events": […]}`, as the line has it.
    pub history: Vec<u8>,
}

impl Report for Shown {
    fn verdict(&self) -> Verdict {
        Verdict::Done
    }
}

#[async_trait]
impl Job for ShowRun {
    type Report = Shown;
    type Access = Shared;
    const NAME: &'static str = "history show";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Shown, Error> {
        let query = Query {
            namespace: self.namespace.clone(),
            workflow_id: Some(WorkflowId::Is(self.workflow_id.clone())),
            run_id: self.run_id.clone(),
            ..Query::default()
        };
        if let Some(from) = &self.from {
            let opened = from.search(context, &query).await?;
            let summaries: Vec<_> =
                opened.runs.iter().map(|run| OldRun::from(run).summary()).collect();
            let at = self.choose(&summaries, &opened.lost)?;
            let (Some(run), Some(summary)) = (opened.runs.get(at), summaries.into_iter().nth(at))
            else {
                return Err(self.none());
            };
            return Ok(Shown { summary, history: opened.history(run).await? });
        }
        // All runs of a workflow are few, and other namespaces may have the id too.
        let mut search = Search::begin(context, &query, usize::MAX).await?;
        let mut hits = Vec::new();
        while let Some(hit) = search.next(context).await? {
            hits.push(hit);
        }
        let summaries: Vec<_> = hits.iter().map(|hit| hit.entry.summary.clone()).collect();
        let at = self.choose(&summaries, &search.damaged)?;
        let Some(hit) = hits.get(at) else { return Err(self.none()) };
        let history = history(context, hit).await?;
        Ok(Shown { summary: hit.entry.summary.clone(), history })
    }
}

impl ShowRun {
    /// Which of the runs is meant.
    fn choose(&self, runs: &[Summary], lost: &[Lost]) -> Result<usize, Error> {
        for lost in lost {
            tracing::error!("{lost}");
        }
        let namespaces: BTreeSet<&str> = runs.iter().map(|run| run.namespace.as_str()).collect();
        if namespaces.len() > 1 {
            let names: Vec<&str> = namespaces.into_iter().collect();
            return Err(Error::Refused {
                what: format!(
                    "several namespaces have a workflow {:?}: {}",
                    self.workflow_id,
                    names.join(", ")
                ),
                hint: "say which with --namespace".into(),
            });
        }
        if !runs.is_empty() {
            return Ok(0);
        }
        if !lost.is_empty() {
            // It may be in what cannot be read.
            return Err(Error::Unreadable { damage: lost.to_vec() });
        }
        Err(self.none())
    }

    fn none(&self) -> Error {
        let run = self.run_id.as_ref().map(|id| format!(", run {id}")).unwrap_or_default();
        Error::Refused {
            what: format!("no history of workflow {:?}{run} is archived", self.workflow_id),
            hint: "`aidp-backup history search --workflow-id PREFIX` finds what is".into(),
        }
    }
}

/// The history in the line of a run.
pub(crate) async fn history(context: &Context, hit: &Hit) -> Result<Vec<u8>, Error> {
    let line = find::line(context.catalogue.store(), hit).await?;
    let history = segment::history(&line).map_err(|error| Error::segment(&hit.data.key, error))?;
    Ok(history.to_vec())
}
