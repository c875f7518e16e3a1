//! Fields of a protobuf message by number, without its definition.

use super::timer_task::{take, varint};

/// A field's value, as far as the wire tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// An integer, a boolean, an enum.
    Number(u64),
    /// A text, bytes, a message.
    Bytes(&'a [u8]),
}

/// Every field in order; ends early when the message is malformed.
pub(super) fn fields(mut data: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        loop {
            if data.is_empty() {
                return None;
            }
            let tag = varint(&mut data)?;
            match tag & 7 {
                0 => return Some((tag >> 3, Value::Number(varint(&mut data)?))),
                1 => drop(take(&mut data, 8)?),
                2 => {
                    let length = usize::try_from(varint(&mut data)?).ok()?;
                    return Some((tag >> 3, Value::Bytes(take(&mut data, length)?)));
                }
                5 => drop(take(&mut data, 4)?),
                _ => return None,
            }
        }
    })
}

/// The last value of a field that is a number.
pub(super) fn number(data: &[u8], field: u64) -> Option<u64> {
    fields(data)
        .filter_map(|(number, value)| match value {
            Value::Number(value) if number == field => Some(value),
            _ => None,
        })
        .last()
}

/// All values of a field that is text, bytes or a message.
pub(super) fn all(data: &[u8], field: u64) -> impl Iterator<Item = &[u8]> {
    fields(data).filter_map(move |(number, value)| match value {
        Value::Bytes(value) if number == field => Some(value),
        _ => None,
    })
}

/// The last of them.
pub(super) fn bytes(data: &[u8], field: u64) -> Option<&[u8]> {
    all(data, field).last()
}

/// The last of them as text.
pub(super) fn text(data: &[u8], field: u64) -> Option<&str> {
    bytes(data, field).and_then(|value| std::str::from_utf8(value).ok())
}

/// A `google.protobuf.Timestamp`.
pub(super) fn time(data: &[u8], field: u64) -> Option<chrono::DateTime<chrono::Utc>> {
    let message = bytes(data, field)?;
    let seconds = i64::try_from(number(message, 1).unwrap_or(0)).ok()?;
    let nanos = u32::try_from(number(message, 2).unwrap_or(0)).ok()?;
    chrono::DateTime::from_timestamp(seconds, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_damage_ends_the_message() {
        let message = b"\x0a\x02ns\x20\x10\x5a\x04\x08\x80\x80\x01\x09\0\0\0\0\0\0\0\0\x0a\x02xy";
        assert_eq!(text(message, 1), Some("xy"));
        assert_eq!(all(message, 1).count(), 2);
        assert_eq!(number(message, 4), Some(16));
        assert_eq!(time(message, 11).unwrap().timestamp(), 16384);
        for end in 0..message.len() {
            // Whatever is there, nothing breaks.
            let _ = fields(&message[..end]).count();
        }
        assert_eq!(fields(b"\x0b").count(), 0);
    }
}
