//! Text COPY: one row per line. A newline in a value is written `\n`, never raw.

use memchr::memchr_iter;
use twox_hash::xxhash3_128::Hasher;

use super::{CopySummary, RowDigest};

/// The line that ends the data of a COPY in a script or a data file.
const END_MARKER: &[u8] = b"\\.";

#[derive(Default)]
pub(super) struct TextRows {
    /// A row whose end has not come yet.
    begun: Option<BegunRow>,
    /// The end marker has come: only blank lines may follow.
    ended: bool,
}

struct BegunRow {
    hasher: Hasher,
    length: u64,
    /// The whole row, as long as it might be the end marker.
    start: Option<Vec<u8>>,
    /// It ends, so far, in a backslash that takes the next byte with it.
    escape: bool,
}

impl TextRows {
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        summary: &mut CopySummary,
    ) -> Result<(), &'static str> {
        let mut rest = bytes;
        if let Some(begun) = self.begun.take() {
            rest = self.finish_begun(begun, rest, summary);
        }
        let mut start = 0;
        if !self.ended {
            for newline in memchr_iter(b'\n', rest) {
                let row = rest.get(start..newline).unwrap_or_default();
                if row.last() == Some(&b'\\') && ends_in_escape(row, false) {
                    continue;
                }
                start = newline + 1;
                if row == END_MARKER {
                    self.ended = true;
                    break;
                }
                summary.add_row(row.len() as u64 + 1, RowDigest::of_row(row));
            }
        }
        let rest = rest.get(start..).unwrap_or_default();
        if self.ended {
            return match rest.iter().all(|byte| *byte == b'\n') {
                true => Ok(()),
                false => Err("data follows the end marker"),
            };
        }
        if !rest.is_empty() {
            self.begun = Some(BegunRow::new(rest));
        }
        Ok(())
    }

    /// Looks for the end of a row begun earlier. Gives the bytes behind it.
    fn finish_begun<'a>(
        &mut self,
        mut begun: BegunRow,
        bytes: &'a [u8],
        summary: &mut CopySummary,
    ) -> &'a [u8] {
        let end = memchr_iter(b'\n', bytes).find(|newline| {
            !ends_in_escape(bytes.get(..*newline).unwrap_or_default(), begun.escape)
        });
        begun.push(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default());
        let Some(end) = end else {
            self.begun = Some(begun);
            return &[];
        };
        if begun.start.as_deref() == Some(END_MARKER) {
            self.ended = true;
        } else {
            summary.add_row(begun.length + 1, RowDigest::of_pieces(&begun.hasher));
        }
        bytes.get(end + 1..).unwrap_or_default()
    }

    pub(super) fn finish(&self) -> Result<(), &'static str> {
        match self.begun {
            Some(_) => Err("the row has no end"),
            None => Ok(()),
        }
    }

    pub(super) fn saw_end(&self) -> bool {
        self.ended
    }
}

impl BegunRow {
    fn new(bytes: &[u8]) -> Self {
        let mut row =
            Self { hasher: Hasher::new(), length: 0, start: Some(Vec::new()), escape: false };
        row.push(bytes);
        row
    }

    fn push(&mut self, bytes: &[u8]) {
        self.escape = ends_in_escape(bytes, self.escape);
        self.hasher.write(bytes);
        self.length += bytes.len() as u64;
        match &mut self.start {
            Some(start) if start.len() + bytes.len() <= END_MARKER.len() => {
                start.extend_from_slice(bytes);
            }
            start => *start = None,
        }
    }
}

/// Whether `bytes` end in a backslash that is not itself escaped; `escape` says so of what came
/// before them.
fn ends_in_escape(bytes: &[u8], escape: bool) -> bool {
    let backslashes = bytes.iter().rev().take_while(|byte| **byte == b'\\').count();
    let odd = backslashes % 2 == 1;
    if backslashes == bytes.len() { odd != escape } else { odd }
}
