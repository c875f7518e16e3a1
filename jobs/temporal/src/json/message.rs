//! Messages: the fields found on the wire, put in declaration order and printed.

use std::ops::Range;

use super::scalar;
use super::table::{Field, FieldKind, Form, Message, MessageId, Repeat, Schema};
use super::wire::{Reader, Value};
use super::{Error, UnknownField};

/// Deepest nesting accepted; Temporal's deepest real nesting is a chain of failure causes.
pub(super) const MAX_DEPTH: usize = 400;

/// One field occurrence.
#[derive(Clone, Copy)]
struct Found<'a> {
    index: u16,
    value: Value<'a>,
}

pub(super) struct Transcoder<'s, 'o> {
    schema: &'s Schema,
    out: &'o mut Vec<u8>,
    unknown: &'o mut Vec<UnknownField>,
}

impl<'s, 'o> Transcoder<'s, 'o> {
    pub(super) fn new(
        schema: &'s Schema,
        out: &'o mut Vec<u8>,
        unknown: &'o mut Vec<UnknownField>,
    ) -> Self {
        Self { schema, out, unknown }
    }

    pub(super) fn message(
        &mut self,
        id: MessageId,
        bytes: &[u8],
        depth: usize,
    ) -> Result<(), Error> {
        let schema = self.schema;
        let message = schema
            .messages
            .get(id.0)
            .ok_or_else(|| Error::UnknownMessage { message: format!("number {}", id.0) })?;
        if depth > MAX_DEPTH {
            return Err(Error::TooDeep { message: message.name.clone() });
        }
        match message.form {
            Form::Object => self.object(message, bytes, depth),
            Form::Timestamp | Form::Duration => self.time(message, bytes),
            Form::Unsupported => Err(Error::Unsupported { message: message.name.clone() }),
        }
    }

    fn time(&mut self, message: &Message, bytes: &[u8]) -> Result<(), Error> {
        let (seconds, nanos) =
            scalar::seconds_and_nanos(bytes).map_err(|what| malformed(message, what))?;
        let printed = match message.form {
            Form::Timestamp => scalar::timestamp(seconds, nanos, self.out),
            _ => scalar::duration(seconds, nanos, self.out),
        };
        if printed { Ok(()) } else { Err(Error::Range { message: message.name.clone() }) }
    }

    fn object(&mut self, message: &Message, bytes: &[u8], depth: usize) -> Result<(), Error> {
        let found = self.collect(message, bytes)?;
        self.out.push(b'{');
        let start = self.out.len();
        let mut i = 0;
        while let Some(first) = found.get(i) {
            let run = found.get(i..).unwrap_or_default();
            let count = run.iter().take_while(|f| f.index == first.index).count();
            i += count;
            let occurrences = run.get(..count).unwrap_or_default();
            let Some(field) = message.fields.get(usize::from(first.index)) else { continue };
            self.field(message, field, occurrences, start, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// The known fields of a message in declaration order, occurrences in wire order.
    fn collect<'a>(&mut self, message: &Message, bytes: &'a [u8]) -> Result<Vec<Found<'a>>, Error> {
        let mut found: Vec<Found<'a>> = Vec::with_capacity(8);
        let mut sorted = true;
        let mut oneofs = false;
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            let (number, value) = reader.field().map_err(|what| malformed(message, what))?;
            match message.index_of(number) {
                Some(index) => {
                    sorted &= found.last().is_none_or(|last| last.index <= index);
                    oneofs |=
                        message.fields.get(usize::from(index)).is_some_and(|f| f.oneof.is_some());
                    found.push(Found { index, value });
                }
                None => self.note_unknown(message, number),
            }
        }
        if oneofs {
            keep_last_of_each_oneof(message, &mut found);
        }
        if !sorted {
            found.sort_by_key(|f| f.index);
        }
        Ok(found)
    }

    fn note_unknown(&mut self, message: &Message, number: u32) {
        if !self.unknown.iter().any(|u| u.number == number && u.message == message.name) {
            self.unknown.push(UnknownField { message: message.name.clone(), number });
        }
    }

