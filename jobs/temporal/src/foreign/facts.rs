//! What a history tells of its run.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Error, ForeignRun, Place};

/// What the events seen so far tell.
#[derive(Debug, Default)]
pub(super) struct Facts {
    events: u64,
    started: Option<Started>,
    start_time: DateTime<Utc>,
    /// The run that the last reset has made.
    reset_to: Option<String>,
    last_time: DateTime<Utc>,
    status: Option<&'static str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_id: String,
    event_time: DateTime<Utc>,
    event_type: String,
    workflow_execution_started_event_attributes: Option<Started>,
    workflow_task_failed_event_attributes: Option<TaskFailed>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Started {
    workflow_type: Named,
    task_queue: Named,
    workflow_id: String,
    original_execution_run_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Named {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TaskFailed {
    cause: String,
    new_run_id: String,
}

impl Facts {
    /// The next event, in canonical JSON.
    pub(super) fn event(&mut self, json: &[u8]) -> Result<(), &'static str> {
        let event: Event =
            serde_json::from_slice(json).map_err(|_| "has an event without id, time or type")?;
        self.events += 1;
        if event.event_id.parse() != Ok(self.events) {
            return Err("has events missing or out of order");
        }
        if self.events == 1 {
            if event.event_type != "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED" {
                return Err("does not begin with the start of a workflow");
            }
            self.started = event.workflow_execution_started_event_attributes;
            self.start_time = event.event_time;
        }
        // A reset keeps the events up to a task and lets that task fail: everything else in the
        // history, the ids of its start among it, is of the run that was reset.
        if let Some(failed) = event.workflow_task_failed_event_attributes
            && failed.cause == "WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW"
            && !failed.new_run_id.is_empty()
        {
            self.reset_to = Some(failed.new_run_id);
        }
        self.last_time = event.event_time;
        self.status = status(&event.event_type);
        Ok(())
    }

    /// Whether the history may end here.
    pub(super) fn finish(&self) -> Result<(), &'static str> {
        match (self.events, self.status) {
            (0, _) => Err("has no events"),
            (_, None) => Err("does not end with the end of a workflow"),
            _ => Ok(()),
        }
    }

    /// The run of this history.
    pub(super) fn run(self, place: Place) -> Result<ForeignRun, Error> {
        let started = self.started.unwrap_or_default();
        let run_id = self.reset_to.unwrap_or(started.original_execution_run_id);
        Ok(ForeignRun {
            namespace: None,
            namespace_id: None,
            workflow_id: started.workflow_id,
            run_id: Some(run_id).filter(|id| !id.is_empty()),
            type_name: started.workflow_type.name,
            task_queue: started.task_queue.name,
            status: format!("WORKFLOW_EXECUTION_STATUS_{}", self.status.unwrap_or_default()),
            start_time: self.start_time,
            close_time: self.last_time,
            events: self.events,
            place,
        })
    }
}

/// How a workflow is that ended with this event.
fn status(event_type: &str) -> Option<&'static str> {
    match event_type.strip_prefix("EVENT_TYPE_WORKFLOW_EXECUTION_")? {
        "COMPLETED" => Some("COMPLETED"),
        "FAILED" => Some("FAILED"),
        "TIMED_OUT" => Some("TIMED_OUT"),
        "CANCELED" => Some("CANCELED"),
        "TERMINATED" => Some("TERMINATED"),
        "CONTINUED_AS_NEW" => Some("CONTINUED_AS_NEW"),
        _ => None,
    }
}
