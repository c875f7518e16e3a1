//! A run on a server, held against its archived history, event by event.

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::events::{Events, Out};
use super::pages::Pages;
use super::response::Page;
use super::{HEAVY, Namespace};
use crate::connect::Connection;
use crate::error::Error;
use crate::import::Archived;
use crate::visibility::Execution;
use std::sync::Arc;

/// Differences that are named; the rest is counted.
const NAMED: usize = 8;

/// What a server has of an archived run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadBack {
    /// Events that the server has.
    pub events: u64,
    /// Events that differ, the first few.
    pub differences: Vec<Difference>,
    /// How many differ.
    pub different: u64,
    /// Whether event 1 differs in nothing but `prevAutoResetPoints.points[].expireTime`, which a
    /// server computes by its own namespace's retention.
    pub reset_points: bool,
}

/// An event that is not as it was archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its id.
    pub event: u64,
    /// Where in it, `workflowExecutionSignaledEventAttributes.signalName`, or what is wrong with
    /// all of it. Never what stands there: that may be a secret.
    pub place: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "event {}: {}", self.event, self.place)
    }
}

impl ReadBack {
    /// Whether it is the archived history, reset points apart.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.different == 0
    }

    fn differs(&mut self, event: u64, place: impl Into<String>) {
        self.different += 1;
        if self.differences.len() < NAMED {
            self.differences.push(Difference { event, place: place.into() });
        }
    }
}

impl Connection {
    /// Reads a run from a server and compares it with its archived history, byte for byte.
    ///
    /// # Errors
    /// [`Error::Vanished`] when the server has no such run, [`Error::Incomplete`] when its events
    /// have gaps.
    pub async fn read_back(
        &self,
        namespace: &Namespace,
        run: &Archived,
    ) -> Result<ReadBack, Error> {
        let summary = &run.summary;
        let execution = Execution {
            workflow_id: summary.workflow_id.clone(),
            run_id: summary.run_id.clone(),
            type_name: summary.type_name.clone(),
            task_queue: summary.task_queue.clone(),
            status: 0,
            close_time: summary.close_time,
            history_length: summary.history_length,
            history_size_bytes: summary.history_size_bytes,
            info: Bytes::new(),
        };
        let aliases = Arc::new(namespace.aliases.clone());
        let mut reading = Reading {
            events: Events::new(&self.inner.schema, aliases, &execution)?,
            comparison: Comparison::new(run.history()),
        };
        let mut pages = Pages::new(self, namespace, &execution);
        while let Some(page) = pages.next().await? {
            reading = reading.add(page).await?;
        }
        let Reading { events, comparison } = reading;
        let mut found = comparison.end(events.count);
        // Fields that JSON cannot name are told by their numbers.
        let mut unknown: Vec<_> =
            events.unknown.iter().map(|field| (field.message.as_str(), field.number)).collect();
        unknown.sort_unstable();
        for field in &summary.unknown_fields {
            if let Ok(at) = unknown.binary_search(&(field.message.as_str(), field.number)) {
                unknown.remove(at);
            }
        }
        for (message, number) in unknown {
            found.differs(0, format!("field {number} of {message} is not in the archive"));
        }
        Ok(found)
    }
}

struct Reading {
    events: Events,
    comparison: Comparison,
}

