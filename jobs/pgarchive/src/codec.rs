//! How data files are compressed, and how an operator says so.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// Compression of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compression {
    /// As it comes.
    None,
    /// gzip: every `pg_restore` reads it.
    Gzip,
    /// LZ4 frames: `pg_restore` of PostgreSQL 16 and later reads them.
    Lz4,
    /// Zstandard frames: `pg_restore` of PostgreSQL 16 and later reads them.
    Zstd,
}

impl Compression {
    /// Every compression, in the order in which `pg_restore` looks for a file's suffix.
    pub const ALL: [Self; 4] = [Self::None, Self::Gzip, Self::Lz4, Self::Zstd];

    /// What a data file's name ends in, with the dot; empty for [`Compression::None`].
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Lz4 => ".lz4",
            Self::Zstd => ".zst",
        }
    }

    /// Splits the name of a stored file into its name in the table of contents and its
    /// compression: `123.dat.zst` is `123.dat`, compressed with zstd.
    pub fn of_file(name: &str) -> (&str, Self) {
        [Self::Gzip, Self::Lz4, Self::Zstd]
            .into_iter()
            .find_map(|c| name.strip_suffix(c.suffix()).map(|stem| (stem, c)))
            .unwrap_or((name, Self::None))
    }

    /// The name that options and manifests use.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The levels it has; empty for [`Compression::None`].
    pub fn levels(self) -> std::ops::RangeInclusive<i32> {
        match self {
            #[allow(clippy::reversed_empty_ranges)]
            Self::None => 1..=0,
            // libdeflate's levels; lz4's high-compression modes begin at 3.
            Self::Gzip | Self::Lz4 => 1..=12,
            Self::Zstd => 1..=22,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|c| c.name() == name)
            .ok_or_else(|| Error::CompressionName { name: name.to_owned() })
    }
}

/// A compression and how hard it tries: `zstd`, `zstd:3`, `gzip:6`, `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Codec {
    compression: Compression,
    level: Option<i32>,
}

impl Codec {
    /// No compression.
    pub const NONE: Self = Self { compression: Compression::None, level: None };

    /// `compression` at `level`, or at the level that suits a backup best: the fastest.
    ///
    /// # Errors
    /// [`Error::CompressionLevel`] if the compression has no such level.
    pub fn new(compression: Compression, level: Option<i32>) -> Result<Self, Error> {
        match level {
            Some(level) if !compression.levels().contains(&level) => {
                Err(Error::CompressionLevel { compression, level: level.to_string() })
            }
            _ => Ok(Self { compression, level }),
        }
    }

    /// Which compression.
    pub fn compression(self) -> Compression {
        self.compression
    }

    /// The level asked for.
    pub fn level(self) -> Option<i32> {
        self.level
    }

    /// The level in effect: 1 unless asked for otherwise.
    pub fn effective_level(self) -> i32 {
        self.level.unwrap_or(1)
    }
}

impl Default for Codec {
    /// zstd at its fastest level.
    fn default() -> Self {
        Self { compression: Compression::Zstd, level: None }
    }
}

impl From<Compression> for Codec {
    fn from(compression: Compression) -> Self {
        Self { compression, level: None }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "{}:{level}", self.compression),
            None => write!(f, "{}", self.compression),
        }
    }
}

impl FromStr for Codec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Some((name, level)) = text.split_once(':') else {
            return Ok(text.parse::<Compression>()?.into());
        };
        let compression = name.parse()?;
        let number = level
            .parse()
            .map_err(|_| Error::CompressionLevel { compression, level: level.to_owned() })?;
        Self::new(compression, Some(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_reads_what_it_prints() {
        for text in ["none", "gzip", "lz4", "zstd", "zstd:3", "gzip:12", "lz4:1", "zstd:22"] {
            assert_eq!(text.parse::<Codec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn levels_that_do_not_exist_are_refused_with_the_compression_named() {
        for text in
            ["none:1", "gzip:0", "gzip:13", "lz4:0", "zstd:23", "zstd:-1", "zstd:", "zstd:x"]
        {
            let error = text.parse::<Codec>().unwrap_err();
            assert!(matches!(error, Error::CompressionLevel { .. }), "{text}: {error}");
            assert!(error.hint().is_some());
        }
        for text in ["", "bzip2", "ZSTD", "zst", "bzip2:1", " zstd"] {
            let error = text.parse::<Codec>().unwrap_err();
            assert!(matches!(error, Error::CompressionName { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn a_stored_name_splits_into_toc_name_and_compression() {
        assert_eq!(Compression::of_file("7.dat.zst"), ("7.dat", Compression::Zstd));
        assert_eq!(Compression::of_file("7.dat.gz"), ("7.dat", Compression::Gzip));
        assert_eq!(Compression::of_file("blob_1.dat.lz4"), ("blob_1.dat", Compression::Lz4));
        assert_eq!(Compression::of_file("toc.dat"), ("toc.dat", Compression::None));
    }
}