    fn field(
        &mut self,
        message: &Message,
        field: &Field,
        occurrences: &[Found<'_>],
        start: usize,
        depth: usize,
    ) -> Result<(), Error> {
        match field.repeat {
            Repeat::Single => self.single(message, field, occurrences, start, depth),
            Repeat::List => self.list(message, field, occurrences, start, depth),
            Repeat::Map => self.map(message, field, occurrences, start, depth),
        }
    }

    fn label(&mut self, field: &Field, start: usize) {
        if self.out.len() > start {
            self.out.push(b',');
        }
        self.out.extend_from_slice(&field.label);
    }

    fn single(
        &mut self,
        message: &Message,
        field: &Field,
        occurrences: &[Found<'_>],
        start: usize,
        depth: usize,
    ) -> Result<(), Error> {
        let Some(last) = occurrences.last() else { return Ok(()) };
        if let (FieldKind::Message(id), true) = (field.kind, occurrences.len() > 1) {
            // Several occurrences of one message field merge, which is what their bytes joined mean.
            let mut joined = Vec::new();
            for occurrence in occurrences {
                joined.extend_from_slice(message_bytes(message, occurrence.value)?);
            }
            self.label(field, start);
            return self.message(id, &joined, depth + 1);
        }
        if !field.presence && is_default(field.kind, last.value) {
            return Ok(());
        }
        self.label(field, start);
        self.value(message, field, field.kind, last.value, depth)
    }

    fn list(
        &mut self,
        message: &Message,
        field: &Field,
        occurrences: &[Found<'_>],
        start: usize,
        depth: usize,
    ) -> Result<(), Error> {
        let before = self.out.len();
        self.label(field, start);
        self.out.push(b'[');
        let first = self.out.len();
        for occurrence in occurrences {
            match (field.kind, occurrence.value) {
                (FieldKind::String | FieldKind::Bytes | FieldKind::Message(_), value) => {
                    self.comma(first);
                    self.value(message, field, field.kind, value, depth)?;
                }
                (kind, Value::Bytes(packed)) => {
                    let mut reader = Reader::new(packed);
                    while !reader.is_empty() {
                        let value =
                            packed_value(kind, &mut reader).map_err(|w| malformed(message, w))?;
                        self.comma(first);
                        self.value(message, field, kind, value, depth)?;
                    }
                }
                (kind, value) => {
                    self.comma(first);
                    self.value(message, field, kind, value, depth)?;
                }
            }
        }
        if self.out.len() == first {
            self.out.truncate(before); // an empty list is not printed
        } else {
            self.out.push(b']');
        }
        Ok(())
    }

    fn comma(&mut self, first: usize) {
        if self.out.len() > first {
            self.out.push(b',');
        }
    }

    /// Maps print with their keys sorted; of a key that comes twice the last value counts.
    fn map(
        &mut self,
        message: &Message,
        field: &Field,
        occurrences: &[Found<'_>],
        start: usize,
        depth: usize,
    ) -> Result<(), Error> {
        let FieldKind::Message(entry_id) = field.kind else {
            return Err(malformed(message, "map without entries"));
        };
        let schema = self.schema;
        let entry = schema
            .messages
            .get(entry_id.0)
            .ok_or_else(|| Error::UnknownMessage { message: format!("number {}", entry_id.0) })?;
        let [key_field, value_field] = entry.fields.as_slice() else {
            return Err(malformed(entry, "map entry without key and value"));
        };
        let mut entries = Vec::with_capacity(occurrences.len());
        for occurrence in occurrences {
            let bytes = message_bytes(message, occurrence.value)?;
            let (mut key, mut value) =
                (default_value(key_field.kind), default_value(value_field.kind));
            let mut reader = Reader::new(bytes);
            while !reader.is_empty() {
                match reader.field().map_err(|what| malformed(entry, what))? {
                    (1, v) => key = v,
                    (2, v) => value = v,
                    (number, _) => self.note_unknown(entry, number),
                }
            }
            entries.push((map_key(entry, key_field.kind, key)?, key, value));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0)); // stable: the last of equal keys stays last
        self.label(field, start);
        self.out.push(b'{');
        let first = self.out.len();
        for (i, (sort_key, key, value)) in entries.iter().enumerate() {
            if entries.get(i + 1).is_some_and(|next| next.0 == *sort_key) {
                continue;
            }
            self.comma(first);
            let range =
                self.printed(|this| this.value(entry, key_field, key_field.kind, *key, depth))?;
            self.quote(range);
            self.out.push(b':');
            self.value(entry, value_field, value_field.kind, *value, depth + 1)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn printed(
        &mut self,
        print: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<Range<usize>, Error> {
        let start = self.out.len();
        print(self)?;
        Ok(start..self.out.len())
    }

    /// Object keys are strings: what printed bare is quoted.
    fn quote(&mut self, range: Range<usize>) {
        if self.out.get(range.start) != Some(&b'"') {
            self.out.insert(range.start, b'"');
            self.out.push(b'"');
        }
    }

    fn value(
        &mut self,
        message: &Message,
        field: &Field,
        kind: FieldKind,
        value: Value<'_>,
        depth: usize,
    ) -> Result<(), Error> {
        let out = &mut *self.out;
        match (kind, value) {
            (FieldKind::Message(id), value) => {
                let bytes = message_bytes(message, value)?;
                return self.message(id, bytes, depth + 1);
            }
            (FieldKind::String, Value::Bytes(bytes)) => {
                let text = std::str::from_utf8(bytes).map_err(|_| Error::Utf8 {
                    message: message.name.clone(),
                    field: field.name.clone(),
                })?;
                scalar::string(text, out);
            }
            (FieldKind::Bytes, Value::Bytes(bytes)) => scalar::base64(bytes, out),
            (FieldKind::Bool, Value::Varint(v)) => {
                out.extend_from_slice(if v != 0 { b"true" } else { b"false" });
            }
            (FieldKind::Enum(id), Value::Varint(v)) => {
                let number = v as i32;
                match self.schema.enums.get(id).and_then(|names| names.get(&number)) {
                    Some(name) => scalar::string(name, out),
                    None => scalar::integer(number, out),
                }
            }
            (FieldKind::Int32, Value::Varint(v)) => scalar::integer(v as i32, out),
            (FieldKind::Uint32, Value::Varint(v)) => scalar::integer(v as u32, out),
            (FieldKind::Sint32, Value::Varint(v)) => scalar::integer(zigzag(v) as i32, out),
            (FieldKind::Int64, Value::Varint(v)) => scalar::quoted_integer(v as i64, out),
            (FieldKind::Uint64, Value::Varint(v)) => scalar::quoted_integer(v, out),
            (FieldKind::Sint64, Value::Varint(v)) => scalar::quoted_integer(zigzag(v), out),
            (FieldKind::Fixed32, Value::Fixed32(v)) => scalar::integer(v, out),
            (FieldKind::Sfixed32, Value::Fixed32(v)) => scalar::integer(v as i32, out),
            (FieldKind::Fixed64, Value::Fixed64(v)) => scalar::quoted_integer(v, out),
            (FieldKind::Sfixed64, Value::Fixed64(v)) => scalar::quoted_integer(v as i64, out),
            (FieldKind::Double, Value::Fixed64(v)) => {
                let number = f64::from_bits(v);
                scalar::double(
                    number,
                    !(1e-6..1e21).contains(&number.abs()),
                    format!("{number:e}"),
                    out,
                );
            }
            (FieldKind::Float, Value::Fixed32(v)) => {
                let number = f32::from_bits(v);
                scalar::double(
                    f64::from(number),
                    !(1e-6..1e21).contains(&number.abs()),
                    format!("{number:e}"),
                    out,
                );
            }
            _ => return Err(malformed(message, "wire type does not fit the field")),
        }
        Ok(())
    }
}

fn malformed(message: &Message, what: &'static str) -> Error {
    Error::Malformed { message: message.name.clone(), what }
}

fn message_bytes<'a>(message: &Message, value: Value<'a>) -> Result<&'a [u8], Error> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(malformed(message, "wire type does not fit the field")),
    }
}

fn keep_last_of_each_oneof(message: &Message, found: &mut Vec<Found<'_>>) {
    let oneof_of =
        |f: &Found<'_>| message.fields.get(usize::from(f.index)).and_then(|field| field.oneof);
    let mut last: Vec<(u16, u16)> = Vec::new();
    for f in found.iter() {
        if let Some(oneof) = oneof_of(f) {
            match last.iter_mut().find(|(o, _)| *o == oneof) {
                Some(slot) => slot.1 = f.index,
                None => last.push((oneof, f.index)),
            }
        }
    }
    found.retain(|f| match oneof_of(f) {
        Some(oneof) => last.contains(&(oneof, f.index)),
        None => true,
    });
}

fn is_default(kind: FieldKind, value: Value<'_>) -> bool {
    match (kind, value) {
        (FieldKind::Message(_), _) => false,
        // Only the low half of a 32-bit field's varint counts.
        (
            FieldKind::Int32 | FieldKind::Uint32 | FieldKind::Sint32 | FieldKind::Enum(_),
            Value::Varint(v),
        ) => v as u32 == 0,
        (_, Value::Varint(v) | Value::Fixed64(v)) => v == 0,
        (_, Value::Fixed32(v)) => v == 0,
        (_, Value::Bytes(bytes)) => bytes.is_empty(),
    }
}

fn default_value(kind: FieldKind) -> Value<'static> {
    match kind {
        FieldKind::String | FieldKind::Bytes | FieldKind::Message(_) => Value::Bytes(&[]),
        FieldKind::Double | FieldKind::Fixed64 | FieldKind::Sfixed64 => Value::Fixed64(0),
        FieldKind::Float | FieldKind::Fixed32 | FieldKind::Sfixed32 => Value::Fixed32(0),
        _ => Value::Varint(0),
    }
}

fn packed_value<'a>(kind: FieldKind, reader: &mut Reader<'a>) -> Result<Value<'a>, &'static str> {
    Ok(match kind {
        FieldKind::Double | FieldKind::Fixed64 | FieldKind::Sfixed64 => {
            Value::Fixed64(reader.fixed64()?)
        }
        FieldKind::Float | FieldKind::Fixed32 | FieldKind::Sfixed32 => {
            Value::Fixed32(reader.fixed32()?)
        }
        _ => Value::Varint(reader.varint()?),
    })
}

fn zigzag(v: u64) -> i64 {
    ((v >> 1) as i64) ^ -((v & 1) as i64)
}

/// What a map key sorts by: text by bytes, numbers by value, false before true.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum SortKey<'a> {
    Number(i128),
    Text(&'a [u8]),
}

fn map_key<'a>(entry: &Message, kind: FieldKind, value: Value<'a>) -> Result<SortKey<'a>, Error> {
    Ok(match (kind, value) {
        (FieldKind::String, Value::Bytes(bytes)) => SortKey::Text(bytes),
        (FieldKind::Bool, Value::Varint(v)) => SortKey::Number(i128::from(v != 0)),
        (FieldKind::Int32, Value::Varint(v)) => SortKey::Number(i128::from(v as i32)),
        (FieldKind::Int64, Value::Varint(v)) => SortKey::Number(i128::from(v as i64)),
        (FieldKind::Uint32, Value::Varint(v)) => SortKey::Number(i128::from(v as u32)),
        (FieldKind::Uint64, Value::Varint(v)) => SortKey::Number(i128::from(v)),
        (FieldKind::Sint32 | FieldKind::Sint64, Value::Varint(v)) => {
            SortKey::Number(i128::from(zigzag(v)))
        }
        (FieldKind::Fixed32, Value::Fixed32(v)) => SortKey::Number(i128::from(v)),
        (FieldKind::Sfixed32, Value::Fixed32(v)) => SortKey::Number(i128::from(v as i32)),
        (FieldKind::Fixed64, Value::Fixed64(v)) => SortKey::Number(i128::from(v)),
        (FieldKind::Sfixed64, Value::Fixed64(v)) => SortKey::Number(i128::from(v as i64)),
        _ => return Err(malformed(entry, "map key does not fit its type")),
    })
}
