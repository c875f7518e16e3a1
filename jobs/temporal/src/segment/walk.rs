//! From a segment's first byte to its last: every line is where the index says, and is what was
//! written.

use sha2::{Digest as _, Sha256};

use super::codec::{Decoder, detect};
use super::index::{check_version, raw_entries};
use super::json::Scan;
use super::{At, Compression, Entry, Error};

/// What the index says of one line, in little memory.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) at: At,
    /// Bytes of the summary, which the line begins with.
    pub(super) head: u64,
    head_digest: [u8; 32],
}

/// Whoever wants to see the lines.
pub(super) trait Observer {
    /// The next piece of a line.
    fn piece(&mut self, expected: &Expected, bytes: &[u8]) -> Result<(), Error>;
    /// The line is whole and right.
    fn end(&mut self, expected: &Expected) -> Result<(), Error>;
}

/// Reads a whole index: calls `see` with every entry, newest close first, and gives what the
/// lines of the segment must be, in their order there.
pub(super) fn expectations(
    index: &[u8],
    mut see: impl FnMut(&Entry),
) -> Result<Vec<Expected>, Error> {
    let mut expected = Vec::new();
    let mut last: Option<Entry> = None;
    for (number, raw) in (1..).zip(raw_entries(index)?) {
        let raw = raw?;
        let entry = raw.parse()?;
        let line = |problem| Error::line(number, problem);
        // What is filtered as text must be spelled in one way only.
        let spelled = serde_json::to_vec(&entry.summary).ok();
        let at = serde_json::to_string(&entry.at).unwrap_or_default();
        if spelled.as_deref().and_then(|summary| summary.strip_suffix(b"}")) != Some(raw.head())
            || raw.bytes().len() != raw.head().len() + ",\"at\":}".len() + at.len()
            || !raw.bytes().ends_with(format!(",\"at\":{at}}}").as_bytes())
        {
            return Err(line("is not in canonical form"));
        }
        if let Some(last) = &last {
            let (a, b) = (&last.summary, &entry.summary);
            let order = b.close_time.cmp(&a.close_time).then_with(|| a.run_id.cmp(&b.run_id));
            if !order.is_lt() {
                return Err(line("is out of order, or of a run that is there twice"));
            }
        }
        see(&entry);
        expected.push(Expected {
            at: entry.at,
            head: raw.head().len() as u64,
            head_digest: Sha256::digest(raw.head()).into(),
        });
        last = Some(entry);
    }
    expected.sort_unstable_by_key(|line| (line.at.offset, line.at.skip));
    Ok(expected)
}

/// The walk.
#[derive(Debug)]
pub(super) struct Walk {
    decoder: Option<Decoder>,
    out: Vec<u8>,
    expected: Vec<Expected>,
    /// Lines that are done.
    done: usize,
    line: Option<Line>,
    /// Where the frame being read begins, in the file.
    frame: u64,
    /// Bytes of it so far, decompressed.
    position: u64,
    /// Where the frames of lines that ended in this frame should end.
    ends: Vec<u64>,
    /// The first bytes of the file, until its compression is known.
    first: Vec<u8>,
}

/// The line being read.
#[derive(Debug)]
struct Line {
    digest: Sha256,
    head: Sha256,
    size: u64,
    /// What follows the summary, as far as it matters.
    behind: Vec<u8>,
    /// The line's beginning, until its version is known.
    version: Option<Vec<u8>>,
    scan: Scan,
}

/// What may follow the summary in a line.
const BEHIND: [&[u8]; 3] = [b",\"history\":", b",\"infoProto\":", b",\"historyProto\":"];

/// Enough of a line to find its version in.
const VERSION_BYTES: usize = 32;

impl Walk {
    pub(super) fn new(expected: Vec<Expected>) -> Self {
        Self {
            decoder: None,
            out: Vec::new(),
            expected,
            done: 0,
            line: None,
            frame: 0,
            position: 0,
            ends: Vec::new(),
            first: Vec::new(),
        }
    }

    /// The next piece of the segment.
    pub(super) fn feed(&mut self, input: &[u8], seen: &mut dyn Observer) -> Result<(), Error> {
        if let Some(mut decoder) = self.decoder.take() {
            let outcome = self.decode(&mut decoder, input, seen);
            self.decoder = Some(decoder);
            return outcome;
        }
        self.first.extend_from_slice(input);
        if self.first.len() < 4 {
            return Ok(());
        }
        let Some(compression) = detect(&self.first) else {
            return Err(Error::Disagree { problem: "it is neither zstd nor gzip" });
        };
        self.decoder = Some(Decoder::new(compression)?);
        let first = std::mem::take(&mut self.first);
        self.feed(&first, seen)
    }

