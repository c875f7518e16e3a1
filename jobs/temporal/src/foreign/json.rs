//! Events in anybody's JSON, old spellings included, to protobuf.

use std::collections::HashMap;

use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Error;

/// One batch of events, `{"events":[…]}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch<'a> {
    #[serde(borrow, default)]
    pub(super) events: Vec<&'a RawValue>,
}

/// How enum values are spelled, and what an event is.
#[derive(Debug)]
pub(super) struct Spelling {
    event: MessageDescriptor,
    /// `EventType.WorkflowExecutionStarted`, with the enum's full name, to the name in force.
    old: HashMap<(String, String), String>,
}

impl Spelling {
    /// For the API that this program was built with.
    pub(super) fn built_in() -> Result<Self, Error> {
        let unknown = |message: &str| Error::Events {
            path: std::path::PathBuf::new(),
            source: crate::json::Error::UnknownMessage { message: message.to_owned() },
        };
        let bytes: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
        let pool = DescriptorPool::decode(bytes).map_err(|_| unknown("FileDescriptorSet"))?;
        let name = "temporal.api.history.v1.HistoryEvent";
        let event = pool.get_message_by_name(name).ok_or_else(|| unknown(name))?;
        let mut old = HashMap::new();
        for descriptor in pool.all_enums() {
            let prefix = capitals(descriptor.name());
            for value in descriptor.values() {
                if let Some(rest) = value.name().strip_prefix(&prefix) {
                    let key = (descriptor.full_name().to_owned(), words(rest));
                    old.insert(key, value.name().to_owned());
                }
            }
        }
        Ok(Self { event, old })
    }

    /// One event as protobuf.
    pub(super) fn event(&self, json: &str) -> Result<Vec<u8>, serde_json::Error> {
        let mut event: Value = serde_json::from_str(json)?;
        if !event.is_object() {
            return Err(serde_json::Error::custom("an event is no object"));
        }
        self.respell(&mut event, &self.event);
        Ok(DynamicMessage::deserialize(self.event.clone(), event)?.encode_to_vec())
    }

    /// Gives enum values the names in force.
    fn respell(&self, value: &mut Value, message: &MessageDescriptor) {
        let Value::Object(members) = value else { return };
        for (name, value) in members {
            let field =
                message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name));
            let Some(field) = field else { continue };
            let kind = match field.kind() {
                Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
                kind => kind,
            };
            match value {
                Value::Array(items) if field.is_list() => {
                    items.iter_mut().for_each(|item| self.respell_one(item, &kind));
                }
                Value::Object(entries) if field.is_map() => {
                    entries.values_mut().for_each(|entry| self.respell_one(entry, &kind));
                }
                one => self.respell_one(one, &kind),
            }
        }
    }

    fn respell_one(&self, value: &mut Value, kind: &Kind) {
        match kind {
            Kind::Message(message) => self.respell(value, message),
            Kind::Enum(descriptor) => {
                if let Value::String(name) = value
                    && let Some(new) =
                        self.old.get(&(descriptor.full_name().to_owned(), name.clone()))
                {
                    new.clone_into(name);
                }
            }
            _ => {}
        }
    }
}

/// `EventType` to `EVENT_TYPE_`.
fn capitals(name: &str) -> String {
    let mut capitals = String::with_capacity(name.len() + 8);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !capitals.is_empty() {
            capitals.push('_');
        }
        capitals.push(letter.to_ascii_uppercase());
    }
    capitals.push('_');
    capitals
}

/// `WORKFLOW_EXECUTION_STARTED` to `WorkflowExecutionStarted`.
fn words(name: &str) -> String {
    let word = |word: &str| -> String {
        let mut letters = word.chars();
        let first = letters.next();
        first.into_iter().chain(letters.map(|letter| letter.to_ascii_lowercase())).collect()
    };
    name.split('_').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_spellings_mean_what_the_new_ones_do() {
        let spelling = Spelling::built_in().unwrap();
        let old = r#"{"eventId":"1","eventType":"WorkflowExecutionStarted",
            "workflowExecutionStartedEventAttributes":{
                "taskQueue":{"name":"q","kind":"Normal"},"initiator":"CronSchedule",
                "continuedFailure":{"message":"m","timeoutFailureInfo":{"timeoutType":"ScheduleToClose"}},
                "searchAttributes":{"indexedFields":{"WorkflowId":{"data":"aW5pdGlhdG9y"}}}}}"#;
        let new = r#"{"eventId":"1","eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_STARTED",
            "workflowExecutionStartedEventAttributes":{
                "taskQueue":{"name":"q","kind":"TASK_QUEUE_KIND_NORMAL"},
                "initiator":"CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE",
                "continuedFailure":{"message":"m","timeoutFailureInfo":{
                    "timeoutType":"TIMEOUT_TYPE_SCHEDULE_TO_CLOSE"}},
                "searchAttributes":{"indexedFields":{"WorkflowId":{"data":"aW5pdGlhdG9y"}}}}}"#;
        let wire = spelling.event(old).unwrap();
        assert_eq!(wire, spelling.event(new).unwrap());
        assert!(wire.len() > 40);
    }

    #[test]
    fn what_is_unknown_is_refused() {
        let spelling = Spelling::built_in().unwrap();
        for json in [
            r#"{"eventId":"1","colour":"red"}"#,
            r#"{"eventType":"WorkflowExecutionEvaporated"}"#,
            r#"{"eventId":{}}"#,
            "[]",
            "1",
            "{",
        ] {
            assert!(spelling.event(json).is_err(), "{json}");
        }
    }
}
