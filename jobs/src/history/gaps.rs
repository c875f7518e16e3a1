//! What Temporal has and the archive has not.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use temporal::connect::{self, Connection};
use vault::window::Windows;

use crate::archive::{self, Compared, NamespaceRule};
use crate::runner::{Job, Report, Shared};
use crate::{Context, Damage, Error, Verdict};

/// Compares the archive with Temporal, run by run, and its windows with their neighbours.
#[derive(Debug, Clone)]
pub struct Gaps {
    /// How Temporal is reached.
    pub temporal: connect::Options,
    /// What should be archived.
    pub namespaces: Vec<NamespaceRule>,
    /// Age at which a closed execution should be archived.
    pub settle: TimeDelta,
}

/// What is missing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// Namespace by namespace.
    pub namespaces: Vec<MissingNamespace>,
    /// Manifests and indexes that cannot be used; what they hold counts as missing.
    pub damaged: Vec<Damage>,
}

/// What is missing of a namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MissingNamespace {
    /// Its name.
    pub namespace: String,
    /// Everything that closed before this is covered; `None` when nothing is.
    pub covered_until: Option<DateTime<Utc>>,
    /// Intervals between windows that no window covers.
    pub uncovered: Vec<Uncovered>,
    /// Closed runs that Temporal lists.
    pub listed: u64,
    /// Those of them that are not archived.
    pub missing: u64,
    /// The oldest of those, at most a hundred.
    pub runs: Vec<MissingRun>,
    /// Why it could not be compared.
    pub error: Option<String>,
}

/// An interval that no window covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Uncovered {
    /// First instant in it.
    pub from: DateTime<Utc>,
    /// First instant after it.
    pub to: DateTime<Utc>,
}

/// A run that Temporal lists and the archive has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MissingRun {
    /// Workflow id.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
    /// When it closed.
    pub close_time: DateTime<Utc>,
}

impl Report for Missing {
    fn verdict(&self) -> Verdict {
        if self.namespaces.iter().any(|namespace| namespace.error.is_some()) {
            Verdict::Failed
        } else if !self.damaged.is_empty() {
            Verdict::Damaged
        } else if self.namespaces.iter().any(|namespace| namespace.missing > 0) {
            Verdict::Overdue
        } else {
            Verdict::Done
        }
    }
}

#[async_trait]
impl Job for Gaps {
    type Report = Missing;
    type Access = Shared;
    const NAME: &'static str = "history gaps";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Missing, Error> {
        let connection = Connection::open(&self.temporal).await.map_err(Error::temporal)?;
        let chosen = archive::choose(&connection, &self.namespaces).await?;
        let windows = Windows::new(context.catalogue.store().clone());
        let mut missing = Missing { namespaces: Vec::new(), damaged: Vec::new() };
        for (namespace, error) in chosen.missing {
            missing.namespaces.push(MissingNamespace::failed(namespace, &error));
        }
        for (namespace, rule) in chosen.namespaces {
            context.go_on()?;
            let name = namespace.name.clone();
            let until = context.clock.now() - self.settle;
            let compared =
                archive::compare(context, &connection, &windows, namespace, &rule, until).await;
            match compared {
                Ok(compared) => missing.add(compared),
                Err(error) if error.is_of_the_store() || matches!(error, Error::Cancelled) => {
                    return Err(error);
                }
                Err(error) => missing.namespaces.push(MissingNamespace::failed(name, &error)),
            }
        }
        Ok(missing)
    }
}

impl Missing {
    fn add(&mut self, compared: Compared) {
        self.damaged.extend(compared.damaged);
        self.namespaces.push(MissingNamespace {
            namespace: compared.namespace,
            covered_until: compared.covered_until,
            uncovered: compared.uncovered,
            listed: compared.listed,
            missing: compared.missing,
            runs: compared.runs,
            error: None,
        });
    }
}

impl MissingNamespace {
    fn failed(namespace: String, error: &Error) -> Self {
        Self {
            namespace,
            covered_until: None,
            uncovered: Vec::new(),
            listed: 0,
            missing: 0,
            runs: Vec::new(),
            error: Some(crate::chain(error)),
        }
    }
}
