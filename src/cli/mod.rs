//! The command line: what may be typed, and nothing of what it does.
//!
//! Every option is an [`Option`] or a list that may be empty, so that the configuration file
//! can fill the gaps: flag beats variable beats file.

mod archive;
mod history;

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::span::Span;
pub use archive::{Archive, ClosedStatus, Temporal};
pub use history::{
    Archived, CodecServer, ExportRuns, Filter, Gaps, History, HistoryVerb, ListRuns, ShowRun,
};

/// Backs up Temporal's PostgreSQL databases and archives its workflow histories; verifies, expires
/// and restores what it made.
#[derive(Debug, Parser)]
#[command(
    name = "aidp-backup",
    version,
    about,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = EXIT_CODES
)]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 failed, or something is overdue; 2 usage or configuration; 3 part done \
(some source failed, the others are kept); 4 damage found; 5 another run holds the lease.";

/// Options of every verb.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Configuration file (TOML); /etc/aidp-backup.toml is read when it exists
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "AIDP_BACKUP_CONFIG",
        help_heading = "Global options"
    )]
    pub config: Option<PathBuf>,
    /// Where backups are kept: a path, file:///path or s3://bucket/prefix
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "AIDP_BACKUP_STORE",
        help_heading = "Global options"
    )]
    pub store: Option<String>,
    /// Print one JSON document (for lists, one object per line) on standard output
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// How messages on standard error look
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "AIDP_BACKUP_LOG_FORMAT",
        help_heading = "Global options"
    )]
    pub log_format: Option<LogFormat>,
    /// More messages; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Warnings and errors only, no progress
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
}

/// How messages on standard error look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the jobs once, now
    Now(Now),
    /// The sidecar: runs the jobs by its own schedule, with a status page, an API and metrics
    Serve(Serve),
    /// Last good export of each source, its age and size; exit 1 when one is overdue
    Status(Status),
    /// What is kept
    List(List),
    /// One backup in full
    Show(Show),
    /// Read back every object: digests, sizes, archive structure, rows
    Verify(Verify),
    /// Restore databases from an export
    Restore(Restore),
    /// An export as plain files, for stock tools
    Fetch(Fetch),
    /// What retention would remove and keep, each with its reason; does it with --apply
    Prune(Prune),
    /// The archived workflow histories
    History(History),
    /// Check the configuration, or print an example
    Config(Config),
    /// Print a completion script
    Completions(Completions),
    /// Print the manual page (roff)
    Man,
}

/// `now`.
#[derive(Debug, Args)]
pub struct Now {
    /// Which job; export and archive, one after the other, when not given
    #[arg(value_enum)]
    pub job: Option<NowJob>,
    /// The export.
    #[command(flatten)]
    pub export: ExportRun,
    /// How Temporal is reached.
    #[command(flatten)]
    pub temporal: Temporal,
    /// What is archived.
    #[command(flatten)]
    pub archive: Archive,
    /// Write metrics to this file afterwards, for node_exporter's textfile collector
    #[arg(
        long,
        value_name = "FILE",
        env = "AIDP_BACKUP_METRICS_TEXTFILE",
        help_heading = "Metrics"
    )]
    pub metrics_textfile: Option<PathBuf>,
    /// Push metrics to this Pushgateway afterwards
    #[arg(long, value_name = "URL", env = "AIDP_BACKUP_PUSHGATEWAY", help_heading = "Metrics")]
    pub pushgateway: Option<String>,
}

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

/// `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct Serve {
    /// The export.
    #[command(flatten)]
    pub export: ExportRun,
    /// Where and when.
    #[command(flatten)]
    pub sidecar: Sidecar,
}

/// Options of the sidecar itself.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Sidecar")]
pub struct Sidecar {
    /// Address of the status page, the API and the metrics [default: 127.0.0.1:9847]
    #[arg(long, value_name = "ADDRESS:PORT", env = "AIDP_BACKUP_LISTEN")]
    pub listen: Option<std::net::SocketAddr>,
    /// A file with the token that lets its bearer start jobs; AIDP_BACKUP_TOKEN may hold it
    /// instead. Without one nobody can
    #[arg(long, value_name = "FILE", env = "AIDP_BACKUP_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// How long a run in progress may go on after SIGTERM before it is abandoned [default: 15s]
    #[arg(long, value_name = "SPAN", env = "AIDP_BACKUP_GRACE")]
    pub grace: Option<Span>,
    /// When to export: minute hour day month weekday, or `off` [default: 0 2 * * *]
    #[arg(long, value_name = "CRON", env = "AIDP_BACKUP_EXPORT_SCHEDULE")]
    pub export_schedule: Option<String>,
    /// Time zone of the schedules, as an IANA name [default: that of retention]
    #[arg(long, value_name = "ZONE", env = "AIDP_BACKUP_SCHEDULE_TIME_ZONE")]
    pub schedule_time_zone: Option<String>,
    /// Start up to so much later, so that many sidecars do not start as one
    #[arg(long, value_name = "SPAN", env = "AIDP_BACKUP_JITTER")]
    pub jitter: Option<Span>,
}

