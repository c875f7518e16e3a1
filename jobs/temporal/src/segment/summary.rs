//! What a line says of a run besides its history.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// What is known of a run besides its history: the line without it, and the index line without
/// `at`. Serialised, it is the beginning of both, byte for byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Summary {
    /// [`FORMAT_VERSION`](super::FORMAT_VERSION) of the line.
    pub format_version: u32,
    /// Namespace name.
    pub namespace: String,
    /// Namespace id.
    pub namespace_id: String,
    /// Workflow id.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
    /// Workflow type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Task queue.
    pub task_queue: String,
    /// `WORKFLOW_EXECUTION_STATUS_COMPLETED` and so on; a number when no name is known for it.
    pub status: String,
    /// When it was started.
    pub start_time: DateTime<Utc>,
    /// When its first workflow task was to begin.
    pub execution_time: DateTime<Utc>,
    /// When it was closed; visibility has microseconds.
    pub close_time: DateTime<Utc>,
    /// First run of the chain it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_run_id: Option<String>,
    /// The run that started it as its child.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Relative>,
    /// The run at the top of its family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Relative>,
    /// Memo: canonical JSON of a payload by name.
    pub memo: Map<String, Value>,
    /// Search attributes by the names that users know: `{"type":…,"value":…}`, or
    /// `{"payload":…}` where plain JSON does not say all of it.
    pub search_attributes: Map<String, Value>,
    /// Events, as visibility has it.
    pub history_length: i64,
    /// Bytes of the history in the server's own encoding, as visibility has it.
    pub history_size_bytes: i64,
    /// State transitions.
    pub state_transition_count: i64,
    /// Fields that a newer server sent and JSON could not name; the wire bytes are in the line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_fields: Vec<UnknownField>,
}

/// Another run that a run belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Relative {
    /// Namespace id, of a parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_id: Option<String>,
    /// Workflow id.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
}

/// A field that the program that wrote the line did not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnknownField {
    /// Full name of the message type it stood in.
    pub message: String,
    /// Field number.
    pub number: u32,
}

/// Where a run's line is in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct At {
    /// First byte of the frames to read.
    pub offset: u64,
    /// Bytes of the frames to read; decompressed they begin with `skip` bytes of other runs.
    pub length: u64,
    /// Decompressed bytes before the line.
    pub skip: u64,
    /// Bytes of the line, without its line feed.
    pub size: u64,
    /// Events in the history.
    pub events: u64,
    /// SHA-256 of the line, without its line feed.
    #[serde(with = "hex_digest")]
    pub sha256: [u8; 32],
}

/// One run in an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What is known of the run.
    pub summary: Summary,
    /// Where its line is.
    pub at: At,
}

/// `WORKFLOW_EXECUTION_STATUS_TIMED_OUT` as Temporal's command line and queries spell it:
/// `TimedOut`.
pub fn status_name(status: &str) -> String {
    let Some(name) = status.strip_prefix("WORKFLOW_EXECUTION_STATUS_") else {
        return status.to_owned();
    };
    let mut short = String::with_capacity(name.len());
    for word in name.split('_') {
        let mut letters = word.chars();
        short.extend(letters.next());
        short.extend(letters.map(|letter| letter.to_ascii_lowercase()));
    }
    short
}

/// Digests as 64 lower-case hexadecimal digits.
mod hex_digest {
    use super::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(digest: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let text: String = digest
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|digit| char::from(DIGITS[usize::from(digit)]))
            .collect();
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let wrong = || serde::de::Error::custom("a digest has 64 lower-case hexadecimal digits");
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(wrong());
        }
        let mut digest = [0; 32];
        for (byte, &[high, low]) in digest.iter_mut().zip(pairs) {
            *byte = digit(high).ok_or_else(wrong)? << 4 | digit(low).ok_or_else(wrong)?;
        }
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_named_as_queries_name_them() {
        for (status, name) in [
            ("WORKFLOW_EXECUTION_STATUS_COMPLETED", "Completed"),
            ("WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW", "ContinuedAsNew"),
            ("WORKFLOW_EXECUTION_STATUS_TIMED_OUT", "TimedOut"),
            ("WORKFLOW_EXECUTION_STATUS_CANCELED", "Canceled"),
            ("17", "17"),
        ] {
            assert_eq!(status_name(status), name);
        }
    }
}
