//! Which archived runs are wanted.

use chrono::{DateTime, Utc};
use serde_json::Value;
use temporal::segment::{Prefilter, Summary};

use crate::archive::Pattern;

/// Which runs; what is left out restricts nothing.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Of these namespaces.
    pub namespace: Option<Pattern>,
    /// Of this workflow.
    pub workflow_id: Option<WorkflowId>,
    /// This run.
    pub run_id: Option<String>,
    /// Of this workflow type.
    pub type_name: Option<String>,
    /// That ended so, as lines name it; none means all.
    pub statuses: Vec<String>,
    /// That closed then or later.
    pub since: Option<DateTime<Utc>>,
    /// That closed earlier than this.
    pub until: Option<DateTime<Utc>>,
    /// That come after this place in a list, which has the newest first: the close time and the
    /// run id of the last run before.
    pub after: Option<(DateTime<Utc>, String)>,
    /// Whose search attributes have these values, or have them among their values.
    pub attributes: Vec<(String, String)>,
}

/// A workflow id, whole or its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowId {
    /// The whole id.
    Is(String),
    /// The beginning of it.
    Begins(String),
}

impl Query {
    /// Whether a run is wanted.
    pub(crate) fn matches(&self, run: &Summary) -> bool {
        let in_namespace = |it: &Pattern| it.matches(&run.namespace);
        let of_workflow = |it: &WorkflowId| match it {
            WorkflowId::Is(id) => *id == run.workflow_id,
            WorkflowId::Begins(prefix) => run.workflow_id.starts_with(prefix),
        };
        self.namespace.as_ref().is_none_or(in_namespace)
            && self.workflow_id.as_ref().is_none_or(of_workflow)
            && self.run_id.as_ref().is_none_or(|id| *id == run.run_id)
            && self.type_name.as_ref().is_none_or(|name| *name == run.type_name)
            && (self.statuses.is_empty() || self.statuses.contains(&run.status))
            && self.since.is_none_or(|since| run.close_time >= since)
            && self.until.is_none_or(|until| run.close_time < until)
            && self.after.as_ref().is_none_or(|(time, id)| {
                run.close_time < *time || (run.close_time == *time && run.run_id > *id)
            })
            && self.attributes.iter().all(|(name, value)| has_attribute(run, name, value))
    }

    /// Whether it restricts times and nothing else.
    pub(crate) fn is_of_time_alone(&self) -> bool {
        self.namespace.is_none()
            && self.workflow_id.is_none()
            && self.run_id.is_none()
            && self.type_name.is_none()
            && self.statuses.is_empty()
            && self.after.is_none()
            && self.attributes.is_empty()
    }

    /// Whether runs that closed from `first` to `last` can be wanted.
    pub(crate) fn reaches(&self, first: DateTime<Utc>, last: DateTime<Utc>) -> bool {
        // Names of windows tell microseconds.
        self.since.is_none_or(|since| last.timestamp_micros() >= since.timestamp_micros())
            && self.until.is_none_or(|until| first < until)
            && self.after.as_ref().is_none_or(|(time, _)| first <= *time)
    }

    /// Identities that every wanted run has, for filters over them.
    pub(crate) fn identities(&self) -> impl Iterator<Item = &str> {
        let workflow = match &self.workflow_id {
            Some(WorkflowId::Is(id)) => Some(id.as_str()),
            _ => None,
        };
        workflow.into_iter().chain(self.run_id.as_deref())
    }

    /// What index lines of wanted runs hold.
    pub(crate) fn prefilter(&self) -> Prefilter {
        let mut filter = Prefilter::new();
        match &self.workflow_id {
            Some(WorkflowId::Is(id)) => filter = filter.workflow_id(id),
            Some(WorkflowId::Begins(prefix)) => filter = filter.workflow_id_prefix(prefix),
            None => {}
        }
        if let Some(id) = &self.run_id {
            filter = filter.run_id(id);
        }
        if let Some(name) = &self.type_name {
            filter = filter.type_name(name);
        }
        if let [status] = self.statuses.as_slice() {
            filter = filter.status(status);
        }
        self.attributes.iter().fold(filter, |filter, (name, _)| filter.search_attribute(name))
    }
}

/// Whether a search attribute has a value, or has it in its list.
fn has_attribute(run: &Summary, name: &str, wanted: &str) -> bool {
    let is = |value: &Value| match value {
        Value::String(text) => text == wanted,
        other => {
            let text = other.to_string();
            text == wanted
        }
    };
    match run.search_attributes.get(name).and_then(|attribute| attribute.get("value")) {
        Some(Value::Array(values)) => values.iter().any(is),
        Some(value) => is(value),
        None => false,
    }
}
