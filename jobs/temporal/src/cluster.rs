//! What a cluster says of itself: its name, its shards, and who is in its rings.
//!
//! `AdminService.DescribeCluster` of a self-hosted server, on the frontend's port; the messages
//! are those of `temporal/server/api/adminservice/v1` and `temporal/server/api/cluster/v1`.

use temporalio_protos::temporal::api::workflowservice::v1::ListNamespacesRequest;

use crate::connect::{Connection, Request};
use crate::error::Error;
use crate::namespace::decode;

/// A cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Version of the server that answered.
    pub version: String,
    /// History shards.
    pub shards: u32,
    /// The rings of its services.
    pub rings: Vec<Ring>,
    /// `HOST:PORT` of every member that gossip reaches.
    pub reachable: Vec<String>,
}

/// One service's processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// `frontend`, `history`, `matching`, `worker`.
    pub role: String,
    /// `HOST:PORT` of each.
    pub members: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DescribeClusterResponse {
    #[prost(string, tag = "2")]
    server_version: String,
    #[prost(message, optional, tag = "3")]
    membership_info: Option<MembershipInfo>,
    #[prost(string, tag = "5")]
    cluster_name: String,
    #[prost(int32, tag = "6")]
    history_shard_count: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MembershipInfo {
    #[prost(string, repeated, tag = "2")]
    reachable_members: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    rings: Vec<RingInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RingInfo {
    #[prost(string, tag = "1")]
    role: String,
    #[prost(int32, tag = "2")]
    member_count: i32,
    #[prost(message, repeated, tag = "3")]
    members: Vec<HostInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HostInfo {
    #[prost(string, tag = "1")]
    identity: String,
}

impl Connection {
    /// Asks the cluster about itself.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] where the role may not ask; [`Error::Refused`] by what is no
    /// self-hosted server.
    pub async fn cluster(&self) -> Result<Cluster, Error> {
        let request = Request::Members(ListNamespacesRequest::default());
        let rpc = request.rpc();
        let answer: DescribeClusterResponse = decode(rpc, &self.call(request).await?)?;
        let membership = answer.membership_info.unwrap_or_default();
        Ok(Cluster {
            name: answer.cluster_name,
            version: answer.server_version,
            shards: u32::try_from(answer.history_shard_count).unwrap_or(0),
            rings: membership
                .rings
                .into_iter()
                .filter(|ring| ring.member_count > 0)
                .map(|ring| Ring {
                    role: ring.role,
                    members: ring.members.into_iter().map(|host| host.identity).collect(),
                })
                .collect(),
            reachable: membership.reachable_members,
        })
    }
}
