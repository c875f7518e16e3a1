//! The beginning of a line: all that visibility knows of a run.

use chrono::{DateTime, Utc};
use prost::Message as _;
use serde_json::{Map, Value};
use temporalio_protos::temporal::api::common::v1::{Payload, WorkflowExecution};
use temporalio_protos::temporal::api::workflow::v1::WorkflowExecutionInfo;

use crate::error::Error;
use crate::json::scalar::base64_digits;
use crate::json::{self, Schema, UnknownField};
use crate::namespace::Namespace;
use crate::segment::{self, Relative, Summary};
use crate::visibility::Execution;

const INFO: &str = "temporal.api.workflow.v1.WorkflowExecutionInfo";

/// Version of the line's format.
const FORMAT_VERSION: u32 = 1;

/// A line up to its history.
pub(crate) struct Head {
    pub(crate) summary: Summary,
    /// The server's message, when it has fields that we do not know.
    proto: Option<Vec<u8>>,
}

impl Head {
    pub(crate) fn new(
        schema: &Schema,
        namespace: &Namespace,
        run: &Execution,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Json {
            what: format!("what is listed of workflow {:?}, run {}", run.workflow_id, run.run_id),
            source,
        };
        let (mut printed, mut unknown) = (Vec::new(), Vec::new());
        let message = schema.message(INFO).map_err(failed)?;
        json::transcode(schema, message, &run.info, &mut printed, &mut unknown).map_err(failed)?;
        // Twice: as JSON for what is kept as such, and as a message for all that has a type.
        let (Ok(json), Ok(info)) = (
            serde_json::from_slice::<Value>(&printed),
            WorkflowExecutionInfo::decode(run.info.clone()),
        ) else {
            return Err(failed(json::Error::Malformed {
                message: INFO.into(),
                what: "not readable",
            }));
        };
        let mut head = Self {
            summary: summary(namespace, run, &info, &json),
            proto: (!unknown.is_empty()).then(|| run.info.to_vec()),
        };
        head.add_unknown(&unknown);
        Ok(head)
    }

    /// Names fields that JSON does not hold.
    pub(crate) fn add_unknown(&mut self, unknown: &[UnknownField]) {
        let fields = &mut self.summary.unknown_fields;
        fields.extend(unknown.iter().map(|field| segment::UnknownField {
            message: field.message.clone(),
            number: field.number,
        }));
        fields.sort_by(|a, b| (&a.message, a.number).cmp(&(&b.message, b.number)));
        fields.dedup();
    }

    /// The line's text so far: an object that is not closed.
    pub(crate) fn text(&self) -> Result<Vec<u8>, Error> {
        let mut text = serde_json::to_vec(&self.summary).map_err(|_| Error::Json {
            what: format!("the summary of workflow {:?}", self.summary.workflow_id),
            source: json::Error::Range { message: INFO.into() },
        })?;
        text.pop();
        if let Some(proto) = &self.proto {
            text.extend_from_slice(b",\"infoProto\":\"");
            base64_digits(proto, &mut text);
            text.push(b'"');
        }
        Ok(text)
    }
}

fn summary(
    namespace: &Namespace,
    run: &Execution,
    info: &WorkflowExecutionInfo,
    json: &Value,
) -> Summary {
    let started = info.start_time.as_ref();
    let start_time = started.and_then(|stamp| time(stamp.seconds, stamp.nanos));
    let executed = info.execution_time.as_ref();
    let execution_time = executed.and_then(|stamp| time(stamp.seconds, stamp.nanos));
    let start_time = start_time.unwrap_or(run.close_time);
    let status = match json.get("status") {
        Some(Value::String(name)) => name.clone(),
        // A newer server's status has no name here.
        _ => info.status.to_string(),
    };
    Summary {
        format_version: FORMAT_VERSION,
        namespace: namespace.name.clone(),
        namespace_id: namespace.id.clone(),
        workflow_id: run.workflow_id.clone(),
        run_id: run.run_id.clone(),
        type_name: run.type_name.clone(),
        task_queue: run.task_queue.clone(),
        status,
        start_time,
        execution_time: execution_time.unwrap_or(start_time),
        close_time: run.close_time,
        first_run_id: Some(info.first_run_id.clone()).filter(|id| !id.is_empty()),
        parent: relative(info.parent_execution.as_ref(), Some(&info.parent_namespace_id)),
        root: relative(info.root_execution.as_ref(), None),
        memo: object(json, "memo", "fields"),
        search_attributes: search_attributes(info, json),
        history_length: info.history_length,
        history_size_bytes: info.history_size_bytes,
        state_transition_count: info.state_transition_count,
        unknown_fields: Vec::new(),
    }
}

fn time(seconds: i64, nanos: i32) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, u32::try_from(nanos).ok()?)
}

fn relative(run: Option<&WorkflowExecution>, namespace_id: Option<&String>) -> Option<Relative> {
    let run = run.filter(|run| !run.workflow_id.is_empty())?;
    Some(Relative {
        namespace_id: namespace_id.filter(|id| !id.is_empty()).cloned(),
        workflow_id: run.workflow_id.clone(),
        run_id: run.run_id.clone(),
    })
}

fn object(json: &Value, member: &str, inner: &str) -> Map<String, Value> {
    let found = json.get(member).and_then(|value| value.get(inner)).and_then(Value::as_object);
    found.cloned().unwrap_or_default()
}

/// Search attributes with their values in plain JSON, where that says all that the payload does.
fn search_attributes(info: &WorkflowExecutionInfo, json: &Value) -> Map<String, Value> {
    let mut attributes = object(json, "searchAttributes", "indexedFields");
    for (name, value) in &mut attributes {
        let payload = info.search_attributes.as_ref().and_then(|all| all.indexed_fields.get(name));
        let plain = payload.and_then(plain);
        *value = match plain {
            Some(plain) => plain,
            None => Value::Object(Map::from_iter([("payload".to_owned(), value.take())])),
        };
    }
    attributes
}

fn plain(payload: &Payload) -> Option<Value> {
    let metadata = |name: &str| payload.metadata.get(name).map(Vec::as_slice);
    let kind = std::str::from_utf8(metadata("type")?).ok()?;
    if metadata("encoding") != Some(b"json/plain") || payload.metadata.len() != 2 {
        return None;
    }
    let value: Value = serde_json::from_slice(&payload.data).ok()?;
    let members =
        [("type".to_owned(), Value::String(kind.to_owned())), ("value".to_owned(), value)];
    Some(Value::Object(Map::from_iter(members)))
}
