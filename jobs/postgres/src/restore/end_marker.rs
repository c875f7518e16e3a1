//! The end of a `COPY` stream, which tells a whole file from one that was cut off: the server
//! takes a stream that stops between two rows for a whole one.

use bytes::{Bytes, BytesMut};

/// Looks for the end marker while pieces pass through; the last two are held back.
#[derive(Debug)]
pub(super) struct EndMarker {
    format: Format,
    previous: Bytes,
    last: Bytes,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Text,
    Binary,
}

/// The stream ended without its marker.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the data stops before its end marker: the file is truncated")]
pub(super) struct Truncated;

impl EndMarker {
    /// Text ends in a line with nothing but `\.`, and empty lines after it; both are taken off.
    pub(super) fn text() -> Self {
        Self { format: Format::Text, previous: Bytes::new(), last: Bytes::new() }
    }

    /// Binary ends in a row with -1 fields, which the server wants to see.
    pub(super) fn binary() -> Self {
        Self { format: Format::Binary, ..Self::text() }
    }

    /// Takes a piece and gives back what can be sent.
    pub(super) fn feed(&mut self, piece: Bytes) -> Option<Bytes> {
        let last = std::mem::replace(&mut self.last, piece);
        let ready = std::mem::replace(&mut self.previous, last);
        (!ready.is_empty()).then_some(ready)
    }

    /// What is left to send at the end of the stream.
    ///
    /// # Errors
    /// [`Truncated`] without a marker.
    pub(super) fn finish(self) -> Result<Bytes, Truncated> {
        let rest = if self.previous.is_empty() {
            self.last
        } else {
            let mut joined = BytesMut::from(self.previous);
            joined.extend_from_slice(&self.last);
            joined.freeze()
        };
        match self.format {
            Format::Binary if rest.ends_with(&[0xff, 0xff]) => Ok(rest),
            Format::Binary => Err(Truncated),
            Format::Text => {
                let newlines = rest.iter().rev().take_while(|&&byte| byte == b'\n').count();
                let marked = rest.get(..rest.len() - newlines).unwrap_or_default();
                let rows = marked.strip_suffix(br"\.").ok_or(Truncated)?;
                // Inside a row a backslash is always doubled, so this is the marker; a row's
                // last value could end in `\\.` all the same.
                if newlines == 0 || !(rows.is_empty() || rows.ends_with(b"\n")) {
                    return Err(Truncated);
                }
                Ok(rest.slice(..rows.len()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that comes out for `content`, fed in pieces of `size` bytes.
    fn through(mut marker: EndMarker, content: &[u8], size: usize) -> Result<Vec<u8>, Truncated> {
        let mut sent = Vec::new();
        for piece in content.chunks(size) {
            if let Some(ready) = marker.feed(Bytes::copy_from_slice(piece)) {
                sent.extend_from_slice(&ready);
            }
        }
        sent.extend_from_slice(&marker.finish()?);
        Ok(sent)
    }

    #[test]
    fn the_marker_is_taken_off_text_however_it_is_cut_into_pieces() {
        let content = b"1\tx\n2\ty\\\\.\n\\.\n\n\n";
        for size in 4..=content.len() {
            assert_eq!(through(EndMarker::text(), content, size).unwrap(), b"1\tx\n2\ty\\\\.\n");
        }
        assert_eq!(through(EndMarker::text(), b"\\.\n", 9).unwrap(), b"");
    }

    #[test]
    fn text_without_its_marker_is_truncated() {
        for content in [&b""[..], b"1\n", b"1\n2", b"1\n\\.", b"1\\\\.\n", b"1\n\\", b"\n\n"] {
            assert_eq!(through(EndMarker::text(), content, 9), Err(Truncated), "{content:?}");
        }
    }

    #[test]
    fn binary_without_its_marker_is_truncated() {
        assert_eq!(through(EndMarker::binary(), b"PGCOPY\xff\xff", 7).unwrap(), b"PGCOPY\xff\xff");
        assert_eq!(through(EndMarker::binary(), b"PGCOPY\xff", 9), Err(Truncated));
        assert_eq!(through(EndMarker::binary(), b"", 9), Err(Truncated));
    }
}
