//! Options of the sidecar.

use std::path::PathBuf;

use clap::Args;

use super::{Archive, ExportRun, Temporal};
use crate::config::span::Span;

/// `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct Serve {
    /// The export.
    #[command(flatten)]
    pub export: ExportRun,
    /// How Temporal is reached.
    #[command(flatten)]
    pub temporal: Temporal,
    /// What is archived.
    #[command(flatten)]
    pub archive: Archive,
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
    /// When to archive histories, in the same form [default: */10 * * * *]
    #[arg(long, value_name = "CRON", env = "AIDP_BACKUP_ARCHIVE_SCHEDULE")]
    pub archive_schedule: Option<String>,
    /// Time zone of the schedules, as an IANA name [default: that of retention]
    #[arg(long, value_name = "ZONE", env = "AIDP_BACKUP_SCHEDULE_TIME_ZONE")]
    pub schedule_time_zone: Option<String>,
    /// Start up to so much later, so that many sidecars do not start as one
    #[arg(long, value_name = "SPAN", env = "AIDP_BACKUP_JITTER")]
    pub jitter: Option<Span>,
    /// Whether the page shows archived histories to whoever reaches it [default: true]
    #[arg(long, value_name = "BOOL", env = "AIDP_BACKUP_BROWSE")]
    pub browse: Option<bool>,
}
