//! The index of a segment: one JSON line a run, newest close first.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use memchr::memmem;

use super::codec::{Decoder, detect};
use super::{At, Codec, Compression, Entry, Error, FORMAT_VERSION, FRAME, Summary};

/// Longest index line that is read or written: memos of some MiB fit.
pub(super) const MAX_LINE: usize = 16 << 20;

/// Longest line of a segment that is read, uncompressed.
pub(super) const MAX_RUN: u64 = 1 << 30;

const VERSION: &[u8] = b"{\"formatVersion\":";
const AT: &[u8] = b",\"at\":{";

/// Every entry of an index, newest close first. Memory is bounded whatever the index claims.
///
/// # Errors
/// [`Error::Frame`] when the bytes are neither zstd nor gzip; what is wrong further on comes as an
/// item, and nothing follows it.
pub fn entries(index: &[u8]) -> Result<Entries<'_>, Error> {
    Ok(Entries(raw_entries(index)?))
}

/// Every entry of an index as the bytes of its line, for filtering before parsing.
///
/// # Errors
/// As [`entries`].
pub fn raw_entries(index: &[u8]) -> Result<RawEntries<'_>, Error> {
    // An index that is empty or cut within its first bytes fails in the decoder.
    let compression = detect(index).unwrap_or(Compression::Zstd);
    Ok(RawEntries {
        decoder: Decoder::new(compression)?,
        input: index,
        held: false,
        ended: false,
        block: Bytes::new(),
        carry: Vec::new(),
        line: 0,
    })
}

/// See [`entries`].
#[derive(Debug)]
pub struct Entries<'a>(RawEntries<'a>);

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.0.next()?.and_then(|raw| raw.parse());
        if item.is_err() {
            self.0.ended = true;
            self.0.block = Bytes::new();
        }
        Some(item)
    }
}

/// See [`raw_entries`].
#[derive(Debug)]
pub struct RawEntries<'a> {
    decoder: Decoder,
    input: &'a [u8],
    held: bool,
    ended: bool,
    /// Whole lines, decompressed.
    block: Bytes,
    /// The beginning of a line.
    carry: Vec<u8>,
    line: u64,
}

impl RawEntries<'_> {
    /// Decompresses until there is at least one whole line; false at the end.
    fn fill(&mut self) -> Result<bool, Error> {
        let mut out = Vec::new();
        while self.held || !self.input.is_empty() {
            let step = self.decoder.step(self.input, &mut out)?;
            self.input = self.input.get(step.read..).unwrap_or_default();
            self.held = step.held;
            let Some(end) = memchr::memrchr(b'\n', &out) else {
                self.carry.extend_from_slice(&out);
                if self.carry.len() > MAX_LINE {
                    return Err(Error::line(self.line + 1, "is longer than any index line"));
                }
                continue;
            };
            let (lines, rest) = out.split_at_checked(end + 1).unwrap_or_default();
            let mut block = std::mem::take(&mut self.carry);
            block.extend_from_slice(lines);
            self.carry.extend_from_slice(rest);
            self.block = block.into();
            return Ok(true);
        }
        self.decoder.finish()?;
        if !self.carry.is_empty() {
            return Err(Error::line(self.line + 1, "does not end with a line feed"));
        }
        Ok(false)
    }
}

impl Iterator for RawEntries<'_> {
    type Item = Result<RawEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.block.is_empty() {
            if self.ended {
                return None;
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) => {
                    self.ended = true;
                    return None;
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        let length = memchr::memchr(b'\n', &self.block).unwrap_or(self.block.len());
        let bytes = self.block.split_to(length);
        // The line feed, which ends every block.
        let _ = self.block.split_to(self.block.len().min(1));
        self.line += 1;
        Some(Ok(RawEntry { bytes, line: self.line }))
    }
}

/// An index line that is not yet parsed.
#[derive(Debug, Clone)]
pub struct RawEntry {
    bytes: Bytes,
    line: u64,
}

impl RawEntry {
    /// The line, without its line feed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// When the run was closed, found without parsing the line; `None` where the line is none of
    /// ours, which [`parse`](Self::parse) then says.
    pub fn close_time(&self) -> Option<DateTime<Utc>> {
        let text = self.text(b",\"closeTime\":\"")?;
        let time = DateTime::parse_from_rfc3339(std::str::from_utf8(text).ok()?).ok()?;
        Some(time.with_timezone(&Utc))
    }

