//! Events in JSON to protobuf, and protobuf to requests that the server takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::value::RawValue;
use temporalio_protos::temporal::api::common::v1::DataBlob;

use super::{Archived, Facts, HEAVY};
use crate::error::Error;
use crate::history::{alias, next_event};
use crate::json::wire::{Reader, Value};
use crate::json::{self, MessageId, Schema};

const EVENT: &str = "temporal.api.history.v1.HistoryEvent";
const HISTORY: &str = "temporal.api.history.v1.History";

/// Bytes of events in a request, about. Servers take messages of 4 MiB by default.
const REQUEST: usize = 2 << 20;

/// Bytes that a request may have with its token, which is what the server knows so far.
const LARGEST: usize = (4 << 20) - (64 << 10);

/// Bytes of events in a batch, about: the server stores each in a row.
const BATCH: usize = 64 << 10;

/// `ENCODING_TYPE_PROTO3`.
const PROTO3: i32 = 1;

/// Knows the messages of Temporal's API by name.
#[derive(Debug, Clone)]
pub struct Translator {
    event: MessageDescriptor,
    schema: Arc<Schema>,
    history: MessageId,
}

impl Translator {
    /// For the API that this program was built with.
    ///
    /// # Errors
    /// When the descriptors that were built in are unusable.
    pub fn built_in() -> Result<Self, Error> {
        let failed = |source| Error::Json { what: "Temporal's own descriptors".into(), source };
        let unknown = |message: &str| json::Error::UnknownMessage { message: message.to_owned() };
        let bytes: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
        let pool =
            DescriptorPool::decode(bytes).map_err(|_| failed(unknown("FileDescriptorSet")))?;
        let event = pool.get_message_by_name(EVENT).ok_or_else(|| failed(unknown(EVENT)))?;
        let schema = Schema::from_pool(&pool);
        let history = schema.message(HISTORY).map_err(failed)?;
        Ok(Self { event, schema: Arc::new(schema), history })
    }

    /// One event in canonical JSON as protobuf; a name that is not known is an error.
    fn event(&self, json: &str) -> Result<Vec<u8>, serde_json::Error> {
        let mut from = serde_json::Deserializer::from_str(json);
        let message = DynamicMessage::deserialize(self.event.clone(), &mut from)?;
        from.end()?;
        Ok(message.encode_to_vec())
    }

    /// Types of the search attributes in a run's events, by name, where they have types; those
    /// that the server defines itself left out.
    ///
    /// # Errors
    /// [`Error::Import`] for events that have no form on the wire.
    pub fn search_attributes(&self, run: &Archived) -> Result<BTreeMap<String, String>, Error> {
        let mut found = BTreeMap::new();
        let history = run.history();
        let mut events = Events::new(history);
        while let Some(event) = events.next().map_err(|what| refused(run, what))? {
            if !event.get().contains("\"searchAttributes\"") {
                continue;
            }
            let bytes = self.event(event.get()).map_err(|e| refused(run, e.to_string()))?;
            alias::types(&bytes, &mut found).map_err(|what| refused(run, what.into()))?;
        }
        Ok(found)
    }
}

fn refused(run: &Archived, what: String) -> Error {
    Error::Import {
        workflow_id: run.summary.workflow_id.clone(),
        run_id: run.summary.run_id.clone(),
        what,
    }
}

/// The events of `{"events":[…]}`, one at a time.
#[derive(Debug)]
pub(super) struct Events {
    history: Bytes,
    at: usize,
}

impl Events {
    pub(super) fn new(history: Bytes) -> Self {
        let at = b"{\"events\":[".len();
        Self { history, at }
    }

    pub(super) fn next(&mut self) -> Result<Option<&RawValue>, String> {
        let rest = self.history.get(self.at..).unwrap_or_default();
        let Some((event, length)) = next_event(rest)? else { return Ok(None) };
        self.at += length;
        Ok(Some(event))
    }
}

/// A run's events as requests, in order.
#[derive(Debug)]
pub(super) struct Requests {
    translator: Translator,
    source: Source,
    ids: [String; 2],
    size: usize,
    /// An event that had no room in the last request.
    held: Option<(Vec<u8>, i64)>,
}

#[derive(Debug)]
enum Source {
    Json(Events),
    /// Wire bytes of events, in which nothing is lost that JSON could not name.
    Proto(std::vec::IntoIter<Vec<u8>>),
}

impl Requests {
    pub(super) fn new(
        run: &Archived,
        facts: &Facts,
        translator: &Translator,
    ) -> Result<Self, Error> {
        let history = run.history();
        let source = match run.history_proto() {
            None => Source::Json(Events::new(history.clone())),
            Some(base64) => {
                let bytes = STANDARD
                    .decode(base64)
                    .map_err(|_| refused(run, "its wire bytes are not base64".into()))?;
                let events = proto_events(translator, &bytes, &history)
                    .map_err(|what| refused(run, what))?;
                if events.len() as u64 != facts.events {
                    return Err(refused(run, "its wire bytes have other events".into()));
                }
                Source::Proto(events.into_iter())
            }
        };
        let ids = [run.summary.workflow_id.clone(), run.summary.run_id.clone()];
        Ok(Self { translator: translator.clone(), source, ids, size: history.len(), held: None })
    }

