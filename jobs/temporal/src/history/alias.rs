//! Search attributes of raw histories, named as users know them.
//!
//! The server keeps custom search attributes under the names of its database columns, `Keyword02`,
//! and puts the user's names in only where it decodes events itself. What it does there
//! (`ProcessOutgoingSearchAttributes` in `service/history/api/get_history_util.go`) is done here on the
//! wire: rename, and add the type where the client had left it out. With one difference: an
//! attribute whose name has been removed from the namespace is dropped by the server, and kept here
//! under the database's name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::json::wire::{Reader, Value};

/// Where events have search attributes: field of the event, then field of its attributes. Started,
/// continued as new, child initiated, attributes upserted.
const PLACES: [[u32; 2]; 4] = [[6, 23], [33, 14], [34, 17], [45, 2]];

/// Types of attributes that the server defines itself (`predefined` in
/// `common/searchattribute/sadefs/constants.go`).
const PREDEFINED: [(&str, &str); 17] = [
    ("BatcherNamespace", "Keyword"),
    ("BatcherUser", "Keyword"),
    ("BinaryChecksums", "KeywordList"),
    ("BuildIds", "KeywordList"),
    ("TemporalChangeVersion", "KeywordList"),
    ("TemporalExternalPayloadCount", "Int"),
    ("TemporalExternalPayloadSizeBytes", "Int"),
    ("TemporalNamespaceDivision", "Keyword"),
    ("TemporalPauseInfo", "KeywordList"),
    ("TemporalReportedProblems", "KeywordList"),
    ("TemporalScheduledById", "Keyword"),
    ("TemporalScheduledStartTime", "Datetime"),
    ("TemporalSchedulePaused", "Bool"),
    ("TemporalUsedWorkerDeploymentVersions", "KeywordList"),
    ("TemporalWorkerDeployment", "Keyword"),
    ("TemporalWorkerDeploymentVersion", "Keyword"),
    ("TemporalWorkflowVersioningBehavior", "Keyword"),
];

/// Names of the columns for custom attributes, less their two digits, which are their types too.
const COLUMNS: [&str; 7] = ["Bool", "Datetime", "Double", "Int", "Keyword", "KeywordList", "Text"];

/// A history event with the user's names.
pub(crate) fn named<'a>(
    event: &'a [u8],
    aliases: &BTreeMap<String, String>,
) -> Result<Cow<'a, [u8]>, &'static str> {
    let mut reader = Reader::new(event);
    while !reader.is_empty() {
        let (number, _) = reader.field()?;
        if let Some(place) = PLACES.iter().find(|place| place[0] == number) {
            let [outer, inner] = *place;
            return edit(event, outer, &|attributes| {
                edit(attributes, inner, &|all| edit(all, 1, &|entry| one(entry, aliases)))
            });
        }
    }
    Ok(Cow::Borrowed(event))
}

/// Adds the types of an event's search attributes, by name, where they have one and the server
/// does not define them itself.
pub(crate) fn types(
    event: &[u8],
    found: &mut BTreeMap<String, String>,
) -> Result<(), &'static str> {
    let mut reader = Reader::new(event);
    while !reader.is_empty() {
        let (number, Value::Bytes(attributes)) = reader.field()? else { continue };
        let Some([_, inner]) = PLACES.iter().find(|place| place[0] == number) else { continue };
        for all in fields(attributes, *inner)? {
            for entry in fields(all, 1)? {
                let (name, payload) = (last(entry, 1)?, last(entry, 2)?);
                let Ok(name) = std::str::from_utf8(name) else { continue };
                if is_predefined(name) {
                    continue;
                }
                for metadata in fields(payload, 1)? {
                    if last(metadata, 1)? == b"type"
                        && let Ok(kind) = std::str::from_utf8(last(metadata, 2)?)
                    {
                        found.insert(name.to_owned(), kind.to_owned());
                    }
                }
            }
        }
    }
    Ok(())
}

/// Whether the server defines this search attribute itself.
pub(crate) fn is_predefined(name: &str) -> bool {
    PREDEFINED.iter().any(|(known, _)| *known == name)
}

/// Occurrences of a field with a length.
fn fields(message: &[u8], wanted: u32) -> Result<Vec<&[u8]>, &'static str> {
    let mut found = Vec::new();
    let mut reader = Reader::new(message);
    while !reader.is_empty() {
        if let (number, Value::Bytes(bytes)) = reader.field()?
            && number == wanted
        {
            found.push(bytes);
        }
    }
    Ok(found)
}

fn last(message: &[u8], wanted: u32) -> Result<&[u8], &'static str> {
    Ok(fields(message, wanted)?.last().copied().unwrap_or_default())
}

/// One entry of `SearchAttributes.indexed_fields`: a name and a payload.
fn one<'a>(
    entry: &'a [u8],
    aliases: &BTreeMap<String, String>,
) -> Result<Cow<'a, [u8]>, &'static str> {
    let (mut name, mut payload) = ([].as_slice(), [].as_slice());
    let mut reader = Reader::new(entry);
    while !reader.is_empty() {
        match reader.field()? {
            (1, Value::Bytes(bytes)) => name = bytes,
            (2, Value::Bytes(bytes)) => payload = bytes,
            _ => return Err("a map entry has more than a key and a value"),
        }
    }
    let text = std::str::from_utf8(name).map_err(|_| "a search attribute's name is not UTF-8")?;
    let alias = aliases.get(text).map_or(text, String::as_str);
    let kind = if has_type(payload)? { None } else { type_of(text) };
    if alias == text && kind.is_none() {
        return Ok(Cow::Borrowed(entry));
    }
    let mut changed = Vec::with_capacity(entry.len() + 32);
    field(1, alias.as_bytes(), &mut changed);
    match kind {
        None => field(2, payload, &mut changed),
        Some(kind) => {
            let mut metadata = Vec::new();
            field(1, b"type", &mut metadata);
            field(2, kind.as_bytes(), &mut metadata);
            let mut typed = Vec::with_capacity(payload.len() + 32);
            field(1, &metadata, &mut typed);
            typed.extend_from_slice(payload);
            field(2, &typed, &mut changed);
        }
    }
    Ok(Cow::Owned(changed))
}

