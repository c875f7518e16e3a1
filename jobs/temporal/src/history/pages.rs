//! Pages of a history, as large as is good for both sides.

use temporalio_protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_protos::temporal::api::workflowservice::v1::GetWorkflowExecutionHistoryRequest;

use super::response::Page;
use crate::connect::{Connection, Raw, Request, is_not_found};
use crate::error::Error;
use crate::namespace::Namespace;
use crate::visibility::Execution;

/// The server's cap on batches in a page.
const MOST_BATCHES: i32 = 256;

/// Events in a batch, about: what happens in one workflow task.
const EVENTS_A_BATCH: f64 = 3.0;

/// The pages of one run's history, in order.
pub(super) struct Pages<'a> {
    connection: &'a Connection,
    request: GetWorkflowExecutionHistoryRequest,
    /// Bytes that a page should have.
    wanted: usize,
    done: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(connection: &'a Connection, namespace: &Namespace, run: &Execution) -> Self {
        let wanted = connection.inner.limiter.limits.page.max(1);
        Self {
            connection,
            request: GetWorkflowExecutionHistoryRequest {
                namespace: namespace.name.clone(),
                execution: Some(WorkflowExecution {
                    workflow_id: run.workflow_id.clone(),
                    run_id: run.run_id.clone(),
                }),
                maximum_page_size: batches(run, wanted),
                // Otherwise every page costs the server a look at its own archive.
                skip_archival: true,
                ..Default::default()
            },
            wanted,
            done: false,
        }
    }

    /// The next page as it came.
    pub(super) async fn raw(&mut self) -> Result<Option<Raw>, Error> {
        if self.done {
            return Ok(None);
        }
        loop {
            match self.connection.call(Request::History(self.request.clone())).await {
                Ok(raw) => return Ok(Some(raw)),
                // A page token does not care how many batches the page has.
                Err(Error::PageTooLarge { .. }) if self.request.maximum_page_size > 1 => {
                    self.request.maximum_page_size = (self.request.maximum_page_size / 4).max(1);
                }
                Err(error) if is_not_found(&error) => {
                    let execution = self.request.execution.clone().unwrap_or_default();
                    let (workflow_id, run_id) = (execution.workflow_id, execution.run_id);
                    return Err(Error::Vanished { workflow_id, run_id });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The next page.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, Error> {
        let Some(raw) = self.raw().await? else { return Ok(None) };
        let page = Page::parse(raw)?;
        self.turn(&page);
        Ok(Some(page))
    }

    /// Goes on behind a page.
    pub(super) fn turn(&mut self, page: &Page) {
        self.done = page.next.is_empty();
        self.request.next_page_token.clone_from(&page.next);
        // Sizes vary within a history: what follows a page that was too large likely is too.
        if page.len() > 2 * self.wanted {
            let share = self.wanted as f64 / page.len() as f64;
            let fewer = (f64::from(self.request.maximum_page_size) * share) as i32;
            self.request.maximum_page_size = fewer.max(1);
        }
    }
}

/// How many batches make a page of the wanted size, by what visibility says of the run.
fn batches(run: &Execution, wanted: usize) -> i32 {
    let bytes = run.history_size_bytes as f64;
    if bytes <= wanted as f64 || run.history_length <= 0 {
        return MOST_BATCHES;
    }
    let batch = bytes / run.history_length as f64 * EVENTS_A_BATCH;
    ((wanted as f64 / batch) as i32).clamp(1, MOST_BATCHES)
}