    /// The batches of the next request, none after the last.
    pub(super) async fn next(mut self, token: usize) -> Result<(Self, Vec<DataBlob>), Error> {
        if self.size < HEAVY {
            let batches = self.batches(token)?;
            return Ok((self, batches));
        }
        let work =
            tokio::task::spawn_blocking(move || self.batches(token).map(|batches| (self, batches)));
        match work.await {
            Ok(done) => done,
            // Only a panic ends such work early, and it goes on here.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// A request has events of one version, as the server's own importer has it.
    fn batches(&mut self, token: usize) -> Result<Vec<DataBlob>, Error> {
        let room = LARGEST.saturating_sub(token).min(REQUEST);
        let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut version = None;
        while let Some((event, its_version)) = self.event()? {
            let is_first = version.is_none();
            if !is_first && (bytes + event.len() > room || version != Some(its_version)) {
                self.held = Some((event, its_version));
                break;
            }
            version = Some(its_version);
            bytes += event.len() + 16;
            // Field 1 of a `History`.
            batch.push(0x0a);
            prost::encoding::encode_varint(event.len() as u64, &mut batch);
            batch.extend_from_slice(&event);
            if batch.len() >= BATCH {
                batches.push(blob(std::mem::take(&mut batch)));
            }
        }
        if !batch.is_empty() {
            batches.push(blob(batch));
        }
        Ok(batches)
    }

    fn event(&mut self) -> Result<Option<(Vec<u8>, i64)>, Error> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        let ids = &self.ids;
        let refused = |what: String| {
            let [workflow_id, run_id] = ids.clone();
            Error::Import { workflow_id, run_id, what }
        };
        let event = match &mut self.source {
            Source::Proto(events) => events.next(),
            Source::Json(events) => match events.next().map_err(refused)? {
                None => None,
                Some(json) => {
                    let bytes = self.translator.event(json.get()).map_err(|error| {
                        let id = json.get().get(..24).unwrap_or_default();
                        refused(format!("the event {id}… has no form on the wire: {error}"))
                    })?;
                    Some(bytes)
                }
            },
        };
        let Some(event) = event else { return Ok(None) };
        let version = version(&event).map_err(|what| refused(what.into()))?;
        Ok(Some((event, version)))
    }
}

fn blob(data: Vec<u8>) -> DataBlob {
    DataBlob { encoding_type: PROTO3, data }
}

fn version(event: &[u8]) -> Result<i64, &'static str> {
    let mut reader = Reader::new(event);
    while !reader.is_empty() {
        match reader.field()? {
            (4, Value::Varint(version)) => return Ok(version as i64),
            (1..4, _) => {}
            _ => break,
        }
    }
    Ok(0)
}

/// The events in wire bytes of histories, one after the other; they must say what the JSON does.
fn proto_events(
    translator: &Translator,
    bytes: &[u8],
    history: &[u8],
) -> Result<Vec<Vec<u8>>, String> {
    let (mut printed, mut unknown) = (Vec::new(), Vec::new());
    json::transcode(&translator.schema, translator.history, bytes, &mut printed, &mut unknown)
        .map_err(|error| format!("its wire bytes are no history: {error}"))?;
    if printed != history {
        return Err("its wire bytes say something else than its JSON, such as search attributes \
                    by the names of database columns"
            .into());
    }
    let mut events = Vec::new();
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        match reader.field()? {
            (1, Value::Bytes(event)) => events.push(event.to_vec()),
            (number, _) => {
                return Err(format!("field {number} of its history belongs to no event"));
            }
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_goes_to_the_wire_and_back_byte_for_byte() {
        let translator = Translator::built_in().unwrap();
        let json = r#"{"eventId":"1","eventTime":"2026-01-02T03:04:05.000000006Z","eventType":"EVENT_TYPE_WORKFLOW_EXECUTION_STARTED","taskId":"1048576","workflowExecutionStartedEventAttributes":{"workflowType":{"name":"T"},"input":{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"IsOkIg=="}]},"workflowRunTimeout":"0s","attempt":1}}"#;
        let wire = translator.event(json).unwrap();
        let (mut printed, mut unknown) = (Vec::new(), Vec::new());
        let event = translator.schema.message(EVENT).unwrap();
        json::transcode(&translator.schema, event, &wire, &mut printed, &mut unknown).unwrap();
        assert_eq!(String::from_utf8(printed).unwrap(), json);
        assert!(unknown.is_empty());
    }

    #[test]
    fn name_that_is_not_known_is_refused() {
        let translator = Translator::built_in().unwrap();
        let error = translator.event(r#"{"eventId":"1","colour":"red"}"#).unwrap_err();
        assert!(error.to_string().contains("colour"), "{error}");
        assert!(translator.event(r#"{"eventId":"1"} {}"#).is_err());
    }
}
