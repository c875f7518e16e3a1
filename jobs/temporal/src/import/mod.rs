//! Archived histories back into a Temporal, through `AdminService.ImportWorkflowExecution`.
//!
//! That call rebuilds a closed run from its events and schedules what follows a close, so it is for
//! clusters that can be thrown away. It says nothing when a run of these ids is there already,
//! whatever its content: only [`Connection::read_back`] tells what the cluster has.

mod events;
mod facts;
mod listed;
mod message;
mod target;

use std::ops::Range;

use bytes::Bytes;
use prost::Message as _;
use temporalio_protos::temporal::api::common::v1::WorkflowExecution;

use crate::connect::{Connection, Request};
use crate::error::Error;
use crate::namespace::{Namespace, decode};
use crate::segment::{self, Summary};

pub use crate::history::{Difference, ReadBack};
pub use events::Translator;
pub use facts::{Facts, Link};
pub use listed::Unlike;

use events::Requests;
use message::ImportWorkflowExecutionResponse;

/// Histories from this size on are worked on beside the asynchronous threads.
const HEAVY: usize = 128 << 10;

/// A run as the archive has it.
#[derive(Debug, Clone)]
pub struct Archived {
    /// What its line says besides the history.
    pub summary: Summary,
    /// Events, as its index has it.
    pub events: u64,
    line: Bytes,
    history: Range<usize>,
}

impl Archived {
    /// A run of an index, and its line.
    ///
    /// # Errors
    /// When the line has no history at its end.
    pub fn new(entry: &segment::Entry, line: Vec<u8>) -> Result<Self, segment::Error> {
        let history = segment::history(&line)?.len();
        // It stands at the end, before the closing brace.
        let end = line.len().saturating_sub(1);
        Ok(Self {
            summary: entry.summary.clone(),
            events: entry.at.events,
            history: end.saturating_sub(history)..end,
            line: line.into(),
        })
    }

    /// `{"events":[…]}`, byte for byte.
    #[must_use]
    pub fn history(&self) -> Bytes {
        self.line.slice(self.history.clone())
    }

    /// The history's wire bytes in base64, kept where a newer server's fields have no JSON.
    fn history_proto(&self) -> Option<&[u8]> {
        segment::history_proto(&self.line)
    }
}

impl Connection {
    /// Imports a run and commits it. A run of these ids that is there already stays as it is, and
    /// nothing tells: read it back.
    ///
    /// # Errors
    /// [`Error::Import`] for a history that must not be imported or has no form on the wire, and
    /// what the server refuses: [`Error::Refused`] with `Unimplemented` where the cluster does not
    /// import at all, with `InvalidArgument` where a search attribute is not known yet.
    pub async fn import(
        &self,
        namespace: &Namespace,
        run: &Archived,
        facts: &Facts,
        translator: &Translator,
    ) -> Result<(), Error> {
        let mut requests = Requests::new(run, facts, translator)?;
        let mut token = Vec::new();
        loop {
            let (rest, batches) = requests.next(token.len()).await?;
            requests = rest;
            let last = batches.is_empty();
            let message = message::ImportWorkflowExecutionRequest {
                namespace: namespace.name.clone(),
                execution: Some(WorkflowExecution {
                    workflow_id: run.summary.workflow_id.clone(),
                    run_id: run.summary.run_id.clone(),
                }),
                history_batches: batches,
                version_history: Some(facts.version_history()),
                token,
            };
            let request = Request::Import {
                namespace: namespace.name.clone(),
                message: message.encode_to_vec().into(),
            };
            let rpc = request.rpc();
            let answer: ImportWorkflowExecutionResponse = decode(rpc, &self.call(request).await?)?;
            if last {
                return Ok(());
            }
            token = answer.token;
        }
    }
}
