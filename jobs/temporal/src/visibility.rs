//! Lists and counts of executions.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use prost::Message as _;
use temporalio_protos::temporal::api::workflow::v1::WorkflowExecutionInfo;
use temporalio_protos::temporal::api::workflowservice::v1::{
    CountWorkflowExecutionsRequest, CountWorkflowExecutionsResponse, ListWorkflowExecutionsRequest,
};

use crate::connect::{Connection, Request};
use crate::error::Error;
use crate::json::wire::{Reader, Value};
use crate::namespace::{Namespace, decode};

/// The server's own cap on a page.
const PAGE: i32 = 1_000;

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// Closed executions, newest first. There may be none although there is a next page.
    pub executions: Vec<Execution>,
    /// Token of the next page; empty after the last one.
    pub next: Vec<u8>,
}

/// A closed execution, one run, as visibility lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Workflow id, which several runs may share.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
    /// Workflow type.
    pub type_name: String,
    /// Task queue.
    pub task_queue: String,
    /// Number of its `temporal.api.enums.v1.WorkflowExecutionStatus`.
    pub status: i32,
    /// When it was closed.
    pub close_time: DateTime<Utc>,
    /// Events of its history.
    pub history_length: i64,
    /// Bytes of its history, about as many as are sent.
    pub history_size_bytes: i64,
    /// The server's `WorkflowExecutionInfo`, as it came.
    pub info: Bytes,
}

impl Connection {
    /// How many executions a query matches.
    ///
    /// # Errors
    /// [`Error::Refused`] when the server cannot read the query.
    pub async fn count(&self, namespace: &Namespace, query: &str) -> Result<u64, Error> {
        let request = CountWorkflowExecutionsRequest {
            namespace: namespace.name.clone(),
            query: query.to_owned(),
        };
        let request = Request::Count(request);
        let rpc = request.rpc();
        let answer: CountWorkflowExecutionsResponse = decode(rpc, &self.call(request).await?)?;
        u64::try_from(answer.count)
            .map_err(|_| Error::Response { right: rpc, what: "a count below zero".into() })
    }

    /// One page of the closed executions that a query matches; the first with an empty token.
    ///
    /// # Errors
    /// [`Error::Refused`] when the server cannot read the query.
    pub async fn list(
        &self,
        namespace: &Namespace,
        query: &str,
        page_token: Vec<u8>,
    ) -> Result<Page, Error> {
        let (infos, next) = self.infos(namespace, query, page_token, PAGE).await?;
        let mut executions = Vec::with_capacity(infos.len());
        for (info, bytes) in infos {
            // A run that is paused is neither closed nor running.
            executions.extend(Execution::new(info, bytes)?);
        }
        Ok(Page { executions, next })
    }

    /// Rows of a list, decoded and as they came, and the token of the next page.
    pub(crate) async fn infos(
        &self,
        namespace: &Namespace,
        query: &str,
        next_page_token: Vec<u8>,
        page_size: i32,
    ) -> Result<(Vec<(WorkflowExecutionInfo, Bytes)>, Vec<u8>), Error> {
        let request = Request::List(ListWorkflowExecutionsRequest {
            namespace: namespace.name.clone(),
            page_size,
            next_page_token,
            query: query.to_owned(),
        });
        let right = request.rpc();
        let raw = self.call(request).await?;
        let unreadable = |what: &str| Error::Response { right, what: what.to_owned() };
        let mut infos = Vec::new();
        let mut next = Vec::new();
        let mut reader = Reader::new(&raw.bytes);
        while !reader.is_empty() {
            match reader.field().map_err(unreadable)? {
                (1, Value::Bytes(bytes)) => {
                    let info = WorkflowExecutionInfo::decode(bytes)
                        .map_err(|error| unreadable(&error.to_string()))?;
                    // Copied, so that one row does not keep the whole page in memory.
                    infos.push((info, Bytes::copy_from_slice(bytes)));
                }
                (2, Value::Bytes(token)) => next = token.to_vec(),
                // What stands beside the rows of a newer server's answer is none of a row's data.
                _ => {}
            }
        }
        Ok((infos, next))
    }
}

impl Execution {
    fn new(info: WorkflowExecutionInfo, bytes: Bytes) -> Result<Option<Self>, Error> {
        let Some(closed) = info.close_time else { return Ok(None) };
        let unreadable = |what: &str| Error::Response {
            right: "ListWorkflowExecutions",
            what: format!("an execution without {what}"),
        };
        let execution = info.execution.ok_or_else(|| unreadable("ids"))?;
        let nanos = u32::try_from(closed.nanos).unwrap_or(u32::MAX);
        Ok(Some(Self {
            workflow_id: execution.workflow_id,
            run_id: execution.run_id,
            type_name: info.r#type.unwrap_or_default().name,
            task_queue: info.task_queue,
            status: info.status,
            close_time: DateTime::from_timestamp(closed.seconds, nanos)
                .ok_or_else(|| unreadable("a possible close time"))?,
            history_length: info.history_length,
            history_size_bytes: info.history_size_bytes,
            info: bytes,
        }))
    }
}
