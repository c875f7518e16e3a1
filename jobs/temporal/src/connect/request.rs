//! The few calls that we make, all of which only read.

use std::time::Duration;

use temporalio_client::grpc::WorkflowService;
use temporalio_protos::temporal::api::workflowservice::v1::{
    CountWorkflowExecutionsRequest, DescribeNamespaceRequest, DescribeTaskQueueRequest,
    GetWorkflowExecutionHistoryRequest, ListNamespacesRequest, ListWorkflowExecutionsRequest,
};
use tonic::Status;

/// A request to the frontend.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    History(GetWorkflowExecutionHistoryRequest),
    List(ListWorkflowExecutionsRequest),
    Count(CountWorkflowExecutionsRequest),
    Namespace(DescribeNamespaceRequest),
    Namespaces(ListNamespacesRequest),
    TaskQueue(DescribeTaskQueueRequest),
}

impl Request {
    /// Name of the RPC, which is also what authorizers grant.
    pub(crate) fn rpc(&self) -> &'static str {
        match self {
            Self::History(_) => "GetWorkflowExecutionHistory",
            Self::List(_) => "ListWorkflowExecutions",
            Self::Count(_) => "CountWorkflowExecutions",
            Self::Namespace(_) => "DescribeNamespace",
            Self::Namespaces(_) => "ListNamespaces",
            Self::TaskQueue(_) => "DescribeTaskQueue",
        }
    }

    /// The namespace it is about.
    pub(crate) fn namespace(&self) -> Option<&str> {
        Some(match self {
            Self::History(request) => &request.namespace,
            Self::List(request) => &request.namespace,
            Self::Count(request) => &request.namespace,
            Self::Namespace(request) => &request.namespace,
            Self::TaskQueue(request) => &request.namespace,
            Self::Namespaces(_) => return None,
        })
    }

    /// Sends it through the client. The answer's bytes are in the transport's slot; what the
    /// client itself returns is empty.
    pub(super) async fn send(
        self,
        mut service: Box<dyn WorkflowService>,
        deadline: Duration,
    ) -> Result<(), Status> {
        match self {
            Self::History(request) => {
                service.get_workflow_execution_history(within(deadline, request)).await.map(drop)
            }
            Self::List(request) => {
                service.list_workflow_executions(within(deadline, request)).await.map(drop)
            }
            Self::Count(request) => {
                service.count_workflow_executions(within(deadline, request)).await.map(drop)
            }
            Self::Namespace(request) => {
                service.describe_namespace(within(deadline, request)).await.map(drop)
            }
            Self::Namespaces(request) => {
                service.list_namespaces(within(deadline, request)).await.map(drop)
            }
            Self::TaskQueue(request) => {
                service.describe_task_queue(within(deadline, request)).await.map(drop)
            }
        }
    }
}

fn within<T>(deadline: Duration, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(deadline);
    request
}
