//! Segments: JSON Lines of closed runs, in frames that can be read alone, with an index beside.
//!
//! The formats are described in `docs/formats/histories.md`. A segment alone is a valid
//! `.jsonl.zst` or `.jsonl.gz`; its index says where each run's line is, so that one run is read
//! with one ranged read. Nothing here knows where the bytes are kept: they go to a [`Sink`] and
//! come from a [`Source`].

mod check;
mod codec;
mod error;
mod index;
mod json;
mod line;
mod prefilter;
mod read;
mod replay;
mod summary;
mod walk;
mod writer;

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

pub use check::{Checked, Checker};
pub use codec::{Codec, Compression};
pub use error::Error;
pub use index::{Entries, RawEntries, RawEntry, entries, raw_entries};
pub use line::{EncodedLine, LineBuilder};
pub use prefilter::Prefilter;
pub use read::{history, history_proto, read_line};
pub use replay::{Replay, Run};
pub use summary::{At, Entry, Relative, Summary, UnknownField, status_name};
pub use writer::{Finished, Writer};

/// Newest format of a line and of an index line that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// Runs after which a segment should end.
pub const MAX_RUNS: u64 = 50_000;

/// Stored bytes after which a segment should end.
pub const MAX_STORED: u64 = 512 << 20;

/// JSON in one frame: enough to compress well, little enough to read one small run.
pub(crate) const FRAME: usize = 1 << 20;

/// A cause, whatever its type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where a segment is written to.
#[async_trait]
pub trait Sink: Send {
    /// Appends; waits while too much is in flight.
    async fn write(&mut self, bytes: Bytes) -> Result<(), BoxError>;
}

/// Where a segment is read from.
#[async_trait]
pub trait Source: Send + Sync {
    /// The bytes of `range`, all of them or an error.
    async fn read(&self, range: Range<u64>) -> Result<Bytes, BoxError>;
}

#[async_trait]
impl Sink for Vec<u8> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), BoxError> {
        self.extend_from_slice(&bytes);
        Ok(())
    }
}

#[async_trait]
impl Source for Bytes {
    async fn read(&self, range: Range<u64>) -> Result<Bytes, BoxError> {
        let short = || BoxError::from("the bytes end before the range does");
        let start = usize::try_from(range.start).map_err(|_| short())?;
        let end = usize::try_from(range.end).map_err(|_| short())?;
        if start > end || end > self.len() {
            return Err(short());
        }
        Ok(self.slice(start..end))
    }
}
