//! How far runs are now, open ones too.

use chrono::{DateTime, SecondsFormat, Utc};
use temporalio_protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_protos::temporal::api::enums::v1::WorkflowExecutionStatus;
use temporalio_protos::temporal::api::workflow::v1::WorkflowExecutionInfo;
use temporalio_protos::temporal::api::workflowservice::v1::{
    DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse,
};

use crate::connect::{Connection, Request, is_not_found};
use crate::error::Error;
use crate::namespace::decode;

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunNow {
    /// Workflow id.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
    /// Workflow type.
    pub type_name: String,
    /// `WORKFLOW_EXECUTION_STATUS_RUNNING` and so on.
    pub status: String,
    /// When it closed.
    pub close_time: Option<DateTime<Utc>>,
    /// Events of its history.
    pub events: u64,
}

/// Rows asked for at a time.
const PAGE: i32 = 1_000;

impl Connection {
    /// How far a run is; `None` when the server has none of these ids.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn run(
        &self,
        namespace: &str,
        workflow_id: &str,
        run_id: &str,
    ) -> Result<Option<RunNow>, Error> {
        let execution =
            WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id: run_id.to_owned() };
        let request = Request::Describe(DescribeWorkflowExecutionRequest {
            namespace: namespace.to_owned(),
            execution: Some(execution),
        });
        let rpc = request.rpc();
        let raw = match self.call(request).await {
            Ok(raw) => raw,
            Err(error) if is_not_found(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let answer: DescribeWorkflowExecutionResponse = decode(rpc, &raw)?;
        Ok(answer.workflow_execution_info.map(RunNow::from))
    }

    /// Runs that were started at `since` or later, open or closed.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn started_since(
        &self,
        namespace: &str,
        since: DateTime<Utc>,
    ) -> Result<Vec<RunNow>, Error> {
        let namespace = self.namespace(namespace).await?;
        let since = since.to_rfc3339_opts(SecondsFormat::Micros, true);
        let query = format!("StartTime >= '{since}'");
        let mut runs = Vec::new();
        let mut token = Vec::new();
        loop {
            let (infos, next) = self.infos(&namespace, &query, token, PAGE).await?;
            runs.extend(infos.into_iter().map(|(info, _)| RunNow::from(info)));
            if next.is_empty() {
                return Ok(runs);
            }
            token = next;
        }
    }
}

impl From<WorkflowExecutionInfo> for RunNow {
    fn from(info: WorkflowExecutionInfo) -> Self {
        let execution = info.execution.unwrap_or_default();
        Self {
            workflow_id: execution.workflow_id,
            run_id: execution.run_id,
            type_name: info.r#type.unwrap_or_default().name,
            status: WorkflowExecutionStatus::try_from(info.status)
                .map_or_else(|_| info.status.to_string(), |status| status.as_str_name().to_owned()),
            close_time: info.close_time.and_then(|time| {
                DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).ok()?)
            }),
            events: u64::try_from(info.history_length).unwrap_or(0),
        }
    }
}
