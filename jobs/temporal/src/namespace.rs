//! Namespaces: which there are, how long they keep histories, what their search attributes are
//! called.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use temporalio_protos::temporal::api::enums::v1::NamespaceState;
use temporalio_protos::temporal::api::workflowservice::v1::{
    DescribeNamespaceRequest, DescribeNamespaceResponse, GetClusterInfoRequest,
    GetClusterInfoResponse, ListNamespacesRequest, ListNamespacesResponse,
};

use crate::connect::{Connection, Raw, Request};
use crate::error::Error;

/// The server's own namespace.
const SYSTEM: &str = "temporal-system";

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its id, which a namespace made anew under the same name does not have.
    pub id: String,
    /// For how long after its end an execution is kept.
    pub retention: TimeDelta,
    /// It is being deleted.
    pub deleted: bool,
    /// Names of custom search attributes in the database, such as `Keyword02`, to the user's.
    pub aliases: BTreeMap<String, String>,
    /// What its makers have noted of it.
    pub data: BTreeMap<String, String>,
}

impl Connection {
    /// All namespaces but the server's own and those that are deleted.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] where listing is not allowed, as for most keys of Temporal Cloud:
    /// [`Connection::namespace`] by name then still is.
    pub async fn namespaces(&self) -> Result<Vec<Namespace>, Error> {
        let mut namespaces = Vec::new();
        let mut next_page_token = Vec::new();
        loop {
            let request =
                ListNamespacesRequest { page_size: 100, next_page_token, ..Default::default() };
            let request = Request::Namespaces(request);
            let rpc = request.rpc();
            let page: ListNamespacesResponse = decode(rpc, &self.call(request).await?)?;
            for one in page.namespaces {
                namespaces.push(namespace(rpc, one)?);
            }
            if page.next_page_token.is_empty() {
                break;
            }
            next_page_token = page.next_page_token;
        }
        namespaces.retain(|namespace| namespace.name != SYSTEM && !namespace.deleted);
        Ok(namespaces)
    }

    /// The server's version.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn server_version(&self) -> Result<String, Error> {
        let request = Request::Version(GetClusterInfoRequest {});
        let rpc = request.rpc();
        let answer: GetClusterInfoResponse = decode(rpc, &self.call(request).await?)?;
        Ok(answer.server_version)
    }

    /// One namespace by name.
    ///
    /// # Errors
    /// [`Error::NamespaceGone`] when there is none.
    pub async fn namespace(&self, name: &str) -> Result<Namespace, Error> {
        let request = DescribeNamespaceRequest { namespace: name.to_owned(), ..Default::default() };
        let request = Request::Namespace(request);
        let rpc = request.rpc();
        namespace(rpc, decode(rpc, &self.call(request).await?)?)
    }
}

/// Decodes an answer of which nothing is archived.
pub(crate) fn decode<M: prost::Message + Default>(
    right: &'static str,
    raw: &Raw,
) -> Result<M, Error> {
    M::decode(raw.bytes.clone()).map_err(|error| Error::Response { right, what: error.to_string() })
}

fn namespace(right: &'static str, answer: DescribeNamespaceResponse) -> Result<Namespace, Error> {
    let missing =
        |what: &str| Error::Response { right, what: format!("a namespace without {what}") };
    let info = answer.namespace_info.ok_or_else(|| missing("name"))?;
    let config = answer.config.ok_or_else(|| missing("configuration"))?;
    let retention = config.workflow_execution_retention_ttl.unwrap_or_default();
    Ok(Namespace {
        deleted: info.state == NamespaceState::Deleted as i32,
        name: info.name,
        data: info.data.into_iter().collect(),
        id: info.id,
        retention: TimeDelta::try_seconds(retention.seconds).unwrap_or(TimeDelta::MAX),
        aliases: config.custom_search_attribute_aliases.into_iter().collect(),
    })
}
