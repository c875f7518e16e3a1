//! The few calls that we make. Those of [`crate::import`] write; all others only read.

use std::time::Duration;

use bytes::Bytes;
use temporalio_protos::temporal::api::operatorservice::v1::{
    AddSearchAttributesRequest, DeleteNamespaceRequest, ListSearchAttributesRequest,
};
use temporalio_protos::temporal::api::workflowservice::v1::{
    CountWorkflowExecutionsRequest, DescribeNamespaceRequest, DescribeTaskQueueRequest,
    DescribeWorkflowExecutionRequest, GetClusterInfoRequest, GetWorkflowExecutionHistoryRequest,
    ListNamespacesRequest, ListWorkflowExecutionsRequest, RegisterNamespaceRequest,
};
use tonic::Status;

use super::transport::Instead;

const IMPORT: &str = "/temporal.server.api.adminservice.v1.AdminService/ImportWorkflowExecution";

const CLUSTER: &str = "/temporal.server.api.adminservice.v1.AdminService/DescribeCluster";

/// A request to the frontend.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    History(GetWorkflowExecutionHistoryRequest),
    List(ListWorkflowExecutionsRequest),
    Count(CountWorkflowExecutionsRequest),
    Namespace(DescribeNamespaceRequest),
    Namespaces(ListNamespacesRequest),
    TaskQueue(DescribeTaskQueueRequest),
    Version(GetClusterInfoRequest),
    Describe(DescribeWorkflowExecutionRequest),
    /// An encoded `ImportWorkflowExecutionRequest` into a namespace.
    Import {
        namespace: String,
        message: Bytes,
    },
    Register(RegisterNamespaceRequest),
    Unregister(DeleteNamespaceRequest),
    Attributes(ListSearchAttributesRequest),
    AddAttributes(AddSearchAttributesRequest),
    /// `DescribeCluster`; the message is another call's, and is empty.
    Members(ListNamespacesRequest),
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
            Self::Version(_) => "GetClusterInfo",
            Self::Describe(_) => "DescribeWorkflowExecution",
            Self::Import { .. } => "ImportWorkflowExecution",
            Self::Register(_) => "RegisterNamespace",
            Self::Unregister(_) => "DeleteNamespace",
            Self::Attributes(_) => "ListSearchAttributes",
            Self::AddAttributes(_) => "AddSearchAttributes",
            Self::Members(_) => "DescribeCluster",
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
            Self::Describe(request) => &request.namespace,
            Self::Import { namespace, .. } => namespace,
            Self::Register(request) => &request.namespace,
            Self::Unregister(request) => &request.namespace,
            Self::Attributes(request) => &request.namespace,
            Self::AddAttributes(request) => &request.namespace,
            Self::Namespaces(_) | Self::Members(_) | Self::Version(_) => return None,
        })
    }

    /// What is sent in place of the client's call, where it has no stub.
    pub(super) fn instead(&self) -> Option<Instead> {
        match self {
            Self::Import { message, .. } => {
                Some(Instead { path: IMPORT, message: message.clone() })
            }
            Self::Members(_) => Some(Instead { path: CLUSTER, message: Bytes::new() }),
            _ => None,
        }
    }

    /// Sends it through the client. The answer's bytes are in the transport's slot; what the
    /// client itself returns is empty.
    pub(super) async fn send(
        self,
        client: &temporalio_client::Connection,
        deadline: Duration,
    ) -> Result<(), Status> {
        let mut service = client.workflow_service();
        let mut operator = client.operator_service();
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
            // Of the first, another call goes out in its place.
            Self::Members(request) | Self::Namespaces(request) => {
                service.list_namespaces(within(deadline, request)).await.map(drop)
            }
            Self::TaskQueue(request) => {
                service.describe_task_queue(within(deadline, request)).await.map(drop)
            }
            Self::Version(request) => {
                service.get_cluster_info(within(deadline, request)).await.map(drop)
            }
            Self::Describe(request) => {
                service.describe_workflow_execution(within(deadline, request)).await.map(drop)
            }
            // Any call of this namespace: another goes out in its place.
            Self::Import { namespace, .. } => {
                let request = DescribeNamespaceRequest { namespace, ..Default::default() };
                service.describe_namespace(within(deadline, request)).await.map(drop)
            }
            Self::Register(request) => {
                service.register_namespace(within(deadline, request)).await.map(drop)
            }
            Self::Unregister(request) => {
                operator.delete_namespace(within(deadline, request)).await.map(drop)
            }
            Self::Attributes(request) => {
                operator.list_search_attributes(within(deadline, request)).await.map(drop)
            }
            Self::AddAttributes(request) => {
                operator.add_search_attributes(within(deadline, request)).await.map(drop)
            }
        }
    }
}

fn within<T>(deadline: Duration, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(deadline);
    request
}
