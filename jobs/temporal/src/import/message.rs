//! Messages of the server's internal API (`temporal.server.api.adminservice.v1` and
//! `temporal.server.api.history.v1`), of which clients have no descriptors.

use temporalio_protos::temporal::api::common::v1::{DataBlob, WorkflowExecution};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ImportWorkflowExecutionRequest {
    #[prost(string, tag = "1")]
    pub namespace: String,
    #[prost(message, optional, tag = "2")]
    pub execution: Option<WorkflowExecution>,
    /// None commits what came before.
    #[prost(message, repeated, tag = "3")]
    pub history_batches: Vec<DataBlob>,
    #[prost(message, optional, tag = "4")]
    pub version_history: Option<VersionHistory>,
    /// What the server knows so far, from its last answer.
    #[prost(bytes = "vec", tag = "5")]
    pub token: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ImportWorkflowExecutionResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub token: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct VersionHistory {
    #[prost(bytes = "vec", tag = "1")]
    pub branch_token: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    pub items: Vec<VersionHistoryItem>,
}

/// Up to this event all have this version, back to the item before.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct VersionHistoryItem {
    #[prost(int64, tag = "1")]
    pub event_id: i64,
    #[prost(int64, tag = "2")]
    pub version: i64,
}
