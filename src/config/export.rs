//! How to export, merged.

use std::time::Duration;

use pgarchive::Codec;
use postgres::selection::Selection;

use super::file;
use super::{ConfigError, Span, jobs};
use crate::cli::{self, Data, Format};

/// How to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportSettings {
    /// Format of the archive.
    pub format: Format,
    /// Form of table data.
    pub data: Data,
    /// Compression and level.
    pub codec: Codec,
    /// Connections.
    pub jobs: usize,
    /// Which tables.
    pub selection: Selection,
    /// `SET ROLE` after login.
    pub role: Option<String>,
    /// How long to wait for a lock.
    pub lock_timeout: Duration,
}

impl ExportSettings {
    /// Flag or variable, else file, else default.
    pub fn merge(flags: &cli::Export, file: &file::Export) -> Result<Self, ConfigError> {
        let format = flags.format.or(file.format).unwrap_or(Format::Directory);
        let data = flags.data.or(file.data).unwrap_or(Data::Auto);
        if format == Format::Plain && data == Data::Binary {
            return Err(ConfigError::Conflict {
                what: "a plain script cannot hold binary table data",
                hint: "use --data text or auto, or --format directory",
            });
        }
        let usual = match format {
            Format::Directory => "zstd:1",
            Format::Plain => "gzip",
        };
        let compress = flags.compress.as_deref().or(file.compress.as_deref()).unwrap_or(usual);
        let codec = compress.parse::<Codec>().map_err(|source| ConfigError::Compress {
            text: compress.to_owned(),
            source: source.into(),
        })?;
        let list = |flag: &[String], file: &[String]| {
            if flag.is_empty() { file.to_vec() } else { flag.to_vec() }
        };
        let lock_timeout = flags.lock_timeout.or(file.lock_timeout).unwrap_or(Span::seconds(30));
        Ok(Self {
            format,
            data,
            codec,
            jobs: jobs(flags.jobs.or(file.jobs))?,
            selection: Selection {
                tables: list(&flags.table, &file.tables),
                exclude_tables: list(&flags.exclude_table, &file.exclude_tables),
                exclude_table_data: list(&flags.exclude_table_data, &file.exclude_table_data),
                schema_only: flags.schema_only || file.schema_only,
            },
            role: flags.role.clone().or_else(|| file.role.clone()),
            lock_timeout: lock_timeout.duration(),
        })
    }
}
