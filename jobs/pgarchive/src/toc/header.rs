//! The header of an archive (`WriteHead`, `ReadHead` in `pg_backup_archiver.c`).

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeZone, Timelike};

use super::wire::{self, Reader};
use crate::{Compression, Error};

const MAGIC: &[u8] = b"PGDMP";
const INT_SIZE: u8 = 4;
const OFFSET_SIZE: u8 = 8;
/// A directory archive's table of contents carries the code of the tar format.
const FORMAT_DIRECTORY: u8 = 3;

/// Version of the archive format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// PostgreSQL 9.0.
    V1_12,
    /// PostgreSQL 10.3: entries no longer depend on the search path.
    V1_13,
    /// PostgreSQL 12: table access methods.
    V1_14,
    /// PostgreSQL 16: a compression method in place of zlib's level.
    V1_15,
    /// PostgreSQL 17: `relkind`, and large objects in several entries.
    V1_16,
}

impl Version {
    const ALL: [Self; 5] = [Self::V1_12, Self::V1_13, Self::V1_14, Self::V1_15, Self::V1_16];

    /// The oldest version that can say how the data is compressed and that today's
    /// `pg_restore` needs no special case for: the older, the more readers.
    pub fn for_compression(compression: Compression) -> Self {
        match compression {
            Compression::None | Compression::Gzip => Self::V1_14,
            Compression::Lz4 | Compression::Zstd => Self::V1_15,
        }
    }

    fn minor(self) -> u8 {
        match self {
            Self::V1_12 => 12,
            Self::V1_13 => 13,
            Self::V1_14 => 14,
            Self::V1_15 => 15,
            Self::V1_16 => 16,
        }
    }

    /// Whether entries name a table access method.
    pub(super) fn has_table_am(self) -> bool {
        self >= Self::V1_14
    }

    /// Whether the header has a compression code rather than a level.
    fn has_compression_code(self) -> bool {
        self >= Self::V1_15
    }

    /// Whether entries carry `relkind`.
    pub(super) fn has_relkind(self) -> bool {
        self >= Self::V1_16
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor())
    }
}

/// When an archive was begun: the wall clock of the machine that wrote it, field for field as
/// C's `struct tm` has it. The archive does not say in which time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    /// 0 to 60.
    pub second: i32,
    /// 0 to 59.
    pub minute: i32,
    /// 0 to 23.
    pub hour: i32,
    /// 1 to 31.
    pub day: i32,
    /// 0 to 11.
    pub month0: i32,
    /// Years since 1900.
    pub years_since_1900: i32,
    /// Daylight saving time: 1 yes, 0 no, -1 unknown.
    pub is_dst: i32,
}

impl WallClock {
    /// The time as a date, unless the fields name none.
    pub fn to_naive(self) -> Option<NaiveDateTime> {
        let field = |value: i32| u32::try_from(value).ok();
        let year = self.years_since_1900.checked_add(1900)?;
        NaiveDate::from_ymd_opt(year, field(self.month0)?.checked_add(1)?, field(self.day)?)?
            .and_hms_opt(field(self.hour)?, field(self.minute)?, field(self.second.min(59))?)
    }

    fn fields(self) -> [i32; 7] {
        [
            self.second,
            self.minute,
            self.hour,
            self.day,
            self.month0,
            self.years_since_1900,
            self.is_dst,
        ]
    }
}

impl<Zone: TimeZone> From<DateTime<Zone>> for WallClock {
    /// The wall clock of `Zone`. `pg_restore -l` shows it as if it were its own zone's.
    fn from(time: DateTime<Zone>) -> Self {
        let local = time.naive_local();
        // Every one of these is far inside an i32.
        let field = |value: u32| i32::try_from(value).unwrap_or(0);
        Self {
            second: field(local.second()),
            minute: field(local.minute()),
            hour: field(local.hour()),
            day: field(local.day()),
            month0: field(local.month0()),
            years_since_1900: local.year() - 1900,
            is_dst: 0,
        }
    }
}

/// The header of a table of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Version of the format.
    pub version: Version,
    /// Compression of the data files. `pg_restore` goes by each file's suffix instead.
    pub compression: Compression,
    /// zlib's level as versions up to 1.14 record it, if it is not the default.
    pub gzip_level: Option<i32>,
    /// When the archive was begun.
    pub created: WallClock,
    /// The database it was made from.
    pub database: String,
    /// Version of that server, such as `17.6 (Debian 17.6-1)`.
    pub server_version: String,
    /// Version of the program that wrote the archive.
    pub dump_version: String,
}

