//! What a history tells of its run, held against what its line says.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Archived;
use super::message::{VersionHistory, VersionHistoryItem};
use crate::segment::Summary;

/// What a history tells of its run.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Events in it.
    pub events: u64,
    started: Started,
    last: Head,
    /// The run that the last reset in it has made.
    reset_to: Option<String>,
    /// The run after it in its chain.
    continued_by: Option<String>,
    versions: Vec<VersionHistoryItem>,
}

/// A run's place in a chain of runs, each of which continues the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// The run that it says it continues.
    pub before: Option<String>,
    /// The run that it says comes after it.
    pub after: Option<String>,
}

#[derive(Debug, Deserialize)]
struct History<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    event_id: String,
    #[serde(default)]
    event_time: Option<DateTime<Utc>>,
    event_type: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    workflow_task_failed_event_attributes: Option<TaskFailed>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct First {
    workflow_execution_started_event_attributes: Started,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Started {
    workflow_type: Named,
    task_queue: Named,
    workflow_id: String,
    original_execution_run_id: String,
    first_execution_run_id: String,
    continued_execution_run_id: String,
    parent_workflow_execution: Option<Ids>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Ids {
    workflow_id: String,
    run_id: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TaskFailed {
    cause: String,
    new_run_id: String,
}

/// Any of the attributes of a last event that name the next run.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Last {
    workflow_execution_continued_as_new_event_attributes: Successor,
    workflow_execution_completed_event_attributes: Successor,
    workflow_execution_failed_event_attributes: Successor,
    workflow_execution_timed_out_event_attributes: Successor,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Successor {
    new_execution_run_id: String,
}

/// The last event of a run, by how it ended.
const ENDS: [(&str, &str); 6] = [
    ("WORKFLOW_EXECUTION_STATUS_COMPLETED", "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED"),
    ("WORKFLOW_EXECUTION_STATUS_FAILED", "EVENT_TYPE_WORKFLOW_EXECUTION_FAILED"),
    ("WORKFLOW_EXECUTION_STATUS_CANCELED", "EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED"),
    ("WORKFLOW_EXECUTION_STATUS_TERMINATED", "EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED"),
    ("WORKFLOW_EXECUTION_STATUS_TIMED_OUT", "EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT"),
    (
        "WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW",
        "EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
    ),
];

const STARTED: &str = "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED";
const RESET: &str = "WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW";

impl Facts {
    /// Reads a run's history; what is given instead says why it cannot be one of a closed run.
    ///
    /// # Errors
    /// Events that are missing, out of order or unreadable; a history that does not begin with a
    /// start or does not end with an end.
    pub fn read(run: &Archived) -> Result<Self, String> {
        let history = run.history();
        let history: History<'_> = serde_json::from_slice(&history)
            .map_err(|error| format!("its history is no list of events: {error}"))?;
        let (mut first, mut last) = (None, None);
        let (mut count, mut reset_to) = (0_u64, None);
        let mut versions: Vec<VersionHistoryItem> = Vec::new();
        for event in &history.events {
            let head: Head = serde_json::from_str(event.get())
                .map_err(|error| format!("the event after event {count} is none: {error}"))?;
            if head.event_id.parse() != Ok(count + 1) {
                return Err(format!("event {} follows event {count}", head.event_id));
            }
            count += 1;
            if count == 1 {
                if head.event_type != STARTED {
                    return Err(format!("it begins with {}", head.event_type));
                }
                first = serde_json::from_str(event.get()).ok();
            }
            // A reset keeps the events up to a task and lets that task fail: everything else,
            // the ids of the start among it, is of the run that was reset.
            if let Some(failed) = &head.workflow_task_failed_event_attributes
                && failed.cause == RESET
                && !failed.new_run_id.is_empty()
            {
                reset_to = Some(failed.new_run_id.clone());
            }
            let version = head.version.as_deref().unwrap_or("0");
            let version = version.parse().map_err(|_| format!("event {count} has no version"))?;
            let event_id = i64::try_from(count).unwrap_or(i64::MAX);
            match versions.last_mut() {
                Some(item) if item.version == version => item.event_id = event_id,
                _ => versions.push(VersionHistoryItem { event_id, version }),
            }
            last = Some((head, event.get()));
        }
        let (last, text) = last.ok_or("it has no events")?;
        let First { workflow_execution_started_event_attributes: started } =
            first.ok_or("event 1 does not say what was started")?;
        if !ENDS.iter().any(|(_, end)| *end == last.event_type) {
            return Err(format!("it has no end: its last event, {count}, is {}", last.event_type));
        }
        let end: Last = serde_json::from_str(text)
            .map_err(|error| format!("event {count} is no end of a workflow: {error}"))?;
        let continued_by = [
            end.workflow_execution_continued_as_new_event_attributes,
            end.workflow_execution_completed_event_attributes,
            end.workflow_execution_failed_event_attributes,
            end.workflow_execution_timed_out_event_attributes,
        ]
        .into_iter()
        .map(|successor| successor.new_execution_run_id)
        .find(|id| !id.is_empty());
        Ok(Self { events: count, started, last, reset_to, continued_by, versions })
    }

    /// Where the history contradicts what the line and the index say of the run.
    #[must_use]
    pub fn misfits(&self, run: &Archived) -> Vec<String> {
        let Summary { workflow_id, run_id, type_name, status, .. } = &run.summary;
        let mut misfits = Vec::new();
        let mut is = |what: &str, told: &str, said: &str| {
            if told != said {
                misfits.push(format!("its history has {what} {told:?}, its line {said:?}"));
            }
        };
        is("the type", &self.started.workflow_type.name, type_name);
        if !self.started.workflow_id.is_empty() {
            is("the workflow id", &self.started.workflow_id, workflow_id);
        }
        let told = self.reset_to.as_ref().unwrap_or(&self.started.original_execution_run_id);
        if !told.is_empty() {
            is("the run id", told, run_id);
        }
        if let Some(first) = &run.summary.first_run_id
            && !self.started.first_execution_run_id.is_empty()
        {
            is("the first run", &self.started.first_execution_run_id, first);
        }
        if let (Some(told), Some(said)) =
            (&self.started.parent_workflow_execution, &run.summary.parent)
        {
            is("the parent", &told.workflow_id, &said.workflow_id);
            is("the parent's run", &told.run_id, &said.run_id);
        }
        let end = ENDS.iter().find(|(_, end)| *end == self.last.event_type);
        is("the status", end.map_or("", |(status, _)| status), status);
        if self.events != run.events {
            misfits
                .push(format!("its history has {} events, its index {}", self.events, run.events));
        }
        let listed = run.summary.history_length;
        if listed > 0 && u64::try_from(listed) != Ok(self.events) {
            misfits.push(format!(
                "its history has {} events, and {listed} when it was listed",
                self.events
            ));
        }
        // Visibility keeps microseconds, which databases cut or round.
        if let Some(told) = self.last.event_time
            && (told - run.summary.close_time).abs().num_microseconds().is_none_or(|off| off > 1)
        {
            misfits.push(format!(
                "its history ends at {}, its line at {}",
                told.to_rfc3339(),
                run.summary.close_time.to_rfc3339()
            ));
        }
        misfits
    }

    /// Its place in a chain of runs.
    #[must_use]
    pub fn link(&self) -> Link {
        let before = &self.started.continued_execution_run_id;
        Link {
            // What a reset run continues is what its base continued.
            before: Some(before.clone()).filter(|id| !id.is_empty() && self.reset_to.is_none()),
            after: self.continued_by.clone(),
        }
    }

    pub(super) fn version_history(&self) -> VersionHistory {
        VersionHistory { branch_token: Vec::new(), items: self.versions.clone() }
    }
}
