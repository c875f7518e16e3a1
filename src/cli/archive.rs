//! Options of whatever talks to Temporal, and of archiving.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use crate::config::span::Span;

/// How Temporal is reached: as its own command line does, by TEMPORAL_* variables and profiles.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Temporal")]
pub struct Temporal {
    /// HOST:PORT of Temporal's frontend [default: TEMPORAL_ADDRESS, the profile's, or
    /// localhost:7233]
    #[arg(long, value_name = "HOST:PORT", env = "AIDP_BACKUP_TEMPORAL_ADDRESS")]
    pub temporal_address: Option<String>,
    /// Profile of temporal.toml [default: TEMPORAL_PROFILE, or `default`]
    #[arg(long, value_name = "NAME", env = "AIDP_BACKUP_TEMPORAL_PROFILE")]
    pub temporal_profile: Option<String>,
    /// The file with Temporal's profiles [default: TEMPORAL_CONFIG_FILE, or temporal.toml in the
    /// user's configuration folder]
    #[arg(long, value_name = "FILE", env = "AIDP_BACKUP_TEMPORAL_CONFIG_FILE")]
    pub temporal_config_file: Option<PathBuf>,
    /// A file with an API key or a JWT, read again whenever it changes
    #[arg(long, value_name = "FILE", env = "AIDP_BACKUP_TEMPORAL_API_KEY_FILE")]
    pub temporal_api_key_file: Option<PathBuf>,
}

/// What is archived, and how.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Archive")]
pub struct Archive {
    /// Namespaces to archive, `*` stands for any text; may be given several times [default: all]
    #[arg(
        short,
        long = "namespace",
        value_name = "PATTERN",
        env = "AIDP_BACKUP_NAMESPACE",
        value_delimiter = ','
    )]
    pub namespace: Vec<String>,
    /// Only executions that this visibility query finds
    #[arg(long, value_name = "QUERY", env = "AIDP_BACKUP_HISTORY_QUERY")]
    pub query: Option<String>,
    /// Only executions that ended so; may be given several times [default: all]
    #[arg(
        long = "status",
        value_name = "STATUS",
        env = "AIDP_BACKUP_HISTORY_STATUS",
        value_delimiter = ','
    )]
    pub status: Vec<ClosedStatus>,
    /// Also the runs by which Temporal's own schedules work
    #[arg(long, env = "AIDP_BACKUP_SCHEDULER_RUNS", value_parser = BoolishValueParser::new())]
    pub scheduler_runs: bool,
    /// List again all that Temporal remembers, not only what no window covers yet
    #[arg(long)]
    pub full: bool,
    /// Age at which a closed execution is taken to be listed by visibility [default: 1m]
    #[arg(long, value_name = "SPAN", env = "AIDP_BACKUP_SETTLE")]
    pub settle: Option<Span>,
    /// How much of what is covered is listed again, for late entries [default: 15m]
    #[arg(long, value_name = "SPAN", env = "AIDP_BACKUP_OVERLAP")]
    pub overlap: Option<Span>,
    /// zstd or gzip, with an optional :LEVEL [default: zstd:3]
    #[arg(long = "history-compress", value_name = "METHOD", env = "AIDP_BACKUP_HISTORY_COMPRESS")]
    pub history_compress: Option<String>,
    /// History calls per second, at most [default: 1000]
    #[arg(long, value_name = "N", env = "AIDP_BACKUP_HISTORY_RATE")]
    pub history_rate: Option<u32>,
    /// History calls in flight, at most; fewer when the server is busy [default: 16]
    #[arg(long, value_name = "N", env = "AIDP_BACKUP_HISTORY_CONCURRENCY")]
    pub history_concurrency: Option<u16>,
    /// Warn of histories that are not archived and expire within this time [default: 48h]
    #[arg(long, value_name = "SPAN", env = "AIDP_BACKUP_EXPIRY_WARNING")]
    pub expiry_warning: Option<Span>,
    /// Remove archived histories that closed longer ago than this [default: never]
    #[arg(long, value_name = "SPAN", env = "AIDP_BACKUP_KEEP_HISTORIES")]
    pub keep_histories: Option<Span>,
}

/// Which archived histories are kept, and how long. The same options as those of [`Archive`].
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Retention of histories")]
pub struct HistoryRetention {
    /// Namespaces whose histories expire, `*` stands for any text; may be given several times
    /// [default: all]
    #[arg(
        short,
        long = "namespace",
        value_name = "PATTERN",
        env = "AIDP_BACKUP_NAMESPACE",
        value_delimiter = ','
    )]
    pub namespace: Vec<String>,
    /// Remove archived histories that closed longer ago than this [default: never]
    #[arg(long, value_name = "SPAN", env = "AIDP_BACKUP_KEEP_HISTORIES")]
    pub keep_histories: Option<Span>,
}

/// How an execution can have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClosedStatus {
    /// Completed.
    Completed,
    /// Failed.
    Failed,
    /// Canceled.
    #[value(alias = "cancelled")]
    #[serde(alias = "cancelled")]
    Canceled,
    /// Terminated.
    Terminated,
    /// Continued as new.
    ContinuedAsNew,
    /// Timed out.
    TimedOut,
}

impl ClosedStatus {
    /// As visibility queries name it.
    pub fn query_name(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
            Self::Terminated => "Terminated",
            Self::ContinuedAsNew => "ContinuedAsNew",
            Self::TimedOut => "TimedOut",
        }
    }

    /// As lines of the archive name it.
    pub fn line_name(self) -> &'static str {
        match self {
            Self::Completed => "WORKFLOW_EXECUTION_STATUS_COMPLETED",
            Self::Failed => "WORKFLOW_EXECUTION_STATUS_FAILED",
            Self::Canceled => "WORKFLOW_EXECUTION_STATUS_CANCELED",
            Self::Terminated => "WORKFLOW_EXECUTION_STATUS_TERMINATED",
            Self::ContinuedAsNew => "WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW",
            Self::TimedOut => "WORKFLOW_EXECUTION_STATUS_TIMED_OUT",
        }
    }
}
