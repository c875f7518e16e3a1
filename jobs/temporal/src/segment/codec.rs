//! Frames: independent pieces of compressed JSON, one after the other.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use flate2::write::GzEncoder;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

use super::Error;

/// Decompressed bytes handed on at a time.
pub(super) const CHUNK: usize = 256 << 10;

/// The largest window a zstd frame may ask for, 8 MiB as RFC 8878 advises: it bounds the memory
/// that a few hostile bytes can claim.
const WINDOW_LOG_MAX: u32 = 23;

/// zlib's largest window, 32 KiB.
const WINDOW_BITS: u8 = 15;

/// How the frames of a segment are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Zstandard frames: `.zst`.
    Zstd,
    /// gzip members: `.gz`.
    Gzip,
}

impl Compression {
    /// What a file's name ends in, with the dot.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }

    /// The compression that a file's name tells.
    pub fn of_file(name: &str) -> Option<Self> {
        [Self::Zstd, Self::Gzip].into_iter().find(|c| name.ends_with(c.suffix()))
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        })
    }
}

/// A compression and how hard it tries: `zstd`, `zstd:9`, `gzip:6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Zstandard at levels 1 to 22.
    Zstd(i32),
    /// gzip at levels 1 to 9.
    Gzip(u32),
}

impl Codec {
    /// The compression, without its level.
    pub fn compression(self) -> Compression {
        match self {
            Self::Zstd(_) => Compression::Zstd,
            Self::Gzip(_) => Compression::Gzip,
        }
    }

    /// Refuses levels that do not exist.
    fn checked(self) -> Result<Self, Error> {
        match self {
            Self::Zstd(1..=22) | Self::Gzip(1..=9) => Ok(self),
            Self::Zstd(level) => {
                Err(Error::Level { compression: Compression::Zstd, level: level.into() })
            }
            Self::Gzip(level) => {
                Err(Error::Level { compression: Compression::Gzip, level: level.into() })
            }
        }
    }

    /// `input` as one frame.
    pub(super) fn encode(self, input: &[u8]) -> Result<Vec<u8>, Error> {
        let compression = self.compression();
        let failed = |source| Error::Compress { compression, source };
        match self.checked()? {
            Self::Zstd(level) => {
                let mut zstd = zstd::bulk::Compressor::new(level).map_err(failed)?;
                // So that every reader of the bare file notices damage, not only one with an index.
                zstd.include_checksum(true).map_err(failed)?;
                zstd.compress(input).map_err(failed)
            }
            Self::Gzip(level) => {
                let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::new(level));
                gzip.write_all(input).map_err(failed)?;
                gzip.finish().map_err(failed)
            }
        }
    }
}

impl Default for Codec {
    /// zstd at the level where histories stop getting much smaller.
    fn default() -> Self {
        Self::Zstd(3)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zstd(level) => write!(f, "zstd:{level}"),
            Self::Gzip(level) => write!(f, "gzip:{level}"),
        }
    }
}

impl FromStr for Codec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<i32>().unwrap_or(0))),
            None => (text, None),
        };
        match name {
            "zstd" => Self::Zstd(level.unwrap_or(3)).checked(),
            "gzip" => Self::Gzip(level.unwrap_or(6).try_into().unwrap_or(0)).checked(),
            _ => Err(Error::CompressionName { name: text.to_owned() }),
        }
    }
}

/// Decompresses frames that come in pieces, in bounded memory.
pub(super) struct Decoder {
    kind: Kind,
    compression: Compression,
    in_frame: bool,
    frames: u64,
    offset: u64,
}

enum Kind {
    Zstd(ZstdDecoder<'static>),
    Gzip(Option<Box<Decompress>>),
}

/// What one step of a [`Decoder`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// Bytes of the input that are used up.
    pub(super) read: usize,
    /// The frame ended with them.
    pub(super) ended: bool,
    /// There may be more to come without more input.
    pub(super) held: bool,
}

impl Decoder {
    pub(super) fn new(compression: Compression) -> Result<Self, Error> {
        let failed = |source| Error::Frame { compression, offset: 0, source };
        let kind = match compression {
            Compression::Zstd => {
                let mut zstd = ZstdDecoder::new().map_err(failed)?;
                zstd.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(failed)?;
                Kind::Zstd(zstd)
            }
            Compression::Gzip => Kind::Gzip(None),
        };
        Ok(Self { kind, compression, in_frame: false, frames: 0, offset: 0 })
    }

    /// Compressed bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes from the front of `input` and puts what it decompresses to into `out`, in place of
    /// what was there: at most [`CHUNK`] bytes, and never of two frames.
    pub(super) fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        out.clear();
        out.reserve(CHUNK);
        let offset = self.offset;
        let failed = |source| Error::Frame { compression: self.compression, offset, source };
        let (read, ended) = match &mut self.kind {
            Kind::Zstd(zstd) => {
                let mut target = OutBuffer::around(out);
                let mut source = InBuffer::around(input);
                let left = zstd.run(&mut source, &mut target).map_err(failed)?;
                (source.pos(), left == 0)
            }
            Kind::Gzip(member) => {
                let inflate =
                    member.get_or_insert_with(|| Box::new(Decompress::new_gzip(WINDOW_BITS)));
                let before = inflate.total_in();
                let status = inflate
                    .decompress_vec(input, out, FlushDecompress::None)
                    .map_err(|error| failed(error.into()))?;
                let read = usize::try_from(inflate.total_in() - before).unwrap_or(input.len());
                let ended = status == Status::StreamEnd;
                if ended {
                    *member = None;
                }
                (read, ended)
            }
        };
        if read == 0 && out.is_empty() && !ended && !input.is_empty() {
            return Err(failed(std::io::Error::other("the decompressor is stuck")));
        }
        self.offset += read as u64;
        self.in_frame = !ended;
        self.frames += u64::from(ended);
        Ok(Step { read, ended, held: !ended && out.len() == out.capacity() })
    }

    /// Whether the data may end here.
    pub(super) fn finish(&self) -> Result<(), Error> {
        if self.in_frame || self.frames == 0 {
            return Err(Error::Truncated { compression: self.compression, offset: self.offset });
        }
        Ok(())
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("compression", &self.compression)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// The compression whose magic number `bytes` begin with.
pub(super) fn detect(bytes: &[u8]) -> Option<Compression> {
    match bytes {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        _ => None,
    }
}
