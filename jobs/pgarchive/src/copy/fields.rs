//! The fields of the rows of a COPY stream, for the few tables that this program reads itself.

use super::CopyFormat;
use crate::Error;

/// Signature, flags, length of the header's extension.
const HEADER: usize = 19;
/// Longest row that is held.
const MOST: usize = 1 << 30;

/// Reads rows from a stream that comes in pieces. What is damaged beyond reading is an error;
/// whether the stream is whole is [`RowCounter`](super::RowCounter)'s to say.
#[derive(Debug)]
pub struct Fields {
    format: CopyFormat,
    held: Vec<u8>,
    /// The binary header has been read, or there is none.
    begun: bool,
    ended: bool,
    rows: u64,
}

/// A field's bytes as they stand in the stream, unescaped; `None` is NULL.
pub type Field = Option<Vec<u8>>;

impl Fields {
    /// A reader at the beginning of a stream.
    pub fn new(format: CopyFormat) -> Self {
        Self { format, held: Vec::new(), begun: format == CopyFormat::Text, ended: false, rows: 0 }
    }

    /// Takes the next bytes and gives every row that is whole by now.
    ///
    /// # Errors
    /// [`Error::Copy`] for what is no row.
    pub fn feed(&mut self, bytes: &[u8], mut row: impl FnMut(Vec<Field>)) -> Result<(), Error> {
        if self.ended {
            return Ok(());
        }
        self.held.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let rest = self.held.get(at..).unwrap_or_default();
            let next = match self.format {
                CopyFormat::Text => Ok(text(rest)),
                CopyFormat::Binary if !self.begun => match header(rest) {
                    Some(length) => {
                        self.begun = true;
                        at += length;
                        continue;
                    }
                    None => Ok(Next::Cut),
                },
                CopyFormat::Binary => binary(rest),
            };
            match next {
                Ok(Next::Row(fields, length)) => {
                    at += length;
                    self.rows += 1;
                    row(fields);
                }
                Ok(Next::End) => {
                    self.ended = true;
                    break;
                }
                Ok(Next::Cut) if rest.len() < MOST => break,
                Ok(Next::Cut) => return Err(self.damaged("a row is longer than any")),
                Err(problem) => return Err(self.damaged(problem)),
            }
        }
        self.held.drain(..at.min(self.held.len()));
        Ok(())
    }

    fn damaged(&self, problem: &'static str) -> Error {
        Error::Copy { format: self.format, row: self.rows + 1, offset: 0, problem }
    }
}

enum Next {
    Row(Vec<Field>, usize),
    End,
    Cut,
}

fn header(bytes: &[u8]) -> Option<usize> {
    let extension = bytes.get(HEADER - 4..HEADER)?;
    let extension = u32::from_be_bytes(extension.try_into().ok()?);
    let length = HEADER.saturating_add(usize::try_from(extension).ok()?);
    (bytes.len() >= length).then_some(length)
}

fn binary(bytes: &[u8]) -> Result<Next, &'static str> {
    let mut rest = bytes;
    let Some(count) = take::<2>(&mut rest).map(i16::from_be_bytes) else { return Ok(Next::Cut) };
    if count == -1 {
        return Ok(Next::End);
    }
    let count = usize::try_from(count).map_err(|_| "the number of fields is negative")?;
    let mut fields = Vec::with_capacity(count);
    for _ in 0..count {
        let Some(length) = take::<4>(&mut rest).map(i32::from_be_bytes) else {
            return Ok(Next::Cut);
        };
        if length == -1 {
            fields.push(None);
            continue;
        }
        let length = usize::try_from(length).map_err(|_| "the length of a field is negative")?;
        let Some((field, after)) = rest.split_at_checked(length) else { return Ok(Next::Cut) };
        fields.push(Some(field.to_vec()));
        rest = after;
    }
    Ok(Next::Row(fields, bytes.len() - rest.len()))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_at_checked(N)?;
    *bytes = tail;
    head.try_into().ok()
}

/// A line. Newlines and tabs in values are escaped, and so are backslashes.
fn text(bytes: &[u8]) -> Next {
    let Some(end) = memchr::memchr(b'\n', bytes) else { return Next::Cut };
    let line = bytes.get(..end).unwrap_or_default();
    if line == b"\\." {
        return Next::End;
    }
    Next::Row(line.split(|byte| *byte == b'\t').map(unescaped).collect(), end + 1)
}

fn unescaped(field: &[u8]) -> Field {
    if field == b"\\N" {
        return None;
    }
    let mut value = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        value.push(match (byte, byte == &b'\\') {
            (_, true) => match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => *other,
                None => b'\\',
            },
            (byte, false) => *byte,
        });
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: CopyFormat, stream: &[u8], piece: usize) -> Vec<Vec<Field>> {
        let (mut fields, mut rows) = (Fields::new(format), Vec::new());
        for piece in stream.chunks(piece) {
            fields.feed(piece, |row| rows.push(row)).unwrap();
        }
        rows
    }

    #[test]
    fn rows_are_read_in_whatever_pieces_they_come() {
        let text = b"1\ta\\tb\\\\x\t\\N\n2\t\t\\\\x00\n\\.\n\n\n";
        let mut binary = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        binary.extend(b"\0\x03\0\0\0\x011\0\0\0\x02ab\xff\xff\xff\xff");
        binary.extend(b"\xff\xff");
        for piece in [1, 2, 7, 1000] {
            let rows = read(CopyFormat::Text, text, piece);
            assert_eq!(rows.len(), 2);
            assert_eq!(rows[0], [Some(b"1".to_vec()), Some(b"a\tb\\x".to_vec()), None]);
            assert_eq!(rows[1], [Some(b"2".to_vec()), Some(Vec::new()), Some(b"\\x00".to_vec())]);
            let rows = read(CopyFormat::Binary, &binary, piece);
            assert_eq!(rows, [[Some(b"1".to_vec()), Some(b"ab".to_vec()), None]]);
        }
    }

    #[test]
    fn what_is_no_row_is_an_error() {
        let mut stream = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        stream.extend(b"\0\x01\xff\xff\xff\xfe");
        assert!(Fields::new(CopyFormat::Binary).feed(&stream, |_| ()).is_err());
    }
}
