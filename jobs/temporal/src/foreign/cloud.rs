//! Temporal Cloud's export: `WorkflowExecutions { repeated WorkflowExecution items = 1 }`, where
//! a `WorkflowExecution` is `{ History history = 1 }` and a `History` `{ repeated HistoryEvent
//! events = 1 }`. A file may be large; one item at a time is held.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::folder::io;
use super::{Error, History, MAX_BYTES, Place};
use crate::json::wire::{Reader, Value};

/// Key of the only field on each level: number 1, length-delimited.
const FIELD: u64 = 0x0a;

/// Where each item of a file is; the inner error says why the file is no export.
pub(super) fn items(path: &Path) -> Result<Result<Vec<Place>, &'static str>, Error> {
    let mut file = BufReader::new(File::open(path).map_err(io(path))?);
    let mut places = Vec::new();
    while !file.fill_buf().map_err(io(path))?.is_empty() {
        let key = varint(&mut file).map_err(io(path))?;
        let length = varint(&mut file).map_err(io(path))?.filter(|length| *length <= MAX_BYTES);
        let offset = file.stream_position().map_err(io(path))?;
        let first = file.fill_buf().map_err(io(path))?.first().map(|byte| u64::from(*byte));
        let proper = key == Some(FIELD) && (first == Some(FIELD) || length == Some(0));
        let (true, Some(length)) = (proper, length) else {
            if places.is_empty() {
                return Ok(Err("is no export of Temporal Cloud"));
            }
            // Damaged further on: an item that cannot be read stands for what is behind.
            places.push(Place::Item { file: path.to_owned(), offset, length: MAX_BYTES });
            break;
        };
        places.push(Place::Item { file: path.to_owned(), offset, length });
        file.seek_relative(length.cast_signed()).map_err(io(path))?;
    }
    if places.is_empty() {
        return Ok(Err("is empty"));
    }
    Ok(Ok(places))
}

/// A varint; `None` when it is none or cut short.
fn varint(file: &mut impl Read) -> Result<Option<u64>, std::io::Error> {
    let mut value = 0_u64;
    for shift in 0..10 {
        let mut byte = [0];
        if file.read(&mut byte)? == 0 {
            return Ok(None);
        }
        let [byte] = byte;
        value |= u64::from(byte & 0x7f) << (7 * shift);
        if byte < 0x80 {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// The events of one item.
pub(super) fn read(
    path: &Path,
    offset: u64,
    length: u64,
    history: &mut History<'_>,
) -> Result<(), Error> {
    let mut file = File::open(path).map_err(io(path))?;
    file.seek(SeekFrom::Start(offset)).map_err(io(path))?;
    let mut item = Vec::new();
    file.take(length).read_to_end(&mut item).map_err(io(path))?;
    if item.len() as u64 != length {
        return Err(history.wrong("is cut short"));
    }
    let mut executions = Reader::new(&item);
    while !executions.is_empty() {
        let mut events = Reader::new(only_field(&mut executions, EXECUTION, history)?);
        while !events.is_empty() {
            let event = only_field(&mut events, HISTORY, history)?;
            history.event(event)?;
        }
    }
    Ok(())
}

const EXECUTION: &str = "temporal.api.export.v1.WorkflowExecution";
const HISTORY: &str = "temporal.api.history.v1.History";

/// The next field of a message that has only number 1.
fn only_field<'b>(
    reader: &mut Reader<'b>,
    message: &str,
    history: &History<'_>,
) -> Result<&'b [u8], Error> {
    match reader.field() {
        Ok((1, Value::Bytes(bytes))) => Ok(bytes),
        Ok((number, _)) => {
            let field = crate::json::UnknownField { message: message.to_owned(), number };
            Err(Error::UnknownFields { path: history.path.to_owned(), fields: vec![field] })
        }
        Err(what) => Err(Error::Events {
            path: history.path.to_owned(),
            source: crate::json::Error::Malformed { message: message.to_owned(), what },
        }),
    }
}
