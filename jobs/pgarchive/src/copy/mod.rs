//! COPY streams: is one whole, how many rows has it, what do they add up to.

mod binary;
mod digest;
mod fields;
mod text;

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use self::binary::BinaryRows;
use self::text::TextRows;
use crate::Error;

pub use self::digest::RowDigest;
pub use self::fields::{Field, Fields};

/// What a data file of text rows ends in, as `pg_dump` writes it: without it a direct restore
/// works, but `pg_restore -f -` prints a broken script. Binary data must not have it.
pub const TEXT_COPY_TRAILER: &[u8] = b"\\.\n\n\n";

/// The two formats of COPY that an archive can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CopyFormat {
    /// One line per row: what every version reads.
    Text,
    /// Counted fields: what goes back into a database directly.
    Binary,
}

impl fmt::Display for CopyFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Binary => "binary",
        })
    }
}

/// What a COPY stream held. Summaries of a table's chunks add up to that of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopySummary {
    /// Rows.
    pub rows: u64,
    /// Bytes of the rows: in text with their newlines but without an end marker, in binary
    /// with their field counts but without header and trailer.
    pub bytes: u64,
    /// What the rows add up to. A text row is digested without its newline, a binary row from
    /// its field count to the end of its last field.
    pub digest: RowDigest,
}

impl CopySummary {
    fn add_row(&mut self, bytes: u64, digest: RowDigest) {
        self.rows += 1;
        self.bytes += bytes;
        self.digest += digest;
    }
}

impl Add for CopySummary {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            bytes: self.bytes + other.bytes,
            digest: self.digest + other.digest,
        }
    }
}

impl AddAssign for CopySummary {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for CopySummary {
    fn sum<I: Iterator<Item = Self>>(summaries: I) -> Self {
        summaries.fold(Self::default(), Add::add)
    }
}

/// Walks a COPY stream in whatever pieces it comes, and checks that it is whole.
///
/// It takes the stream as the server sends it, and also the content of a data file, which in
/// text format ends in [`TEXT_COPY_TRAILER`]. It keeps no rows: memory does not grow with them.
pub struct RowCounter {
    rows: Rows,
    fed: u64,
    summary: CopySummary,
}

enum Rows {
    Text(TextRows),
    Binary(BinaryRows),
}

impl RowCounter {
    /// A counter at the beginning of a stream.
    pub fn new(format: CopyFormat) -> Self {
        let rows = match format {
            CopyFormat::Text => Rows::Text(TextRows::default()),
            CopyFormat::Binary => Rows::Binary(BinaryRows::default()),
        };
        Self { rows, fed: 0, summary: CopySummary::default() }
    }

    /// Takes the next bytes of the stream. Large pieces are faster: a row that lies whole in
    /// one piece needs no state.
    ///
    /// # Errors
    /// [`Error::Copy`] if they cannot be part of such a stream; the counter is of no use then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let result = match &mut self.rows {
            Rows::Text(rows) => rows.feed(bytes, &mut self.summary),
            Rows::Binary(rows) => rows.feed(bytes, &mut self.summary),
        };
        result.map_err(|problem| self.damaged(problem))?;
        self.fed += bytes.len() as u64;
        Ok(())
    }

    /// Rows that ended so far.
    pub fn rows(&self) -> u64 {
        self.summary.rows
    }

    /// Whether the end has come: the binary trailer, or the end marker of a text data file.
    /// A server sends the one and never the other.
    pub fn saw_end(&self) -> bool {
        match &self.rows {
            Rows::Text(rows) => rows.saw_end(),
            Rows::Binary(rows) => rows.saw_end(),
        }
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`Error::Copy`] if it ends inside a row, or a binary stream before its trailer.
    pub fn finish(self) -> Result<CopySummary, Error> {
        match &self.rows {
            Rows::Text(rows) => rows.finish(),
            Rows::Binary(rows) => rows.finish(),
        }
        .map_err(|problem| self.damaged(problem))?;
        Ok(self.summary)
    }

    fn damaged(&self, problem: &'static str) -> Error {
        let format = match self.rows {
            Rows::Text(_) => CopyFormat::Text,
            Rows::Binary(_) => CopyFormat::Binary,
        };
        // The rows before it, or all of the stream if that is more: a row may be long.
        let offset = self.summary.bytes.max(self.fed);
        Error::Copy { format, row: self.summary.rows + 1, offset, problem }
    }
}

impl fmt::Debug for RowCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowCounter").field("summary", &self.summary).finish_non_exhaustive()
    }
}
