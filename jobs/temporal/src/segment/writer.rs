//! Writing a segment and gathering its index.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::index::{self, MAX_LINE, Pending};
use super::{
    At, Codec, EncodedLine, Error, FRAME, MAX_RUNS, MAX_STORED, Sink, Summary, status_name,
};
use crate::bloom::Bloom;

/// Index bytes after which a segment should end: they are held until it does.
const MAX_INDEX: usize = 32 << 20;

/// Writes one segment. It holds the frame being filled, and the index until it is finished.
pub struct Writer {
    codec: Codec,
    sink: Box<dyn Sink>,
    /// Lines that share the next frame.
    frame: Vec<u8>,
    /// Entries whose frame is not yet written; their `at` lacks offset and length.
    open: Vec<Pending>,
    entries: Vec<Pending>,
    index_bytes: usize,
    stored: u64,
    ids: Vec<[u8; 16]>,
    totals: Totals,
}

#[derive(Default)]
struct Totals {
    events: u64,
    bytes: u64,
    statuses: BTreeMap<String, u64>,
    first_close: Option<DateTime<Utc>>,
    last_close: Option<DateTime<Utc>>,
}

/// A segment's index, and what a manifest says of both.
#[derive(Debug)]
pub struct Finished {
    /// The index, compressed.
    pub index: Vec<u8>,
    /// The ids in the segment.
    pub bloom: Bloom,
    /// Lines.
    pub runs: u64,
    /// Events of all histories.
    pub events: u64,
    /// Bytes of all lines, uncompressed, without line feeds.
    pub bytes: u64,
    /// Bytes of the segment.
    pub stored: u64,
    /// The earliest close; `None` without runs.
    pub first_close: Option<DateTime<Utc>>,
    /// The latest close.
    pub last_close: Option<DateTime<Utc>>,
    /// Runs by status, named as queries name it.
    pub statuses: BTreeMap<String, u64>,
}

impl Writer {
    /// Writes a segment into `sink`.
    pub fn new(codec: Codec, sink: Box<dyn Sink>) -> Self {
        Self {
            codec,
            sink,
            frame: Vec::new(),
            open: Vec::new(),
            entries: Vec::new(),
            index_bytes: 0,
            stored: 0,
            ids: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// Appends a run. Small lines share frames; a large one has its own.
    ///
    /// # Errors
    /// [`Error::Sink`], [`Error::Compress`], and [`Error::Line`] for a summary of more than
    /// 16 MiB. After an error the segment is of no use.
    pub async fn push(
        &mut self,
        summary: Summary,
        events: u64,
        line: EncodedLine,
    ) -> Result<(), Error> {
        let mut head = serde_json::to_vec(&summary).map_err(|source| Error::Line {
            line: self.runs() + 1,
            problem: "cannot be written",
            source: Some(source),
        })?;
        head.pop();
        if head.len() > MAX_LINE / 2 {
            return Err(Error::line(self.runs() + 1, "has a larger memo than an index may hold"));
        }
        self.index_bytes += head.len() + 256;
        self.ids.push(Bloom::hash(&summary.workflow_id));
        self.ids.push(Bloom::hash(&summary.run_id));
        self.totals.add(&summary, events, line.size());
        let at = At {
            offset: 0,
            length: 0,
            skip: self.frame.len() as u64,
            size: line.size(),
            events,
            sha256: line.sha256(),
        };
        let close_time = summary.close_time;
        let mut entry = Pending { close_time, run_id: summary.run_id, head, at };
        if line.frames.is_empty() {
            if self.frame.len() + line.small.len() > FRAME {
                self.end_frame().await?;
                entry.at.skip = 0;
            }
            self.frame.extend_from_slice(&line.small);
            self.open.push(entry);
            return Ok(());
        }
        if line.codec.compression() != self.codec.compression() {
            let (line, segment) = (line.codec.compression(), self.codec.compression());
            return Err(Error::Mixed { line, segment });
        }
        self.end_frame().await?;
        entry.at.skip = 0;
        entry.at.offset = self.stored;
        entry.at.length = line.frames.iter().map(|frame| frame.len() as u64).sum();
        self.entries.push(entry);
        for frame in line.frames {
            self.write(frame).await?;
        }
        Ok(())
    }

    async fn end_frame(&mut self) -> Result<(), Error> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let (codec, frame) = (self.codec, std::mem::take(&mut self.frame));
        let compress = move || codec.encode(&frame).map(|encoded| (frame, encoded));
        let (mut frame, encoded) =
            tokio::task::spawn_blocking(compress).await.map_err(Error::Stopped)??;
        frame.clear();
        self.frame = frame;
        for mut entry in self.open.drain(..) {
            entry.at.offset = self.stored;
            entry.at.length = encoded.len() as u64;
            self.entries.push(entry);
        }
        self.write(encoded.into()).await
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.stored += bytes.len() as u64;
        self.sink.write(bytes).await.map_err(Error::Sink)
    }

    /// Runs so far.
    pub fn runs(&self) -> u64 {
        (self.entries.len() + self.open.len()) as u64
    }

    /// Bytes written so far; the frame being filled is not among them.
    pub fn stored(&self) -> u64 {
        self.stored
    }

    /// Whether the segment should end and another one begin.
    pub fn is_full(&self) -> bool {
        self.runs() >= MAX_RUNS || self.stored >= MAX_STORED || self.index_bytes >= MAX_INDEX
    }

    /// Writes what is left; gives the sink back, and the index.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub async fn finish(mut self) -> Result<(Box<dyn Sink>, Finished), Error> {
        self.end_frame().await?;
        if self.stored == 0 {
            // So that a file that lost everything is not taken for one of no runs.
            let frame = self.codec.encode(b"")?;
            self.write(frame.into()).await?;
        }
        let (codec, entries, ids, totals) = (self.codec, self.entries, self.ids, self.totals);
        let runs = entries.len() as u64;
        let encode = move || Ok::<_, Error>((index::encode(entries, codec)?, Bloom::new(ids)));
        let (index, bloom) =
            tokio::task::spawn_blocking(encode).await.map_err(Error::Stopped)??;
        let finished = Finished {
            index,
            bloom,
            runs,
            events: totals.events,
            bytes: totals.bytes,
            stored: self.stored,
            first_close: totals.first_close,
            last_close: totals.last_close,
            statuses: totals.statuses,
        };
        Ok((self.sink, finished))
    }
}

impl Totals {
    fn add(&mut self, summary: &Summary, events: u64, bytes: u64) {
        self.events += events;
        self.bytes += bytes;
        *self.statuses.entry(status_name(&summary.status)).or_default() += 1;
        let close = summary.close_time;
        self.first_close = Some(self.first_close.map_or(close, |first| first.min(close)));
        self.last_close = Some(self.last_close.map_or(close, |last| last.max(close)));
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("codec", &self.codec)
            .field("runs", &self.runs())
            .field("stored", &self.stored)
            .finish_non_exhaustive()
    }
}
