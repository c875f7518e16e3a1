//! Everything that can be wrong with a segment or its index.

use super::{BoxError, Compression, FORMAT_VERSION};

/// A segment that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A level that the compression does not have.
    #[error("{compression} has no level {level}")]
    Level {
        /// The compression.
        compression: Compression,
        /// The level asked for.
        level: i64,
    },
    /// A compression that segments do not use.
    #[error("segments are not compressed with {name:?}")]
    CompressionName {
        /// What was asked for.
        name: String,
    },
    /// The compressor failed.
    #[error("cannot compress with {compression}")]
    Compress {
        /// The compression.
        compression: Compression,
        /// Its error.
        #[source]
        source: std::io::Error,
    },
    /// A frame that does not decompress.
    #[error("damaged at byte {offset}, in a {compression} frame")]
    Frame {
        /// The compression.
        compression: Compression,
        /// How far reading came, in compressed bytes.
        offset: u64,
        /// The decompressor's error.
        #[source]
        source: std::io::Error,
    },
    /// The file ends inside a frame, or has none at all.
    #[error("cut short at byte {offset}, inside a {compression} frame")]
    Truncated {
        /// The compression.
        compression: Compression,
        /// Its length.
        offset: u64,
    },
    /// Written by a newer program.
    #[error(
        "line {line} has format version {found}, and this program reads up to {FORMAT_VERSION}"
    )]
    Newer {
        /// Its version.
        found: u32,
        /// Which line, counted from 1.
        line: u64,
    },
    /// A line that is none of ours.
    #[error("line {line} {problem}")]
    Line {
        /// Which line, counted from 1.
        line: u64,
        /// What is wrong with it.
        problem: &'static str,
        /// Where, when the JSON reader knows.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// A run's line is not the one that was written.
    #[error("the line of workflow {workflow_id:?}, run {run_id}, {problem}")]
    Run {
        /// Workflow id.
        workflow_id: String,
        /// Run id.
        run_id: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The segment has lines that its index does not, or the other way round.
    #[error("the segment and its index have different lines: {problem}")]
    Disagree {
        /// How.
        problem: &'static str,
    },
    /// A line to be written holds a line feed.
    #[error("a line of a segment cannot hold a line feed")]
    LineFeed,
    /// A line compressed in another way than the segment it is for.
    #[error("a line compressed with {line} cannot go into a segment of {segment} frames")]
    Mixed {
        /// The line's compression.
        line: Compression,
        /// The segment's.
        segment: Compression,
    },
    /// The task that compresses or decompresses was stopped.
    #[error("the compressing task was stopped")]
    Stopped(#[source] tokio::task::JoinError),
    /// The sink failed.
    #[error("cannot write the segment")]
    Sink(#[source] BoxError),
    /// The source failed.
    #[error("cannot read the segment")]
    Source(#[source] BoxError),
}

impl Error {
    /// Whether it is the stored bytes that are at fault.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Frame { .. }
                | Self::Truncated { .. }
                | Self::Line { .. }
                | Self::Run { .. }
                | Self::Disagree { .. }
        )
    }

    /// What mends it, when anything is known to.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Level { compression: Compression::Zstd, .. } => Some("zstd has levels 1 to 22"),
            Self::Level { compression: Compression::Gzip, .. } => Some("gzip has levels 1 to 9"),
            Self::CompressionName { .. } => Some("use zstd or gzip"),
            Self::Newer { .. } => {
                Some("use the release of aidp-backup that wrote it, or a newer one")
            }
            Self::Frame { .. }
            | Self::Truncated { .. }
            | Self::Line { .. }
            | Self::Run { .. }
            | Self::Disagree { .. } => Some("restore this object from a copy of the store"),
            _ => None,
        }
    }

    pub(super) fn line(line: u64, problem: &'static str) -> Self {
        Self::Line { line, problem, source: None }
    }
}
