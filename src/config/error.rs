//! What can be wrong with a configuration.

use std::path::PathBuf;

use retention::{PolicyError, ZoneError};

use crate::serve::schedule::ScheduleError;

/// A configuration that cannot be used; exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration file is not what it should be. The text of the offending line is
    /// left out on purpose: it may hold a password.
    #[error("{}, line {line}: {what}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Nobody said where backups are kept.
    #[error("no store is configured")]
    NoStore,
    /// A label that cannot be one.
    #[error("{name:?} cannot name a source")]
    Source {
        /// The label.
        name: String,
    },
    /// A `[[database]]` without a URL, or with two.
    #[error("[[database]] number {number} needs either url or url_file")]
    DatabaseEntry {
        /// Which, from 1.
        number: usize,
    },
    /// A password where every user of the machine can read it.
    #[error("{flag} holds a password, which other users of this machine can see")]
    PasswordInArguments {
        /// The flag.
        flag: &'static str,
        /// The variable that may hold it.
        variable: &'static str,
    },
    /// A connection text that makes no sense.
    #[error(transparent)]
    Connection(postgres::Error),
    /// A file that should hold a secret and holds nothing.
    #[error("{} is empty", path.display())]
    EmptySecret {
        /// The file.
        path: PathBuf,
    },
    /// A file that should hold one line and holds several.
    #[error("{} holds more than one line", path.display())]
    ManyLines {
        /// The file.
        path: PathBuf,
    },
    /// Too many or no workers.
    #[error("jobs must lie between 1 and {most}, not {number}")]
    Jobs {
        /// What was asked for.
        number: u16,
        /// The limit.
        most: u16,
    },
    /// An unknown compression or level.
    #[error("cannot compress with {text:?}")]
    Compress {
        /// What was asked for.
        text: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Options that exclude each other.
    #[error("{what}")]
    Conflict {
        /// What excludes what.
        what: &'static str,
        /// What mends it.
        hint: &'static str,
    },
    /// Too many or no calls to Temporal.
    #[error("calls to Temporal must be at least 1 a second, and 1 to 256 in flight")]
    Limits,
    /// An HTTP client that cannot be made.
    #[error("cannot ask a codec server")]
    CodecServer {
        /// Why.
        source: reqwest::Error,
    },
    /// Settings of Temporal that make no sense.
    #[error(transparent)]
    Temporal(Box<temporal::Error>),
    /// A namespace without a name.
    #[error("a namespace to archive has no name")]
    Namespace,
    /// A schedule that makes no sense.
    #[error("cannot run {job} by its schedule")]
    Schedule {
        /// Which job's.
        job: &'static str,
        /// Why.
        #[source]
        source: ScheduleError,
    },
    /// An address to tell somebody at that is none, or is given twice. Not shown: it is a secret.
    #[error(
        "[notify] {name} needs one http:// or https:// address, as {name}_url or {name}_url_file"
    )]
    Address {
        /// Whose.
        name: &'static str,
    },
    /// Mail cannot be sent so.
    #[error("[notify.mail] cannot be used: {what}")]
    Mail {
        /// Why.
        what: String,
    },
    /// A token that could be guessed.
    #[error("the token has {length} characters, less than {least}")]
    Token {
        /// How long it is.
        length: usize,
        /// How long it must be.
        least: usize,
    },
    /// Retention rules that make no sense.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A time zone that does not exist.
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

impl ConfigError {
    /// From the parser's error, without the text of the file.
    pub fn parse(path: PathBuf, text: &str, error: &toml::de::Error) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        Self::Parse { path, line, what: error.message().trim().replace('\n', ", ") }
    }

    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } => "check the path and who may read it".into(),
            Self::Parse { .. } => "`aidp-backup config example` shows every option".into(),
            Self::NoStore => "give --store URL, set AIDP_BACKUP_STORE, or write store = \"…\" in \
                              the configuration file"
                .into(),
            Self::Source { .. } => {
                "use up to 100 letters, digits, dots, dashes and underscores".into()
            }
            Self::PasswordInArguments { variable, .. } => format!(
                "leave the password out and put it into PGPASSFILE (~/.pgpass), or give the whole \
                 URL in {variable} or in the file that {variable}_FILE names"
            ),
            Self::Connection(error) => return error.hint(),
            Self::EmptySecret { .. } => "write the URL into it, on one line".into(),
            Self::ManyLines { .. } => "write one URL into it, on one line".into(),
            Self::Compress { .. } => {
                "use zstd, gzip, lz4 or none, with a level if you like: zstd:3".into()
            }
            Self::Conflict { hint, .. } => (*hint).into(),
            Self::Schedule { .. } => {
                "write minute hour day month weekday, such as `0 2 * * *`, or \
                                      off; weekdays are 0 to 7 or SUN to SAT"
                    .into()
            }
            Self::Token { .. } => "make one with `openssl rand -hex 32`".into(),
            Self::Policy(error) => error.hint(),
            Self::Zone(_) => "use an IANA name such as UTC or Europe/Berlin".into(),
            Self::Limits => {
                "leave --history-rate and --history-concurrency out for 1000 and 16".into()
            }
            Self::CodecServer { .. } => return None,
            Self::Temporal(error) => return error.hint(),
            Self::Namespace => "`*` means all of them".into(),
            Self::Mail { .. } => "`aidp-backup config example` shows the section".into(),
            Self::DatabaseEntry { .. } | Self::Jobs { .. } | Self::Address { .. } => return None,
        })
    }
}