impl Reading {
    async fn add(mut self, page: Page) -> Result<Self, Error> {
        if page.len() < HEAVY {
            self.events.page(&page, &mut self.comparison)?;
            return Ok(self);
        }
        let work = tokio::task::spawn_blocking(move || {
            self.events.page(&page, &mut self.comparison).map(|()| self)
        });
        match work.await {
            Ok(done) => done,
            // Only a panic ends such work early, and it goes on here.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// The archived history, and how far it has been compared.
#[derive(Debug)]
struct Comparison {
    expected: Bytes,
    at: usize,
    found: ReadBack,
}

impl Out for Comparison {
    /// Pieces are whole events, with a comma before each but the first of all.
    fn json(&mut self, piece: &[u8]) -> Result<(), Error> {
        let rest = self.expected.get(self.at..).unwrap_or_default();
        if rest.starts_with(piece) {
            self.at += piece.len();
        } else {
            self.events(piece);
        }
        Ok(())
    }
}

impl Comparison {
    fn new(expected: Bytes) -> Self {
        Self { expected, at: b"{\"events\":[".len(), found: ReadBack::default() }
    }

    /// Compares the events of a piece one by one.
    fn events(&mut self, piece: &[u8]) {
        let expected = self.expected.clone();
        let mut done = 0;
        while let Ok(Some((event, length))) = next_event(piece.get(done..).unwrap_or_default()) {
            done += length;
            let rest = expected.get(self.at..).unwrap_or_default();
            match next_event(rest) {
                Ok(Some((archived, length))) => {
                    self.at += length;
                    if archived.get() != event.get() {
                        self.event(archived.get(), event.get());
                    }
                }
                Ok(None) => self.found.differs(id(event.get()), "is not in the archive"),
                Err(_) => self.found.differs(id(event.get()), "is unreadable in the archive"),
            }
        }
    }

    /// Compares two events that are not the same text.
    fn event(&mut self, archived: &str, read: &str) {
        let id = id(archived);
        let parsed = (serde_json::from_str(archived), serde_json::from_str(read));
        let (Ok(mut archived), Ok(mut read)): (Result<Value, _>, Result<Value, _>) = parsed else {
            return self.found.differs(id, "is unreadable");
        };
        if id == 1 {
            let times = take_expire_times(&mut archived) + take_expire_times(&mut read);
            if times > 0 && archived == read {
                self.found.reset_points = true;
                return;
            }
        }
        let place = first_difference(&archived, &read, String::new());
        self.found.differs(id, place.unwrap_or_else(|| "has its fields in another order".into()));
    }

    fn end(mut self, events: u64) -> ReadBack {
        self.found.events = events;
        let expected = self.expected.clone();
        let rest = expected.get(self.at..).unwrap_or_default();
        if rest != b"]}" {
            let missing = match next_event(rest) {
                Ok(Some((event, _))) => id(event.get()),
                _ => events + 1,
            };
            self.found.differs(missing, "is missing on the server, as all after it");
        }
        self.found
    }
}

/// The next event of a list whose beginning has been cut off, and the bytes up to its end.
pub(crate) fn next_event(rest: &[u8]) -> Result<Option<(&RawValue, usize)>, String> {
    if rest == b"]}" {
        return Ok(None);
    }
    let comma = usize::from(rest.first() == Some(&b','));
    let rest = rest.get(comma..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
    let event = values.next().transpose().map_err(|error| error.to_string())?;
    let event = event.ok_or("the list of events does not end")?;
    Ok(Some((event, comma + values.byte_offset())))
}

/// The id of an event in canonical JSON, where it comes first.
fn id(event: &str) -> u64 {
    let digits = event.strip_prefix("{\"eventId\":\"").and_then(|rest| rest.split('"').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Takes out the times that a server computes anew, and counts them.
fn take_expire_times(event: &mut Value) -> usize {
    let points =
        event.pointer_mut("/workflowExecutionStartedEventAttributes/prevAutoResetPoints/points");
    let points = points.and_then(Value::as_array_mut).into_iter().flatten();
    let times = points.filter_map(|point| point.as_object_mut()?.shift_remove("expireTime"));
    times.count()
}

fn first_difference(one: &Value, other: &Value, place: String) -> Option<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
            names.into_iter().find_map(|name| {
                let dot = if place.is_empty() { "" } else { "." };
                let inner = format!("{place}{dot}{name}");
                match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) => first_difference(one, other, inner),
                    _ => Some(inner),
                }
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(at, (one, other))| {
                first_difference(one, other, format!("{place}[{at}]"))
            })
        }
        _ => (one != other).then_some(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(archived: &str, pieces: &[&str]) -> ReadBack {
        let mut comparison = Comparison::new(Bytes::from(format!("{{\"events\":[{archived}]}}")));
        for piece in pieces {
            comparison.json(piece.as_bytes()).unwrap();
        }
        comparison.end(0)
    }

    fn places(found: &ReadBack) -> Vec<String> {
        found.differences.iter().map(ToString::to_string).collect()
    }

    const ONE: &str = r#"{"eventId":"1","a":{"b":["x","y"]}}"#;
    const TWO: &str = r#"{"eventId":"2","c":"z"}"#;

    #[test]
    fn same_bytes_in_any_pieces_are_the_same() {
        let both = format!("{ONE},{TWO}");
        assert!(compared(&both, &[&both]).is_same());
        assert!(compared(&both, &[ONE, &format!(",{TWO}")]).is_same());
    }

    #[test]
    fn differences_are_named_by_event_and_place() {
        let both = format!("{ONE},{TWO}");
        let found = compared(&both, &[&both.replace('y', "Y")]);
        assert_eq!(places(&found), ["event 1: a.b[1]"]);
        assert_eq!(
            places(&compared(&both, &[ONE])),
            ["event 2: is missing on the server, as all after it"]
        );
        assert_eq!(places(&compared(ONE, &[&both])), ["event 2: is not in the archive"]);
        let swapped = r#"{"a":{"b":["x","y"]},"eventId":"1"}"#;
        assert!(!compared(ONE, &[swapped]).is_same());
    }

    #[test]
    fn expire_times_of_reset_points_are_told_apart() {
        let first = |time: &str, id: &str| {
            format!(
                r#"{{"eventId":"1","workflowExecutionStartedEventAttributes":{{"prevAutoResetPoints":{{"points":[{{"runId":"{id}","expireTime":"{time}"}}]}}}}}}"#
            )
        };
        let found = compared(&first("a", "r"), &[&first("b", "r")]);
        assert!(found.is_same() && found.reset_points);
        let found = compared(&first("a", "r"), &[&first("b", "s")]);
        assert!(!found.is_same() && !found.reset_points);
        assert_eq!(
            places(&found),
            [
                "event 1: workflowExecutionStartedEventAttributes.prevAutoResetPoints.points[0].runId"
            ]
        );
    }
}