    fn decode(
        &mut self,
        decoder: &mut Decoder,
        mut input: &[u8],
        seen: &mut dyn Observer,
    ) -> Result<(), Error> {
        let mut held = false;
        while held || !input.is_empty() {
            let mut out = std::mem::take(&mut self.out);
            let step = decoder.step(input, &mut out)?;
            input = input.get(step.read..).unwrap_or_default();
            held = step.held;
            self.text(&out, seen)?;
            self.out = out;
            if step.ended {
                if self.ends.drain(..).any(|end| end != decoder.offset()) {
                    return Err(Error::Disagree {
                        problem: "a run's frames end elsewhere than the index says",
                    });
                }
                self.frame = decoder.offset();
                self.position = 0;
            }
        }
        Ok(())
    }

    fn text(&mut self, mut text: &[u8], seen: &mut dyn Observer) -> Result<(), Error> {
        while !text.is_empty() {
            let Some(expected) = self.expected.get(self.done) else {
                return Err(Error::Disagree { problem: "the index does not have all of them" });
            };
            let number = self.done as u64 + 1;
            let line = match &mut self.line {
                Some(line) => line,
                none => {
                    if (expected.at.offset, expected.at.skip) != (self.frame, self.position) {
                        return Err(Error::Disagree {
                            problem: "a line begins elsewhere than the index says",
                        });
                    }
                    none.insert(Line::new())
                }
            };
            let length = memchr::memchr(b'\n', text);
            let (piece, rest) =
                text.split_at_checked(length.unwrap_or(text.len())).unwrap_or_default();
            line.piece(expected, piece, number)?;
            seen.piece(expected, piece)?;
            self.position += piece.len() as u64;
            text = rest;
            if length.is_some() {
                if let Some(line) = self.line.take() {
                    line.end(expected, number)?;
                }
                seen.end(expected)?;
                self.ends.push(expected.at.offset + expected.at.length);
                self.done += 1;
                self.position += 1;
                text = text.get(1..).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Whether the segment may end here; gives its length.
    pub(super) fn finish(&self) -> Result<u64, Error> {
        let Some(decoder) = &self.decoder else {
            let (compression, offset) = (Compression::Zstd, self.first.len() as u64);
            return Err(Error::Truncated { compression, offset });
        };
        decoder.finish()?;
        if self.line.is_some() {
            return Err(Error::line(self.done as u64 + 1, "does not end with a line feed"));
        }
        if self.done < self.expected.len() {
            return Err(Error::Disagree { problem: "the segment does not have all of them" });
        }
        Ok(decoder.offset())
    }
}

impl Line {
    fn new() -> Self {
        Self {
            digest: Sha256::new(),
            head: Sha256::new(),
            size: 0,
            behind: Vec::new(),
            version: Some(Vec::new()),
            scan: Scan::new(),
        }
    }

    fn piece(&mut self, expected: &Expected, piece: &[u8], number: u64) -> Result<(), Error> {
        let left = usize::try_from(expected.head.saturating_sub(self.size)).unwrap_or(usize::MAX);
        let (head, behind) = piece.split_at_checked(left).unwrap_or((piece, b""));
        self.head.update(head);
        let wanted = 16_usize.saturating_sub(self.behind.len());
        self.behind.extend(behind.iter().take(wanted));
        self.digest.update(piece);
        self.size += piece.len() as u64;
        if let Some(beginning) = &mut self.version {
            beginning.extend(piece.iter().take(VERSION_BYTES));
            if beginning.len() >= VERSION_BYTES {
                check_version(beginning, number)?;
                self.version = None;
            }
        }
        self.scan.feed(piece).map_err(|problem| Error::line(number, problem))
    }

    fn end(self, expected: &Expected, number: u64) -> Result<(), Error> {
        let line = |problem| Error::line(number, problem);
        if let Some(beginning) = &self.version {
            check_version(beginning, number)?;
        }
        let events = self.scan.finish().map_err(line)?;
        if <[u8; 32]>::from(self.head.finalize()) != expected.head_digest
            || !BEHIND.iter().any(|label| self.behind.starts_with(label))
        {
            return Err(line("does not begin as its index line does"));
        }
        if events != expected.at.events {
            return Err(line("has another number of events than the index says"));
        }
        if self.size != expected.at.size
            || <[u8; 32]>::from(self.digest.finalize()) != expected.at.sha256
        {
            return Err(line("does not match its digest"));
        }
        Ok(())
    }
}
