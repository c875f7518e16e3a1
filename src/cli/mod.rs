//! The command line: what may be typed, and nothing of what it does.
//!
//! Every option is an [`Option`] or a list that may be empty, so that the configuration file
//! can fill the gaps: flag beats variable beats file.

mod archive;
mod drill;
mod export;
mod history;
mod serve;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::span::Span;
pub use archive::{Archive, ClosedStatus, HistoryRetention, Temporal};
pub use drill::{
    Drill, DrillDatabase, DrillHistories, DrillMetrics, DrillReplay, DrillTemporal, DrillVerb,
    HowMany, ScratchServer, Signing, SinceBackup, VerifyReport,
};
pub use export::{Data, Databases, Export, ExportRun, Format, Retention};
pub use history::{
    Archived, CodecServer, ExportRuns, Filter, Gaps, History, HistoryVerb, ImportRuns, ListRuns,
    ShowRun,
};
pub use serve::{Serve, Sidecar};

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
    /// Last good export of each source and how far histories are archived, with ages; exit 1 when
    /// something is overdue or expires
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
    /// Prove that what is kept comes back
    Drill(Drill),
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

/// Jobs of `now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NowJob {
    /// Export databases
    Export,
    /// Archive the histories of closed workflow executions
    Archive,
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
    /// How Temporal is reached, to ask what expires.
    #[command(flatten)]
    pub temporal: Temporal,
    /// What should be archived.
    #[command(flatten)]
    pub archive: Archive,
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
    /// Drop what is in the target before it is restored; nobody may be using it
    #[arg(long)]
    pub clean: bool,
    /// With --clean: overwrite the very database that the backup was made of
    #[arg(long, requires = "clean")]
    pub over_source: bool,
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
    /// Instead of expiring, forget a group without a whole backup or a source whose last run failed,
    /// as `status` names it: what was mistyped, or is gone for good
    #[arg(long, value_name = "NAME", conflicts_with = "accept_smaller")]
    pub forget: Option<String>,
    /// What to keep.
    #[command(flatten)]
    pub retention: Retention,
    /// Which histories to keep.
    #[command(flatten)]
    pub histories: HistoryRetention,
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
