//! The shape of the configuration file.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, Span};
use crate::cli::{ClosedStatus, Data, Format, LogFormat};
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
    /// How Temporal is reached.
    pub temporal: Temporal,
    /// What is archived of it.
    pub archive: Archive,
    /// Drills.
    pub drill: Drill,
    /// When to worry.
    pub status: Status,
    /// The sidecar.
    pub serve: Serve,
    /// Whom to tell.
    pub notify: Notify,
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

/// `[temporal]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Temporal {
    /// As `--temporal-address`.
    pub address: Option<String>,
    /// As `--temporal-profile`.
    pub profile: Option<String>,
    /// As `--temporal-config-file`.
    pub config_file: Option<PathBuf>,
    /// As `--temporal-api-key-file`.
    pub api_key_file: Option<PathBuf>,
}

/// `[archive]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Archive {
    /// As `--namespace`.
    pub namespaces: Vec<String>,
    /// Namespaces with rules of their own.
    pub namespace: Vec<Namespace>,
    /// As the flag.
    pub query: Option<String>,
    /// As `--status`.
    pub statuses: Vec<ClosedStatus>,
    /// As the flag.
    pub scheduler_runs: Option<bool>,
    /// As the flag.
    pub settle: Option<Span>,
    /// As the flag.
    pub overlap: Option<Span>,
    /// As `--history-compress`.
    pub compress: Option<String>,
    /// As `--history-rate`.
    pub rate: Option<u32>,
    /// As `--history-concurrency`.
    pub concurrency: Option<u16>,
    /// As the flag.
    pub expiry_warning: Option<Span>,
    /// As `--keep-histories`.
    pub keep: Option<Span>,
    /// Windows of the present day that are joined into one.
    pub join_windows: Option<u16>,
}

/// `[[archive.namespace]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// Which; `*` stands for any text.
    pub name: String,
    /// In place of `[archive]`'s.
    pub query: Option<String>,
    /// In place of `[archive]`'s.
    #[serde(default)]
    pub statuses: Vec<ClosedStatus>,
    /// In place of `[archive]`'s.
    pub scheduler_runs: Option<bool>,
    /// In place of `[archive]`'s.
    pub keep: Option<Span>,
}

/// `[drill]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Drill {
    /// As the flag.
    pub signing_key_file: Option<PathBuf>,
    /// As the flag.
    pub public_key_file: Option<PathBuf>,
    /// Restores.
    pub database: DrillDatabase,
    /// Imports of histories.
    pub histories: DrillHistories,
    /// Replays of histories.
    pub replay: DrillReplay,
}

/// `[drill.histories]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrillHistories {
    /// As the flag.
    pub scratch_temporal: Option<String>,
    /// As the flag.
    pub scratch_temporal_profile: Option<String>,
    /// As the flag.
    pub temporal_server: Option<PathBuf>,
    /// As the flag.
    pub sample: Option<crate::cli::HowMany>,
}

/// `[drill.replay]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrillReplay {
    /// The replayer and its arguments.
    pub command: Vec<String>,
    /// As the flag.
    pub sample: Option<crate::cli::HowMany>,
}

/// `[drill.database]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrillDatabase {
    /// As the flag.
    pub scratch: Option<Secret>,
    /// As the flag.
    pub scratch_file: Option<PathBuf>,
    /// As the flag.
    pub postgres_bin: Option<PathBuf>,
    /// As the flag.
    pub temporal_server: Option<PathBuf>,
    /// As the flag.
    pub sample: Option<crate::cli::HowMany>,
    /// The operator's own checks.
    pub assertion: Vec<Assertion>,
}

/// `[[drill.database.assertion]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// What it is called in the evidence.
    pub name: String,
    /// In which database.
    pub database: String,
    /// SQL that gives one row, which is true.
    pub sql: String,
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

/// `[serve]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Serve {
    /// As the flag.
    pub listen: Option<std::net::SocketAddr>,
    /// As the flag.
    pub token_file: Option<PathBuf>,
    /// As the flag.
    pub grace: Option<Span>,
    /// Whether archived histories are shown.
    pub browse: Option<bool>,
    /// When to export.
    pub export: Schedule,
    /// When to archive.
    pub archive: Schedule,
}

/// `[serve.export]`, `[serve.archive]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Five cron fields, or `off`.
    pub schedule: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    /// As the flag.
    pub jitter: Option<Span>,
    /// Whether a run that was missed while nothing ran is run after all; yes unless told otherwise.
    pub catch_up: Option<bool>,
    /// Attempts after the first.
    pub retries: Option<u32>,
    /// Pause before the second attempt.
    pub retry_after: Option<Span>,
}

/// `[notify]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// Pinged at start, success and failure.
    pub ping_url: Option<Secret>,
    /// A file that holds it.
    pub ping_url_file: Option<PathBuf>,
    /// Pinged so for archiving; the other is for exports.
    pub archive_ping_url: Option<Secret>,
    /// A file that holds it.
    pub archive_ping_url_file: Option<PathBuf>,
    /// Told when something breaks or heals, in JSON.
    pub webhook_url: Option<Secret>,
    /// A file that holds it.
    pub webhook_url_file: Option<PathBuf>,
    /// The same in Slack's form.
    pub slack_url: Option<Secret>,
    /// A file that holds it.
    pub slack_url_file: Option<PathBuf>,
    /// The same as mail.
    pub mail: Option<Mail>,
}

/// `[notify.mail]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// `HOST:PORT` of the mail server.
    pub server: String,
    /// How the connection is protected.
    #[serde(default)]
    pub security: MailSecurity,
    /// Sender.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
    /// User to log in as.
    pub user: Option<String>,
    /// A file with the user's password.
    pub password_file: Option<PathBuf>,
    /// A file with certificates to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// By STARTTLS, which the server must have.
    #[default]
    Starttls,
    /// By TLS from the first byte.
    Tls,
    /// Not at all.
    None,
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
