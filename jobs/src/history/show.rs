//! One archived history.

use std::collections::BTreeSet;

use async_trait::async_trait;
use temporal::segment::{self, Summary};

use super::find::{self, Hit};
use super::{Query, WorkflowId};
use crate::archive::Pattern;
use crate::runner::{Job, Report, Shared};
use crate::{Context, Damage, Error, Verdict};

/// Brings one history back.
#[derive(Debug, Clone)]
pub struct ShowRun {
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
    /// Objects that were read to find it, and lists; its own part of a segment is one more.
    pub reads: u64,
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
        // All runs of a workflow are few, and other namespaces may have the id too.
        let found = find::find(context, &query, usize::MAX - 1).await?;
        for damage in &found.damaged {
            tracing::error!("{damage}");
        }
        let hit = self.choose(&found.hits, &found.damaged)?;
        let history = history(context, hit).await?;
        Ok(Shown { summary: hit.entry.summary.clone(), history, reads: found.reads + 1 })
    }
}

impl ShowRun {
    fn choose<'a>(&self, hits: &'a [Hit], damaged: &[Damage]) -> Result<&'a Hit, Error> {
        let namespaces: BTreeSet<&str> =
            hits.iter().map(|hit| hit.entry.summary.namespace.as_str()).collect();
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
        if let Some(hit) = hits.first() {
            return Ok(hit);
        }
        if !damaged.is_empty() {
            // It may be in what cannot be read.
            return Err(Error::Unreadable { damage: damaged.to_vec() });
        }
        let run = self.run_id.as_ref().map(|id| format!(", run {id}")).unwrap_or_default();
        Err(Error::Refused {
            what: format!("no history of workflow {:?}{run} is archived", self.workflow_id),
            hint: "`aidp-backup history search --workflow-id PREFIX` finds what is".into(),
        })
    }
}

/// The history in the line of a run.
pub(crate) async fn history(context: &Context, hit: &Hit) -> Result<Vec<u8>, Error> {
    let line = find::line(context.catalogue.store(), hit).await?;
    let history = segment::history(&line).map_err(|error| Error::segment(&hit.data.key, error))?;
    Ok(history.to_vec())
}
