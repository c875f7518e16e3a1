//! One run's line on its way into a segment.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Codec, Error, FRAME};

/// Builds one line piece by piece. It holds at most some 1 MiB of JSON: beyond that it
/// compresses into frames of the line's own.
///
/// The pieces are, in order: the summary's JSON without its closing brace, perhaps
/// `,"infoProto":"…"` and `,"historyProto":"…"`, then `,"history":{"events":[…]}}`.
#[derive(Debug)]
pub struct LineBuilder {
    codec: Codec,
    open: Vec<u8>,
    frames: Vec<Bytes>,
    digest: Sha256,
    size: u64,
}

impl LineBuilder {
    /// An empty line.
    pub fn new(codec: Codec) -> Self {
        Self { codec, open: Vec::new(), frames: Vec::new(), digest: Sha256::new(), size: 0 }
    }

    /// Appends a piece; it may begin and end anywhere.
    ///
    /// # Errors
    /// [`Error::LineFeed`], and [`Error::Compress`] when the compressor fails.
    pub fn write(&mut self, json: &[u8]) -> Result<(), Error> {
        if json.contains(&b'\n') {
            return Err(Error::LineFeed);
        }
        self.digest.update(json);
        self.size += json.len() as u64;
        let mut rest = json;
        // One byte of the frame is left for the line feed.
        while self.open.len() + rest.len() >= FRAME {
            let (head, tail) = rest.split_at(FRAME.saturating_sub(self.open.len()).min(rest.len()));
            self.open.extend_from_slice(head);
            self.end_frame()?;
            rest = tail;
        }
        self.open.extend_from_slice(rest);
        Ok(())
    }

    fn end_frame(&mut self) -> Result<(), Error> {
        self.frames.push(self.codec.encode(&self.open)?.into());
        self.open.clear();
        Ok(())
    }

    /// Ends the line, with a line feed of its own.
    ///
    /// # Errors
    /// [`Error::Compress`] when the compressor fails.
    pub fn finish(mut self) -> Result<EncodedLine, Error> {
        self.open.push(b'\n');
        if !self.frames.is_empty() {
            self.end_frame()?;
            self.open = Vec::new();
        }
        self.open.shrink_to_fit();
        Ok(EncodedLine {
            codec: self.codec,
            small: self.open,
            frames: self.frames,
            size: self.size,
            sha256: self.digest.finalize().into(),
        })
    }
}

/// A whole line, ready for a [`Writer`](super::Writer): plain when it is small, in frames of its
/// own when it is not.
#[derive(Debug, Clone)]
pub struct EncodedLine {
    pub(super) codec: Codec,
    /// With its line feed; empty when there are frames.
    pub(super) small: Vec<u8>,
    pub(super) frames: Vec<Bytes>,
    size: u64,
    sha256: [u8; 32],
}

impl EncodedLine {
    /// Bytes that it holds in memory.
    pub fn stored_len(&self) -> usize {
        self.small.len() + self.frames.iter().map(Bytes::len).sum::<usize>()
    }

    /// Bytes of the line, uncompressed, without its line feed.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// SHA-256 of the line, without its line feed.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }
}