/// Whether a payload's metadata says what type its attribute has.
fn has_type(payload: &[u8]) -> Result<bool, &'static str> {
    let mut reader = Reader::new(payload);
    while !reader.is_empty() {
        if let (1, Value::Bytes(entry)) = reader.field()? {
            let mut entry = Reader::new(entry);
            while !entry.is_empty() {
                if let (1, Value::Bytes(b"type")) = entry.field()? {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

fn type_of(name: &str) -> Option<&'static str> {
    if let Some((_, kind)) = PREDEFINED.iter().find(|(known, _)| *known == name) {
        return Some(kind);
    }
    let (column, digits) = name.split_at_checked(name.len().checked_sub(2)?)?;
    let is_numbered = digits != "00" && digits.bytes().all(|digit| digit.is_ascii_digit());
    COLUMNS.into_iter().find(|known| is_numbered && *known == column)
}

type Edit<'f> = &'f dyn for<'b> Fn(&'b [u8]) -> Result<Cow<'b, [u8]>, &'static str>;

/// A message with one of its fields changed wherever that occurs, and all else as it was.
fn edit<'a>(
    message: &'a [u8],
    number: u32,
    change: Edit<'_>,
) -> Result<Cow<'a, [u8]>, &'static str> {
    let mut reader = Reader::new(message);
    let mut changed: Option<Vec<u8>> = None;
    loop {
        let before = reader.rest();
        if before.is_empty() {
            return Ok(changed.map_or(Cow::Borrowed(message), Cow::Owned));
        }
        let found = reader.field()?;
        let same = before.get(..before.len() - reader.rest().len()).unwrap_or_default();
        if let (found, Value::Bytes(bytes)) = found
            && found == number
            && let Cow::Owned(other) = change(bytes)?
        {
            let done = message.len() - before.len();
            let out =
                changed.get_or_insert_with(|| message.get(..done).unwrap_or_default().to_vec());
            field(number, &other, out);
        } else if let Some(out) = &mut changed {
            out.extend_from_slice(same);
        }
    }
}

/// Appends a field with a length.
fn field(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    prost::encoding::encode_varint(u64::from(number) << 3 | 2, out);
    prost::encoding::encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use temporalio_protos::temporal::api::common::v1::{Payload, SearchAttributes};
    use temporalio_protos::temporal::api::history::v1::{
        HistoryEvent, UpsertWorkflowSearchAttributesEventAttributes, history_event::Attributes,
    };

    use super::*;

    fn upsert(fields: &[(&str, Option<&str>)]) -> HistoryEvent {
        let indexed_fields = fields.iter().map(|(name, kind)| {
            let mut payload = Payload { data: b"\"x\"".to_vec(), ..Default::default() };
            payload.metadata.insert("encoding".into(), b"json/plain".to_vec());
            if let Some(kind) = kind {
                payload.metadata.insert("type".into(), kind.as_bytes().to_vec());
            }
            ((*name).to_owned(), payload)
        });
        let attributes = UpsertWorkflowSearchAttributesEventAttributes {
            workflow_task_completed_event_id: 4,
            search_attributes: Some(SearchAttributes { indexed_fields: indexed_fields.collect() }),
        };
        HistoryEvent {
            event_id: 7,
            worker_may_ignore: true,
            attributes: Some(Attributes::UpsertWorkflowSearchAttributesEventAttributes(attributes)),
            ..Default::default()
        }
    }

    #[test]
    fn database_names_become_the_users_and_missing_types_are_added() {
        let aliases = BTreeMap::from([("Keyword02".to_owned(), "AidpStage".to_owned())]);
        let event = upsert(&[("Keyword02", None), ("BuildIds", None), ("Int07", Some("Int"))]);
        let bytes = event.encode_to_vec();
        let named = named(&bytes, &aliases).unwrap();
        let expected = upsert(&[
            ("AidpStage", Some("Keyword")),
            ("BuildIds", Some("KeywordList")),
            ("Int07", Some("Int")),
        ]);
        assert_eq!(HistoryEvent::decode(&*named).unwrap(), expected);
    }

    #[test]
    fn event_that_needs_no_change_is_not_copied() {
        let bytes = upsert(&[("AidpStage", None), ("Keyword", None)]).encode_to_vec();
        assert!(matches!(named(&bytes, &BTreeMap::new()).unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn event_cut_short_anywhere_is_an_error_or_unchanged_and_never_a_panic() {
        let aliases = BTreeMap::from([("Keyword02".to_owned(), "AidpStage".to_owned())]);
        let bytes = upsert(&[("Keyword02", None)]).encode_to_vec();
        for end in 0..bytes.len() {
            let _ = named(&bytes[..end], &aliases);
        }
    }
}
