//! Pages of a history to the JSON of its events, one after the other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::alias;
use super::response::{Page, RPC};
use crate::error::Error;
use crate::json::wire::{Reader, Value};
use crate::json::{self, MessageId, Schema, UnknownField};
use crate::visibility::Execution;

const HISTORY: &str = "temporal.api.history.v1.History";
const EVENT: &str = "temporal.api.history.v1.HistoryEvent";

/// Event types after which nothing comes: completed, failed, timed out, cancelled, terminated,
/// continued as new.
const LAST: [u64; 6] = [2, 3, 4, 21, 27, 28];

/// JSON is handed on in pieces of about this size.
const PIECE: usize = 64 << 10;

/// Where JSON goes.
pub(super) trait Out {
    fn json(&mut self, piece: &[u8]) -> Result<(), Error>;
}

/// The events written so far.
pub(super) struct Events {
    schema: Arc<Schema>,
    event: MessageId,
    aliases: Arc<BTreeMap<String, String>>,
    ids: Arc<[String; 2]>,
    /// Events so far, which is also the last one's id.
    pub(super) count: u64,
    closed: bool,
    pub(super) unknown: Vec<UnknownField>,
    scratch: Vec<u8>,
}

impl Events {
    pub(super) fn new(
        schema: &Arc<Schema>,
        aliases: Arc<BTreeMap<String, String>>,
        run: &Execution,
    ) -> Result<Self, Error> {
        let ids = [run.workflow_id.clone(), run.run_id.clone()];
        let event = schema
            .message(EVENT)
            .map_err(|source| Error::Json { what: "Temporal's own descriptors".into(), source })?;
        Ok(Self {
            schema: Arc::clone(schema),
            event,
            aliases,
            ids: Arc::new(ids),
            count: 0,
            closed: false,
            unknown: Vec::new(),
            scratch: Vec::with_capacity(PIECE + PIECE / 4),
        })
    }

    /// Writes a page's events, separated from those before.
    pub(super) fn page(&mut self, page: &Page, out: &mut impl Out) -> Result<(), Error> {
        for unknown in &page.unknown {
            self.note(unknown.clone());
        }
        for history in &page.histories {
            let mut reader = Reader::new(history);
            while !reader.is_empty() {
                let field = reader.field();
                match field.map_err(|what| self.unreadable(what))? {
                    (1, Value::Bytes(event)) => self.event(event, page.raw, out)?,
                    (number, _) => {
                        self.note(UnknownField { message: HISTORY.into(), number });
                    }
                }
            }
        }
        self.flush(out)
    }

    fn event(&mut self, event: &[u8], raw: bool, out: &mut impl Out) -> Result<(), Error> {
        self.check(event)?;
        if self.count > 1 {
            self.scratch.push(b',');
        }
        let event = match raw {
            true => alias::named(event, &self.aliases).map_err(|what| self.unreadable(what))?,
            false => Cow::Borrowed(event),
        };
        let schema = &self.schema;
        json::transcode(schema, self.event, &event, &mut self.scratch, &mut self.unknown)
            .map_err(|source| Error::Json { what: self.name(), source })?;
        if self.scratch.len() >= PIECE { self.flush(out) } else { Ok(()) }
    }

    /// Events are numbered from 1 without gaps: a page or a batch that is missing shows.
    fn check(&mut self, event: &[u8]) -> Result<(), Error> {
        let (mut id, mut kind) = (0, 0);
        let mut reader = Reader::new(event);
        while !reader.is_empty() {
            match reader.field().map_err(|what| self.unreadable(what))? {
                (1, Value::Varint(number)) => id = number,
                (3, Value::Varint(number)) => kind = number,
                // The id and the type come first; the rest is left to the transcoder.
                _ if id > 0 && kind > 0 => break,
                _ => {}
            }
        }
        if id != self.count + 1 {
            return Err(self.incomplete(format!("event {id} follows event {}", self.count)));
        }
        self.count = id;
        self.closed = LAST.contains(&kind);
        Ok(())
    }

    /// Ends the history: it must have one.
    pub(super) fn end(&self, expected: i64) -> Result<(), Error> {
        let expected = u64::try_from(expected).unwrap_or(0);
        if self.count == 0 || (!self.closed && self.count < expected) {
            return Err(self.incomplete(format!("it ends with event {} of {expected}", self.count)));
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut impl Out) -> Result<(), Error> {
        out.json(&self.scratch)?;
        self.scratch.clear();
        Ok(())
    }

    fn note(&mut self, unknown: UnknownField) {
        if !self.unknown.contains(&unknown) {
            self.unknown.push(unknown);
        }
    }

    fn name(&self) -> String {
        let [workflow_id, run_id] = &*self.ids;
        format!("event {} of workflow {workflow_id:?}, run {run_id}", self.count)
    }

    fn incomplete(&self, what: String) -> Error {
        let [workflow_id, run_id] = (*self.ids).clone();
        Error::Incomplete { workflow_id, run_id, what }
    }

    fn unreadable(&self, what: &str) -> Error {
        Error::Response { right: RPC, what: format!("{what}, after {}", self.name()) }
    }
}