impl Header {
    /// A header of the version that most readers know and `compression` allows.
    pub fn new(
        compression: Compression,
        created: impl Into<WallClock>,
        database: impl Into<String>,
        server_version: impl Into<String>,
        dump_version: impl Into<String>,
    ) -> Self {
        Self {
            version: Version::for_compression(compression),
            compression,
            gzip_level: None,
            created: created.into(),
            database: database.into(),
            server_version: server_version.into(),
            dump_version: dump_version.into(),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[1, self.version.minor(), 0]);
        out.extend_from_slice(&[INT_SIZE, OFFSET_SIZE, FORMAT_DIRECTORY]);
        self.encode_compression(out)?;
        for field in self.created.fields() {
            wire::put_int(out, field);
        }
        for (text, field) in [
            (&self.database, "database name"),
            (&self.server_version, "server version"),
            (&self.dump_version, "pg_dump version"),
        ] {
            wire::put_string(out, text).map_err(|problem| Error::Unwritable {
                dump_id: 0,
                field,
                problem,
            })?;
        }
        Ok(())
    }

    fn encode_compression(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.version.has_compression_code() {
            out.push(match self.compression {
                Compression::None => 0,
                Compression::Gzip => 1,
                Compression::Lz4 => 2,
                Compression::Zstd => 3,
            });
            return Ok(());
        }
        wire::put_int(
            out,
            match self.compression {
                Compression::None => 0,
                Compression::Gzip => self.gzip_level.unwrap_or(-1),
                Compression::Lz4 | Compression::Zstd => {
                    return Err(Error::CompressionNeedsVersion {
                        version: self.version,
                        compression: self.compression,
                    });
                }
            },
        );
        Ok(())
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        if reader.take(MAGIC.len(), "magic").ok() != Some(MAGIC) {
            return Err(Error::NotAnArchive);
        }
        let major = reader.byte("version")?;
        let minor = reader.byte("version")?;
        let revision = reader.byte("version")?;
        let version = Version::ALL
            .into_iter()
            .find(|v| major == 1 && v.minor() == minor && revision == 0)
            .ok_or(Error::ArchiveVersion { major, minor, revision })?;
        let (int, offset) = (reader.byte("integer size")?, reader.byte("offset size")?);
        if (int, offset) != (INT_SIZE, OFFSET_SIZE) {
            return Err(Error::IntegerSizes { int, offset });
        }
        let code = reader.byte("format")?;
        if code != FORMAT_DIRECTORY {
            return Err(Error::ArchiveFormat { code });
        }
        let (compression, gzip_level) = Self::decode_compression(reader, version)?;
        Ok(Self {
            version,
            compression,
            gzip_level,
            created: WallClock {
                second: reader.int("creation time")?,
                minute: reader.int("creation time")?,
                hour: reader.int("creation time")?,
                day: reader.int("creation time")?,
                month0: reader.int("creation time")?,
                years_since_1900: reader.int("creation time")?,
                is_dst: reader.int("creation time")?,
            },
            database: reader.text("database name")?,
            server_version: reader.text("server version")?,
            dump_version: reader.text("pg_dump version")?,
        })
    }

    fn decode_compression(
        reader: &mut Reader<'_>,
        version: Version,
    ) -> Result<(Compression, Option<i32>), Error> {
        if version.has_compression_code() {
            return match reader.byte("compression")? {
                0 => Ok((Compression::None, None)),
                1 => Ok((Compression::Gzip, None)),
                2 => Ok((Compression::Lz4, None)),
                3 => Ok((Compression::Zstd, None)),
                code => Err(Error::CompressionCode { code }),
            };
        }
        let offset = reader.offset();
        match reader.int("compression level")? {
            0 => Ok((Compression::None, None)),
            -1 => Ok((Compression::Gzip, None)),
            level @ 1..=9 => Ok((Compression::Gzip, Some(level))),
            _ => Err(Error::TocField {
                offset,
                field: "compression level",
                problem: "is not one of zlib's",
            }),
        }
    }
}
