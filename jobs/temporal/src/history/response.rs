//! Answers to `GetWorkflowExecutionHistory`, taken apart without decoding events.

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::connect::Raw;
use crate::error::Error;
use crate::json::UnknownField;
use crate::json::wire::{Reader, Value};

pub(super) const RPC: &str = "GetWorkflowExecutionHistory";

const MESSAGE: &str = "temporal.api.workflowservice.v1.GetWorkflowExecutionHistoryResponse";

/// `ENCODING_TYPE_PROTO3` of a data blob; blobs written before there was a choice have none.
const ENCODINGS: [u64; 2] = [0, 1];

/// One page of a history.
#[derive(Debug)]
pub(super) struct Page {
    /// Wire bytes of `temporal.api.history.v1.History`, of which the page has one or several.
    pub(super) histories: Vec<Bytes>,
    /// They come straight from the server's database.
    pub(super) raw: bool,
    /// Token of the next page; empty after the last one.
    pub(super) next: Vec<u8>,
    /// Fields beside the histories that we do not know.
    pub(super) unknown: Vec<UnknownField>,
    /// Their share of the memory budget.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Page {
    pub(super) fn parse(answer: Raw) -> Result<Self, Error> {
        let Raw { bytes, permit, .. } = answer;
        let unreadable = |what: &str| Error::Response { right: RPC, what: what.to_owned() };
        let (mut events, mut blobs) = (Vec::new(), Vec::new());
        let mut next = Vec::new();
        let mut unknown = Vec::new();
        let mut reader = Reader::new(&bytes);
        while !reader.is_empty() {
            match reader.field().map_err(unreadable)? {
                (1, Value::Bytes(history)) => events.push(bytes.slice_ref(history)),
                (2, Value::Bytes(blob)) => blobs.push(bytes.slice_ref(data(blob)?)),
                (3, Value::Bytes(token)) => next = token.to_vec(),
                (4, Value::Varint(_)) => {} // whether it comes from the server's own archive
                (number, _) => unknown.push(UnknownField { message: MESSAGE.into(), number }),
            }
        }
        let raw = !blobs.is_empty();
        // In the raw form the other one is there too, and empty.
        let histories = if raw { blobs } else { events };
        Ok(Self { histories, raw, next, unknown, _permit: permit })
    }

    /// The same page for another reading.
    pub(super) fn again(&self) -> Self {
        Self {
            histories: self.histories.clone(),
            raw: self.raw,
            next: self.next.clone(),
            unknown: self.unknown.clone(),
            _permit: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.histories.iter().map(Bytes::len).sum()
    }
}

/// The data of a `temporal.api.common.v1.DataBlob`.
fn data(blob: &[u8]) -> Result<&[u8], Error> {
    let unreadable = |what: &str| Error::Response { right: RPC, what: what.to_owned() };
    let mut data = [].as_slice();
    let mut reader = Reader::new(blob);
    while !reader.is_empty() {
        match reader.field().map_err(unreadable)? {
            (1, Value::Varint(encoding)) if !ENCODINGS.contains(&encoding) => {
                return Err(unreadable(&format!(
                    "a data blob has the unknown encoding {encoding}"
                )));
            }
            (1, Value::Varint(_)) => {}
            (2, Value::Bytes(bytes)) => data = bytes,
            (number, _) => {
                return Err(unreadable(&format!("a data blob has the unknown field {number}")));
            }
        }
    }
    Ok(data)
}
