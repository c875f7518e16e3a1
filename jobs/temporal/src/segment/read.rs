//! One run, read back.

use sha2::{Digest as _, Sha256};

use super::codec::{Decoder, detect};
use super::{At, Entry, Error, Source};

/// Compressed bytes asked for at a time. Nearly every run is less.
const READ: u64 = 32 << 20;

/// Compressed bytes that are not worth another thread.
const INLINE: usize = 64 << 10;

/// The line of a run, without its line feed. One ranged read (one per 32 MiB, compressed); size
/// and digest are checked.
///
/// # Errors
/// [`Error::Source`] when reading fails, otherwise [`Error::Run`] or [`Error::Frame`] for bytes
/// that are not those that were written.
pub async fn read_line(source: &dyn Source, entry: &Entry) -> Result<Vec<u8>, Error> {
    let end = entry.at.offset.saturating_add(entry.at.length);
    let mut offset = entry.at.offset;
    let mut taking = None;
    while offset < end {
        let next = end.min(offset.saturating_add(READ));
        let bytes = source.read(offset..next).await.map_err(Error::Source)?;
        if bytes.len() as u64 != next - offset {
            return Err(entry.damaged("is cut short"));
        }
        let state = match taking.take() {
            Some(state) => state,
            None => Taking::new(&bytes, entry)?,
        };
        let work = move || state.feed(&bytes);
        taking = Some(if next - offset <= INLINE as u64 {
            work()?
        } else {
            tokio::task::spawn_blocking(work).await.map_err(Error::Stopped)??
        });
        offset = next;
    }
    match taking {
        Some(taking) => taking.finish(entry),
        None => Err(entry.damaged("has no bytes")),
    }
}

impl Entry {
    pub(super) fn damaged(&self, problem: &'static str) -> Error {
        Error::Run {
            workflow_id: self.summary.workflow_id.clone(),
            run_id: self.summary.run_id.clone(),
            problem,
        }
    }
}

/// Takes one line out of the frames it lies in.
struct Taking {
    decoder: Decoder,
    at: At,
    skip: u64,
    line: Vec<u8>,
    /// The byte behind the line.
    behind: Option<u8>,
}

impl Taking {
    fn new(bytes: &[u8], entry: &Entry) -> Result<Self, Error> {
        let compression =
            detect(bytes).ok_or_else(|| entry.damaged("is not where it should be"))?;
        let decoder = Decoder::new(compression)?;
        Ok(Self { decoder, at: entry.at, skip: entry.at.skip, line: Vec::new(), behind: None })
    }

    fn feed(mut self, mut input: &[u8]) -> Result<Self, Error> {
        let mut out = Vec::new();
        let mut held = false;
        while held || !input.is_empty() {
            let step = self.decoder.step(input, &mut out)?;
            input = input.get(step.read..).unwrap_or_default();
            held = step.held;
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(out.len());
            self.skip -= skipped as u64;
            let new = out.get(skipped..).unwrap_or_default();
            let left = self.at.size.saturating_sub(self.line.len() as u64);
            let taken = usize::try_from(left).unwrap_or(usize::MAX).min(new.len());
            let (line, rest) = new.split_at_checked(taken).unwrap_or_default();
            self.line.extend_from_slice(line);
            if left == taken as u64 {
                self.behind = self.behind.or(rest.first().copied());
            }
            if self.behind.is_some() {
                break;
            }
        }
        Ok(self)
    }

    fn finish(self, entry: &Entry) -> Result<Vec<u8>, Error> {
        if self.behind != Some(b'\n') || self.line.len() as u64 != self.at.size {
            return Err(entry.damaged("is not as long as it should be"));
        }
        if <[u8; 32]>::from(Sha256::digest(&self.line)) != self.at.sha256 {
            return Err(entry.damaged("does not match its digest"));
        }
        Ok(self.line)
    }
}

/// The history in a line: `{"events":[…]}`, byte for byte as it was written.
///
/// # Errors
/// [`Error::Line`] when the line has none.
pub fn history(line: &[u8]) -> Result<&[u8], Error> {
    find_member(line, |rest| rest.starts_with(b"\"history\":"))
        .and_then(|at| line.get(at + b"\"history\":".len()..))
        .and_then(|rest| rest.strip_suffix(b"}"))
        .filter(|history| history.starts_with(b"{") && history.ends_with(b"}"))
        .ok_or(Error::Line { line: 1, problem: "has no history at its end", source: None })
}

/// The base64 of `historyProto` in a line, where it has that.
pub fn history_proto(line: &[u8]) -> Option<&[u8]> {
    const LABEL: &[u8] = b"\"historyProto\":\"";
    let known = |rest: &[u8]| rest.starts_with(LABEL) || rest.starts_with(b"\"history\":");
    let rest = line.get(find_member(line, known)?..)?.strip_prefix(LABEL)?;
    rest.get(..memchr::memchr(b'"', rest)?)
}

/// Where the first member of the outermost object begins whose label `wanted` knows.
pub(super) fn find_member(line: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut depth = 0_u32;
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                // A string before a colon is a label; `wanted` compares the colon too.
                if depth == 1 && wanted(line.get(at..)?) {
                    return Some(at);
                }
                at += 1;
                loop {
                    at += memchr::memchr2(b'"', b'\\', line.get(at..)?)?;
                    if line.get(at) == Some(&b'"') {
                        break;
                    }
                    at += 2;
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}
