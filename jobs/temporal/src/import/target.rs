//! Namespaces to import into: made, told their search attributes, removed.

use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;
use temporalio_protos::temporal::api::enums::v1::IndexedValueType;
use temporalio_protos::temporal::api::operatorservice::v1::{
    AddSearchAttributesRequest, DeleteNamespaceRequest, ListSearchAttributesRequest,
    ListSearchAttributesResponse,
};
use temporalio_protos::temporal::api::workflowservice::v1::RegisterNamespaceRequest;

use crate::connect::{Connection, Request};
use crate::error::Error;
use crate::history::alias;
use crate::namespace::{Namespace, decode};

impl Connection {
    /// Makes a namespace of this cluster alone. The server's caches take some seconds to know it.
    ///
    /// # Errors
    /// When there is one already, for instance.
    pub async fn register(
        &self,
        name: &str,
        retention: TimeDelta,
        data: &[(&str, &str)],
    ) -> Result<(), Error> {
        let data = data.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.call(Request::Register(RegisterNamespaceRequest {
            namespace: name.to_owned(),
            description: "made by aidp-backup from archived histories".into(),
            workflow_execution_retention_period: retention
                .to_std()
                .ok()
                .and_then(|span| span.try_into().ok()),
            data: data.collect::<HashMap<_, _>>(),
            ..Default::default()
        }))
        .await
        .map(drop)
    }

    /// Deletes a namespace with all that is in it, which the server goes on with by itself.
    ///
    /// # Errors
    /// What the server refuses.
    pub async fn unregister(&self, namespace: &Namespace) -> Result<(), Error> {
        self.call(Request::Unregister(DeleteNamespaceRequest {
            namespace_id: namespace.id.clone(),
            ..Default::default()
        }))
        .await
        .map(drop)
    }

    /// Types of a namespace's custom search attributes, by name.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn search_attributes(&self, name: &str) -> Result<BTreeMap<String, String>, Error> {
        let request =
            Request::Attributes(ListSearchAttributesRequest { namespace: name.to_owned() });
        let rpc = request.rpc();
        let answer: ListSearchAttributesResponse = decode(rpc, &self.call(request).await?)?;
        let all = answer.custom_attributes.into_iter();
        Ok(all.map(|(name, kind)| (name, kind_name(kind))).collect())
    }

    /// Adds the search attributes that a namespace has not, each with its type as payloads name
    /// it, `KeywordList`. The server's caches take some seconds to know them.
    ///
    /// # Errors
    /// [`Error::Config`] for a type that none has, or one that the namespace has with another;
    /// what the server refuses, for lack of room for instance.
    pub async fn ensure_search_attributes(
        &self,
        namespace: &str,
        wanted: &BTreeMap<String, String>,
    ) -> Result<usize, Error> {
        let known = self.search_attributes(namespace).await?;
        let mut missing = HashMap::new();
        for (name, kind) in wanted {
            if alias::is_predefined(name) {
                continue;
            }
            match known.get(name) {
                Some(has) if has == kind => {}
                Some(has) => {
                    return Err(Error::Config {
                        what: format!(
                            "search attribute {name:?} is a {kind} in the archive and a {has} in \
                             namespace {namespace:?}"
                        ),
                        hint: "import into a fresh namespace".into(),
                    });
                }
                None => {
                    let number = kind_number(kind).ok_or_else(|| Error::Config {
                        what: format!("search attribute {name:?} has the unknown type {kind:?}"),
                        hint: "add it by hand: `temporal operator search-attribute create`".into(),
                    })?;
                    missing.insert(name.clone(), number);
                }
            }
        }
        let count = missing.len();
        if count > 0 {
            self.call(Request::AddAttributes(AddSearchAttributesRequest {
                search_attributes: missing,
                namespace: namespace.to_owned(),
            }))
            .await?;
        }
        Ok(count)
    }

    /// Running workflows of a namespace.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn running(&self, namespace: &Namespace) -> Result<u64, Error> {
        self.count(namespace, "ExecutionStatus = 'Running'").await
    }
}

/// Types with the names that payloads have.
const KINDS: [(&str, IndexedValueType); 7] = [
    ("Bool", IndexedValueType::Bool),
    ("Datetime", IndexedValueType::Datetime),
    ("Double", IndexedValueType::Double),
    ("Int", IndexedValueType::Int),
    ("Keyword", IndexedValueType::Keyword),
    ("KeywordList", IndexedValueType::KeywordList),
    ("Text", IndexedValueType::Text),
];

fn kind_number(name: &str) -> Option<i32> {
    KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind as i32)
}

fn kind_name(number: i32) -> String {
    let known = KINDS.iter().find(|(_, kind)| *kind as i32 == number);
    known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}