/// Jobs of `now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NowJob {
    /// Export databases
    Export,
    /// Archive the histories of closed workflow executions
    Archive,
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

/// `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Age at which the last good export is overdue [default: 26h]
    #[arg(long, value_name = "SPAN", env = "AIDP_BACKUP_OVERDUE_AFTER")]
    pub overdue_after: Option<Span>,
    /// Only groups whose name begins so; may be given several times
    #[arg(long, value_name = "NAME", env = "AIDP_BACKUP_GROUP", value_delimiter = '\n')]
    pub group: Vec<String>,
}

/// `list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only backups of this group, or of the groups whose name begins so
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
}

/// `show`.
#[derive(Debug, Args)]
pub struct Show {
    /// An id, the beginning of one, or `latest`
    #[arg(value_name = "ID")]
    pub id: String,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Ids, the beginnings of some, or `latest`, which is also the default
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Every backup in the store
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    /// Objects that are read at the same time [default: 2]
    #[arg(short, long, value_name = "N", env = "AIDP_BACKUP_JOBS")]
    pub jobs: Option<u16>,
}

/// `restore`.
#[derive(Debug, Args)]
#[command(after_help = "\
With several databases in the backup and no --database, --into names the server: each database \
is restored under its own name. With --database, --into names the database to fill.")]
pub struct Restore {
    /// An id, the beginning of one, or `latest`
    #[arg(value_name = "ID")]
    pub id: String,
    /// Where to restore to, as a URL or key=value text without a password
    #[arg(
        long,
        value_name = "URL",
        env = "AIDP_BACKUP_INTO",
        hide_env_values = true,
        required_unless_present = "into_file"
    )]
    pub into: Option<String>,
    /// A file with that URL, for one with a password
    #[arg(long, value_name = "FILE", env = "AIDP_BACKUP_INTO_FILE", conflicts_with = "into")]
    pub into_file: Option<PathBuf>,
    /// Which database of the backup
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    /// Connections that restore at the same time [default: 2]
    #[arg(short, long, value_name = "N", env = "AIDP_BACKUP_JOBS")]
    pub jobs: Option<u16>,
    /// Drop what is in the target before it is restored
    #[arg(long)]
    pub clean: bool,
    /// Create the database
    #[arg(long)]
    pub create: bool,
    /// Leave owners as they come: everything belongs to the connected role
    #[arg(long)]
    pub no_owner: bool,
    /// Restore no grants
    #[arg(long)]
    pub no_privileges: bool,
    /// Put everything into the default tablespace
    #[arg(long)]
    pub no_tablespaces: bool,
    /// Try although the target's major version is older than the archive's
    #[arg(long)]
    pub unsafe_older_server: bool,
    /// Temporal: keep cluster_membership and schema_version as they were. A copy restored so
    /// can join the live cluster and swallow its workflows
    #[arg(long)]
    pub keep_temporal_state: bool,
}

/// `fetch`.
#[derive(Debug, Args)]
pub struct Fetch {
    /// An id, the beginning of one, or `latest`
    #[arg(value_name = "ID")]
    pub id: String,
    /// A folder that is empty or does not exist
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Objects that are read at the same time [default: 2]
    #[arg(short, long, value_name = "N", env = "AIDP_BACKUP_JOBS")]
    pub jobs: Option<u16>,
}

/// `prune`.
#[derive(Debug, Args)]
pub struct Prune {
    /// Remove what the plan says
    #[arg(long)]
    pub apply: bool,
    /// Take the size of this backup for right, though it is small: pruning of its group goes on
    #[arg(long, value_name = "ID")]
    pub accept_smaller: Option<String>,
    /// What to keep.
    #[command(flatten)]
    pub retention: Retention,
}

/// `config`.
#[derive(Debug, Args)]
pub struct Config {
    /// What about it.
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

/// Verbs of `config`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigVerb {
    /// Read and validate the configuration, and print what it comes to
    Check,
    /// Print a commented example
    Example,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}
