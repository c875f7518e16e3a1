//! The runs of a segment once more, to be written into another.

use super::index::parse_summary;
use super::walk::{Expected, Observer, Walk, expectations};
use super::{Codec, EncodedLine, Error, LineBuilder, Summary};

/// Takes a segment apart as its bytes come in, checking all that a
/// [`Checker`](super::Checker) checks. Its runs come in the order of the segment.
#[derive(Debug)]
pub struct Replay {
    walk: Walk,
    lines: Lines,
}

/// A run, ready for a [`Writer`](super::Writer).
#[derive(Debug, Clone)]
pub struct Run {
    /// What the index says of it.
    pub summary: Summary,
    /// Events in its history.
    pub events: u64,
    /// Its line.
    pub line: EncodedLine,
}

impl Replay {
    /// For the segment of this index; large lines are compressed anew with `codec`.
    ///
    /// # Errors
    /// What is wrong with the index.
    pub fn new(index: &[u8], codec: Codec) -> Result<Self, Error> {
        let lines =
            Lines { codec, head: Vec::new(), line: LineBuilder::new(codec), ended: Vec::new() };
        Ok(Self { walk: Walk::new(expectations(index, |_| {})?), lines })
    }

    /// The runs that end in the next piece of the segment. They are as large as the piece
    /// decompresses to: 64 KiB at a time need a few MiB.
    ///
    /// # Errors
    /// What is wrong with the segment.
    pub fn feed(&mut self, piece: &[u8]) -> Result<Vec<Run>, Error> {
        self.walk.feed(piece, &mut self.lines)?;
        Ok(std::mem::take(&mut self.lines.ended))
    }

    /// The segment has ended.
    ///
    /// # Errors
    /// When it should not have.
    pub fn finish(self) -> Result<(), Error> {
        self.walk.finish().map(drop)
    }
}

#[derive(Debug)]
struct Lines {
    codec: Codec,
    /// The beginning of the line, which is its summary.
    head: Vec<u8>,
    line: LineBuilder,
    ended: Vec<Run>,
}

impl Observer for Lines {
    fn piece(&mut self, expected: &Expected, bytes: &[u8]) -> Result<(), Error> {
        let left = expected.head.saturating_sub(self.head.len() as u64);
        self.head.extend(bytes.iter().take(usize::try_from(left).unwrap_or(usize::MAX)));
        self.line.write(bytes)
    }

    fn end(&mut self, expected: &Expected) -> Result<(), Error> {
        let line = std::mem::replace(&mut self.line, LineBuilder::new(self.codec)).finish()?;
        let summary = parse_summary(&self.head).map_err(|source| Error::Line {
            line: 0,
            problem: "does not begin with its summary",
            source: Some(source),
        })?;
        self.head.clear();
        self.ended.push(Run { summary, events: expected.at.events, line });
        Ok(())
    }
}