    /// Namespace id and run id as the line spells them, found without parsing it.
    pub fn identity(&self) -> Option<(&[u8], &[u8])> {
        Some((self.text(b",\"namespaceId\":\"")?, self.text(b",\"runId\":\"")?))
    }

    /// The text behind a label. No string before it can contain the label: quotes within strings
    /// are escaped.
    fn text(&self, label: &[u8]) -> Option<&[u8]> {
        let start = memmem::find(&self.bytes, label)? + label.len();
        let rest = self.bytes.get(start..)?;
        rest.get(..memchr::memchr(b'"', rest)?)
    }

    /// The same line in memory of its own: otherwise it keeps the whole block of lines that it came
    /// with.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), line: self.line }
    }

    /// The line up to `at`, which the run's line in the segment begins with.
    pub(super) fn head(&self) -> &[u8] {
        let end = memmem::rfind(&self.bytes, AT).unwrap_or(self.bytes.len());
        self.bytes.get(..end).unwrap_or_default()
    }

    /// What it says.
    ///
    /// # Errors
    /// [`Error::Newer`] for a version that this program does not know, [`Error::Line`] for what
    /// is no index line of the version it claims.
    pub fn parse(&self) -> Result<Entry, Error> {
        check_version(&self.bytes, self.line)?;
        let head = self.head();
        let at = self
            .bytes
            .get(head.len() + AT.len() - 1..)
            .and_then(|at| at.strip_suffix(b"}"))
            .ok_or_else(|| Error::line(self.line, "does not say where the run is"))?;
        let malformed = |source| Error::Line {
            line: self.line,
            problem: "is no index line of its format version",
            source: Some(source),
        };
        let summary = parse_summary(head).map_err(malformed)?;
        let at: At = serde_json::from_slice(at).map_err(malformed)?;
        if at.offset.checked_add(at.length).is_none() || at.skip > MAX_RUN || at.size > MAX_RUN {
            return Err(Error::line(self.line, "points beyond any segment"));
        }
        Ok(Entry { summary, at })
    }
}

/// The summary whose JSON is `head` and a closing brace.
pub(super) fn parse_summary(head: &[u8]) -> Result<Summary, serde_json::Error> {
    let mut object = Vec::with_capacity(head.len() + 1);
    object.extend_from_slice(head);
    object.push(b'}');
    serde_json::from_slice(&object)
}

/// Refuses versions that this program does not know, before anything else is made of a line.
pub(super) fn check_version(bytes: &[u8], line: u64) -> Result<(), Error> {
    let none = || Error::line(line, "does not begin with its format version");
    let rest = bytes.strip_prefix(VERSION).ok_or_else(none)?;
    let digits = rest.iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at_checked(digits).ok_or_else(none)?;
    let found = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u32>().ok());
    match found {
        Some(found) if matches!(rest, [b',' | b'}', ..]) && found > FORMAT_VERSION => {
            Err(Error::Newer { found, line })
        }
        Some(FORMAT_VERSION) if rest.starts_with(b",") => Ok(()),
        _ => Err(none()),
    }
}

/// An entry on its way into an index.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) close_time: DateTime<Utc>,
    pub(super) run_id: String,
    /// The summary's JSON without its closing brace.
    pub(super) head: Vec<u8>,
    pub(super) at: At,
}

/// The compressed index of these runs.
pub(super) fn encode(mut runs: Vec<Pending>, codec: Codec) -> Result<Vec<u8>, Error> {
    runs.sort_unstable_by(|a, b| {
        b.close_time.cmp(&a.close_time).then_with(|| a.run_id.cmp(&b.run_id))
    });
    let mut index = Vec::new();
    let mut frame = Vec::with_capacity(FRAME);
    for run in runs {
        let at = serde_json::to_vec(&run.at).map_err(|source| Error::Line {
            line: 0,
            problem: "cannot be written",
            source: Some(source),
        })?;
        let length = run.head.len() + AT.len() + at.len() + 1;
        if !frame.is_empty() && frame.len() + length > FRAME {
            index.extend_from_slice(&codec.encode(&frame)?);
            frame.clear();
        }
        frame.extend_from_slice(&run.head);
        frame.extend_from_slice(AT.strip_suffix(b"{").unwrap_or(AT));
        frame.extend_from_slice(&at);
        frame.extend_from_slice(b"}\n");
    }
    if !frame.is_empty() || index.is_empty() {
        index.extend_from_slice(&codec.encode(&frame)?);
    }
    Ok(index)
}
