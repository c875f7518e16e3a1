//! Options of an export, whoever starts it.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use crate::config::span::Span;

/// What an export is told, whoever starts it.
#[derive(Debug, Clone, Default, Args)]
pub struct ExportRun {
    /// Which databases.
    #[command(flatten)]
    pub databases: Databases,
    /// How to export.
    #[command(flatten)]
    pub export: Export,
    /// What to keep afterwards.
    #[command(flatten)]
    pub retention: Retention,
    /// Keep everything: do not apply retention afterwards
    #[arg(long, env = "AIDP_BACKUP_NO_PRUNE", value_parser = BoolishValueParser::new(), help_heading = "Retention")]
    pub no_prune: bool,
}

/// Which databases to export.
#[derive(Debug, Clone, Default, Args)]
pub struct Databases {
    /// A database to export, as a URL or key=value text without a password; may be given
    /// several times [default: temporal and temporal_visibility at libpq's connection]
    #[arg(
        short,
        long = "database",
        value_name = "URL",
        env = "AIDP_BACKUP_DATABASE",
        hide_env_values = true,
        value_delimiter = '\n'
    )]
    pub database: Vec<String>,
    /// A file with one database URL per line, for URLs with a password
    #[arg(long, value_name = "FILE", env = "AIDP_BACKUP_DATABASE_FILE")]
    pub database_file: Option<PathBuf>,
    /// Name of the source, by which backups are grouped [default: the cluster's system identifier]
    #[arg(long, value_name = "NAME", env = "AIDP_BACKUP_SOURCE")]
    pub source: Option<String>,
}

/// How to export.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Export")]
pub struct Export {
    /// directory (pg_restore reads it) or plain (psql reads it) [default: directory]
    #[arg(long, value_name = "FORMAT", env = "AIDP_BACKUP_FORMAT")]
    pub format: Option<Format>,
    /// Table data as text, as binary, or as suits each table [default: auto]
    #[arg(long, value_name = "FORM", env = "AIDP_BACKUP_DATA")]
    pub data: Option<Data>,
    /// zstd, gzip, lz4 or none, with an optional :LEVEL [default: zstd:1, or gzip for plain]
    #[arg(long, value_name = "METHOD", env = "AIDP_BACKUP_COMPRESS")]
    pub compress: Option<String>,
    /// Connections that copy tables at the same time [default: 2]
    #[arg(short, long, value_name = "N", env = "AIDP_BACKUP_JOBS")]
    pub jobs: Option<u16>,
    /// Tables to export, by pg_dump's patterns; all when not given
    #[arg(short, long, value_name = "PATTERN", env = "AIDP_BACKUP_TABLE", value_delimiter = '\n')]
    pub table: Vec<String>,
    /// Tables to leave out
    #[arg(
        short = 'T',
        long,
        value_name = "PATTERN",
        env = "AIDP_BACKUP_EXCLUDE_TABLE",
        value_delimiter = '\n'
    )]
    pub exclude_table: Vec<String>,
    /// Tables whose rows are left out, but not their definitions
    #[arg(
        long,
        value_name = "PATTERN",
        env = "AIDP_BACKUP_EXCLUDE_TABLE_DATA",
        value_delimiter = '\n'
    )]
    pub exclude_table_data: Vec<String>,
    /// Definitions only, no rows
    #[arg(short, long, env = "AIDP_BACKUP_SCHEMA_ONLY", value_parser = BoolishValueParser::new())]
    pub schema_only: bool,
    /// SET ROLE after login, as pg_dump --role does
    #[arg(long, value_name = "NAME", env = "AIDP_BACKUP_ROLE")]
    pub role: Option<String>,
    /// How long to wait for a table's lock [default: 30s]
    #[arg(long, value_name = "SPAN", env = "AIDP_BACKUP_LOCK_TIMEOUT")]
    pub lock_timeout: Option<Span>,
}

/// Format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// pg_dump's directory format
    Directory,
    /// One SQL script
    Plain,
}

/// Form of table data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Data {
    /// Binary where every column's type has a stable binary form, text elsewhere
    Auto,
    /// Text COPY: any version and psql can read it
    Text,
    /// Binary COPY: half the bytes for bytea
    Binary,
}

/// What to keep.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Retention")]
pub struct Retention {
    /// Keep the newest N
    #[arg(long, value_name = "N", env = "AIDP_BACKUP_KEEP_LAST")]
    pub keep_last: Option<u32>,
    /// Keep the newest of each of the last N hours that have one
    #[arg(long, value_name = "N", env = "AIDP_BACKUP_KEEP_HOURLY")]
    pub keep_hourly: Option<u32>,
    /// The same for days [default: 7, when no other rule is given]
    #[arg(long, value_name = "N", env = "AIDP_BACKUP_KEEP_DAILY")]
    pub keep_daily: Option<u32>,
    /// The same for weeks
    #[arg(long, value_name = "N", env = "AIDP_BACKUP_KEEP_WEEKLY")]
    pub keep_weekly: Option<u32>,
    /// The same for months
    #[arg(long, value_name = "N", env = "AIDP_BACKUP_KEEP_MONTHLY")]
    pub keep_monthly: Option<u32>,
    /// The same for years
    #[arg(long, value_name = "N", env = "AIDP_BACKUP_KEEP_YEARLY")]
    pub keep_yearly: Option<u32>,
    /// Keep all that are at most this much older than the newest
    #[arg(long, value_name = "SPAN", env = "AIDP_BACKUP_KEEP_WITHIN")]
    pub keep_within: Option<Span>,
    /// Where days and weeks begin, as an IANA name [default: UTC]
    #[arg(long, value_name = "ZONE", env = "AIDP_BACKUP_TIME_ZONE")]
    pub time_zone: Option<String>,
    /// Remove nothing while the newest has less than this share of the last good one's rows or
    /// bytes; 0 turns it off [default: 0.5]
    #[arg(long, value_name = "SHARE", env = "AIDP_BACKUP_SHRINK_LIMIT")]
    pub shrink_limit: Option<f64>,
    /// Age at which objects that no backup names are swept [default: 24h]
    #[arg(long, value_name = "SPAN", env = "AIDP_BACKUP_ORPHAN_GRACE")]
    pub orphan_grace: Option<Span>,
}
