//! The shape of the configuration file.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, Span};
use crate::cli::{Data, Format, LogFormat};
use crate::secret::Secret;

/// Where the file is looked for when nothing names one.
pub const DEFAULT_PATH: &str = "/etc/aidp-backup.toml";

/// A configuration file; whatever it leaves out has its default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Store URL.
    pub store: Option<String>,
    /// Label of the source.
    pub source: Option<String>,
    /// Databases to export.
    pub database: Vec<Database>,
    /// How to export.
    pub export: Export,
    /// How to verify.
    pub verify: Verify,
    /// How to restore.
    pub restore: Restore,
    /// What to keep.
    pub retention: Retention,
    /// When to worry.
    pub status: Status,
    /// Messages.
    pub log: Log,
}

/// `[[database]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Connection URL or key=value text.
    pub url: Option<Secret>,
    /// A file that holds it.
    pub url_file: Option<PathBuf>,
}

/// `[export]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Export {
    /// `directory` or `plain`.
    pub format: Option<Format>,
    /// `auto`, `text` or `binary`.
    pub data: Option<Data>,
    /// Method and level.
    pub compress: Option<String>,
    /// Connections.
    pub jobs: Option<u16>,
    /// As `--table`.
    pub tables: Vec<String>,
    /// As `--exclude-table`.
    pub exclude_tables: Vec<String>,
    /// As `--exclude-table-data`.
    pub exclude_table_data: Vec<String>,
    /// As `--schema-only`.
    pub schema_only: bool,
    /// As `--role`.
    pub role: Option<String>,
    /// As `--lock-timeout`.
    pub lock_timeout: Option<Span>,
}

/// `[verify]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Verify {
    /// Objects read at the same time.
    pub jobs: Option<u16>,
}

/// `[restore]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Restore {
    /// Connections.
    pub jobs: Option<u16>,
}

/// `[retention]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// As the flag.
    pub keep_last: Option<u32>,
    /// As the flag.
    pub keep_hourly: Option<u32>,
    /// As the flag.
    pub keep_daily: Option<u32>,
    /// As the flag.
    pub keep_weekly: Option<u32>,
    /// As the flag.
    pub keep_monthly: Option<u32>,
    /// As the flag.
    pub keep_yearly: Option<u32>,
    /// As the flag.
    pub keep_within: Option<Span>,
    /// As the flag.
    pub time_zone: Option<String>,
    /// As the flag.
    pub shrink_limit: Option<f64>,
    /// As the flag.
    pub orphan_grace: Option<Span>,
    /// Whether an export applies retention; yes unless told otherwise.
    pub after_export: Option<bool>,
}

/// `[status]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Status {
    /// As the flag.
    pub overdue_after: Option<Span>,
    /// As `--group`.
    pub groups: Vec<String>,
}

/// `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: Option<LogFormat>,
}

impl File {
    /// Reads the file that was named, or the default one when it exists.
    pub fn read(named: Option<&Path>) -> Result<(Self, Option<PathBuf>), ConfigError> {
        let path = named.unwrap_or(Path::new(DEFAULT_PATH));
        match std::fs::read_to_string(path) {
            Ok(text) => Ok((Self::parse(&text, path)?, Some(path.to_owned()))),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Ok((Self::default(), None))
            }
            Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
        }
    }

    /// Parses the text of a file; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|source| ConfigError::parse(path.to_owned(), text, &source))
    }
}
