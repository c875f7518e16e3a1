//! Everything that can be wrong with an archive's bytes.

use std::fmt;

use crate::{Compression, DumpId, Version};

/// An archive, a frame or a COPY stream that is not what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file does not begin as every `pg_dump` archive begins.
    #[error("not a pg_dump archive: the file does not begin with PGDMP")]
    NotAnArchive,
    /// A version before 1.12 or after 1.16.
    #[error("archive version {major}.{minor}-{revision} is not supported")]
    ArchiveVersion {
        /// First number of the version.
        major: u8,
        /// Second number.
        minor: u8,
        /// Third number.
        revision: u8,
    },
    /// A custom-format archive, or a format code that `pg_dump` does not write.
    #[error("archive format {} is not the directory format", FormatCode(*.code))]
    ArchiveFormat {
        /// The code in the header.
        code: u8,
    },
    /// Written on a machine whose integers differ from every machine `pg_dump` 9 to 18 runs on.
    #[error("archive integers of {int} bytes and offsets of {offset} are not supported")]
    IntegerSizes {
        /// Bytes in an integer, without its sign.
        int: u8,
        /// Bytes in a file offset.
        offset: u8,
    },
    /// A compression code from a version of `pg_dump` after 18.
    #[error("compression code {code} is unknown")]
    CompressionCode {
        /// The code in the header.
        code: u8,
    },
    /// The table of contents ends too early.
    #[error("table of contents ends at byte {offset}, inside {field}")]
    TocTruncated {
        /// Length of what there is.
        offset: usize,
        /// What was being read.
        field: &'static str,
    },
    /// A field of the table of contents holds what `pg_dump` never writes.
    #[error("table of contents is damaged at byte {offset}: {field} {problem}")]
    TocField {
        /// Where the field begins.
        offset: usize,
        /// Name of the field, as in `pg_backup_archiver.c`.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Bytes after the last entry.
    #[error("table of contents goes on after its last entry, at byte {offset}")]
    TocTrailing {
        /// End of the last entry.
        offset: usize,
    },
    /// An entry or header that an archive cannot hold.
    #[error("entry {dump_id} cannot be written: {field} {problem}")]
    Unwritable {
        /// Number of the entry, 0 for the header.
        dump_id: DumpId,
        /// Name of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A compression that this archive version has no code for.
    #[error("archive version {version} cannot hold {compression} data")]
    CompressionNeedsVersion {
        /// Version of the header.
        version: Version,
        /// Compression of the header.
        compression: Compression,
    },
    /// A compression nobody knows.
    #[error("compression {name:?} is unknown")]
    CompressionName {
        /// What was given.
        name: String,
    },
    /// A level that the compression does not have.
    #[error("compression level {level:?} is not one of {compression}'s")]
    CompressionLevel {
        /// The compression it was given for.
        compression: Compression,
        /// What was given.
        level: String,
    },
    /// The compressor gave up.
    #[error("could not compress with {compression}")]
    Compress {
        /// Which one.
        compression: Compression,
        /// Its reason.
        source: std::io::Error,
    },
    /// Compressed data is damaged, or is not compressed data.
    #[error("{compression} data is damaged in frame {frame}, near byte {offset}")]
    Frame {
        /// Which compression.
        compression: Compression,
        /// Number of the frame, from 1.
        frame: u64,
        /// Compressed bytes read so far.
        offset: u64,
        /// What the decompressor says.
        source: FrameError,
    },
    /// Compressed data ends inside a frame.
    #[error("{compression} data ends at byte {offset}, inside frame {frame}")]
    FrameTruncated {
        /// Which compression.
        compression: Compression,
        /// Number of the frame, from 1.
        frame: u64,
        /// Length of the data.
        offset: u64,
    },
    /// A compressed file without a single frame.
    #[error("{compression} data is empty: not even one frame")]
    NoFrames {
        /// Which compression.
        compression: Compression,
    },
    /// The decompressing task did not come back.
    #[error("decompression stopped")]
    DecoderStopped {
        /// Why.
        source: tokio::task::JoinError,
    },
    /// A COPY stream is damaged.
    #[error("{format} COPY data is damaged in row {row}, near byte {offset}: {problem}")]
    Copy {
        /// Format of the stream.
        format: crate::CopyFormat,
        /// Number of the row, from 1.
        row: u64,
        /// Bytes of the stream before the damage, or close to it.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// Not a row digest.
    #[error("{text:?} is not a row digest")]
    DigestSyntax {
        /// What was given.
        text: String,
    },
    /// Something that cannot be written as an SQL script.
    #[error("{class} {name:?} cannot be part of a script: it {problem}")]
    Unscriptable {
        /// Class of the entry.
        class: String,
        /// Name of the object.
        name: String,
        /// What is in the way.
        problem: &'static str,
    },
    /// A line of a list of large objects that is not an OID and a file name.
    #[error("line {line} of a list of large objects is damaged")]
    LargeObjectLine {
        /// Number of the line, from 1.
        line: usize,
    },
}

impl Error {
    /// What mends it, if anything does.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotAnArchive => {
                Some("name the folder that holds toc.dat, as pg_dump -Fd left it")
            }
            Self::ArchiveVersion { .. } => {
                Some("archives of PostgreSQL 9.0 to 18 are read; make a new one with pg_dump -Fd")
            }
            Self::ArchiveFormat { .. } => {
                Some("only directory archives (pg_dump -Fd) are read; use pg_restore for this one")
            }
            Self::IntegerSizes { .. } | Self::CompressionCode { .. } => {
                Some("make a new archive with pg_dump -Fd of PostgreSQL 18 or older")
            }
            Self::Frame { source: FrameError::Window, .. } => {
                Some("compress the file again with zstd at level 19 or lower and without --long")
            }
            Self::TocTruncated { .. }
            | Self::TocField { .. }
            | Self::TocTrailing { .. }
            | Self::Frame { .. }
            | Self::FrameTruncated { .. }
            | Self::NoFrames { .. }
            | Self::Copy { .. }
            | Self::LargeObjectLine { .. } => {
                Some("the file was changed or cut after it was written: take another copy of it")
            }
            Self::CompressionNeedsVersion { .. } => {
                Some("write archive version 1.15 for lz4 and zstd, or compress with gzip")
            }
            Self::CompressionName { .. } => Some("use zstd, gzip, lz4 or none"),
            Self::CompressionLevel { .. } => {
                Some("levels are zstd 1 to 22, gzip 1 to 12, lz4 1 to 12; none has no level")
            }
            Self::Unscriptable { .. } => {
                Some("use the directory format, or export the data as text")
            }
            Self::Unwritable { .. }
            | Self::Compress { .. }
            | Self::DecoderStopped { .. }
            | Self::DigestSyntax { .. } => None,
        }
    }
}

/// Why a frame cannot be decompressed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The decompressor's own words.
    #[error(transparent)]
    Codec(#[from] std::io::Error),
    /// The frame wants more memory than it gets.
    #[error("the frame has a window of more than 8 MiB")]
    Window,
    /// A violation of the frame format.
    #[error("{0}")]
    Format(&'static str),
}

/// A format code of the header, by name.
struct FormatCode(u8);

impl fmt::Display for FormatCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("custom"),
            code => write!(f, "{code}"),
        }
    }
}
