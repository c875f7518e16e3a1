//! What can end a job, and how bad that is.

use std::error::Error as StdError;

use pgarchive::StreamError;
use retention::PolicyError;
use vault::StoreErrorKind;

use crate::Damage;

/// How a job ended, in classes that scripts tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Everything was done.
    Done,
    /// Some source failed, the others are kept.
    PartDone,
    /// Nothing was done.
    Failed,
    /// A source has no good backup that is young enough.
    Overdue,
    /// What was asked for makes no sense.
    Refused,
    /// A backup is damaged.
    Damaged,
    /// Another run holds the lease.
    LeaseHeld,
}

/// A job that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store, the catalogue or the lease failed.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// A database failed.
    #[error("cannot {doing} database {database:?}")]
    Database {
        /// `export` or `restore`.
        doing: &'static str,
        /// Its name.
        database: String,
        /// Why.
        #[source]
        source: Box<postgres::Error>,
    },
    /// Temporal failed.
    #[error(transparent)]
    Temporal(Box<temporal::Error>),
    /// A segment of archived histories, or its index, cannot be written or read.
    #[error("cannot use {key}")]
    Segment {
        /// The object.
        key: vault::Key,
        /// Why.
        #[source]
        source: Box<temporal::segment::Error>,
    },
    /// Every database of an export failed; each was named in a message of its own.
    #[error("no database could be exported, {count} failed; the first")]
    AllFailed {
        /// How many.
        count: usize,
        /// Why the first did.
        #[source]
        first: Box<Error>,
    },
    /// Stored objects are not what the manifest says.
    #[error("backup {id} is damaged: {}", several(damage))]
    Damaged {
        /// The backup.
        id: String,
        /// Everything that was found, at least one.
        damage: Vec<Damage>,
    },
    /// What was asked for may be in what cannot be read.
    #[error("the archive cannot be read whole: {}", several(damage))]
    Unreadable {
        /// Everything that was found, at least one.
        damage: Vec<crate::history::Lost>,
    },
    /// An archive that somebody else has written cannot be read.
    #[error(transparent)]
    Old(temporal::foreign::Error),
    /// The archive that was just written does not read back.
    #[error("what was stored does not read back as it was written: {}", several(damage))]
    ReadBack {
        /// Everything that was found, at least one.
        damage: Vec<Damage>,
    },
    /// The report of a drill is not what was written, or not by whom it should be.
    #[error("{} is no good evidence", path.display())]
    Report {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: crate::drill::ReportError,
    },
    /// What was asked for makes no sense.
    #[error("{what}")]
    Refused {
        /// What and why.
        what: String,
        /// What mends it.
        hint: String,
    },
    /// The retention rules make no sense.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A local file or folder failed.
    #[error("cannot {doing} {}", path.display())]
    Local {
        /// `create`, `write`, `sync`.
        doing: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An archive's file failed on its way.
    #[error("cannot read {file}")]
    Stream {
        /// The object.
        file: String,
        /// The store's or the format's own error.
        #[source]
        source: StreamError,
    },
    /// A task of the program ended in a panic.
    #[error("the program has a fault: a task of {doing} ended unexpectedly")]
    Task {
        /// What it was doing.
        doing: &'static str,
        /// The panic.
        #[source]
        source: tokio::task::JoinError,
    },
    /// The run was told to stop.
    #[error("stopped on request")]
    Cancelled,
}

impl Error {
    /// From an error of the database side; what lies in it of the store's or of damage comes
    /// to the surface.
    pub fn database(doing: &'static str, database: &str, source: postgres::Error) -> Self {
        match source {
            postgres::Error::Cancelled => Self::Cancelled,
            source => {
                Self::Database { doing, database: database.to_owned(), source: Box::new(source) }
            }
        }
    }

    /// From an error of Temporal's side.
    pub(crate) fn temporal(source: temporal::Error) -> Self {
        Self::Temporal(Box::new(source))
    }

    /// From an error of a segment or an index.
    pub(crate) fn segment(key: &vault::Key, source: temporal::segment::Error) -> Self {
        use temporal::segment::Error as Segment;
        match source {
            // The store's own words say more.
            Segment::Sink(error) | Segment::Source(error) => {
                match error.downcast::<vault::StoreError>() {
                    Ok(error) => Self::Vault((*error).into()),
                    Err(source) => Self::Stream { file: key.to_string(), source },
                }
            }
            source => Self::Segment { key: key.clone(), source: Box::new(source) },
        }
    }

    /// From damage of one object.
    pub(crate) fn object(damage: Damage) -> Self {
        Self::Stream { file: damage.key.to_string(), source: damage.into() }
    }

    /// The damage that it is, or itself when it is something else.
    pub(crate) fn into_damage(self) -> Result<Damage, Self> {
        if let Some(damage) = causes(&self).find_map(|cause| cause.downcast_ref::<Damage>()) {
            return Ok(damage.clone());
        }
        match &self {
            Self::Segment { key, source } if source.is_damage() => {
                Ok(Damage::new(key, format!("cannot be read whole ({})", chain(&**source))))
            }
            _ => Err(self),
        }
    }

    /// Whether it is the store or the lease that failed, so that trying the next database is of
    /// no use.
    pub(crate) fn is_of_the_store(&self) -> bool {
        matches!(self, Self::Vault(_)) || self.store().is_some()
    }

    /// Damage somewhere among the causes.
    fn damage(&self) -> bool {
        // What cannot be decoded while it is restored was decoded when it was exported.
        let decoded = matches!(self, Self::Database { doing: "restore", .. });
        causes(self).any(|cause| cause.is::<Damage>() || decoded && cause.is::<pgarchive::Error>())
    }

    /// The store's error among the causes.
    fn store(&self) -> Option<&vault::StoreError> {
        match self {
            // Transparent errors do not show up among the causes.
            Self::Vault(vault::Error::Store(error)) => Some(error),
            error => causes(error).find_map(|cause| cause.downcast_ref()),
        }
    }

    /// How bad it is.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Vault(vault::Error::LeaseHeld { .. }) => Verdict::LeaseHeld,
            Self::Vault(vault::Error::Manifest { source, .. }) => match source {
                vault::manifest::ManifestError::Newer { .. } => Verdict::Failed,
                _ => Verdict::Damaged,
            },
            Self::Vault(
                vault::Error::UnknownBackup { .. } | vault::Error::AmbiguousBackup { .. },
            )
            | Self::Refused { .. }
            | Self::Policy(_) => Verdict::Refused,
            Self::Database { source, .. }
                if matches!(**source, postgres::Error::Settings { .. }) =>
            {
                Verdict::Refused
            }
            Self::Report { source: crate::drill::ReportError::Form { .. }, .. } => Verdict::Failed,
            Self::Damaged { .. } | Self::Unreadable { .. } | Self::Report { .. } => {
                Verdict::Damaged
            }
            Self::Temporal(error) if matches!(**error, temporal::Error::Config { .. }) => {
                Verdict::Refused
            }
            Self::Old(temporal::foreign::Error::Unknown { .. }) => Verdict::Refused,
            Self::Old(temporal::foreign::Error::Io { .. }) => Verdict::Failed,
            Self::Old(_) => Verdict::Damaged,
            Self::Segment { source, .. } if source.is_damage() => Verdict::Damaged,
            Self::AllFailed { first, .. } => match first.verdict() {
                Verdict::Refused => Verdict::Refused,
                _ => Verdict::Failed,
            },
            _ if self.damage() => Verdict::Damaged,
            _ if self.store().is_some_and(|e| e.kind == StoreErrorKind::Invalid) => {
                Verdict::Refused
            }
            _ => Verdict::Failed,
        }
    }

    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        let own = match self {
            Self::Vault(error) => error.hint().map(str::to_owned),
            Self::Database { source, .. } => source.hint(),
            Self::Temporal(error) => error.hint(),
            Self::Old(error) => error.hint().map(str::to_owned),
            Self::Segment { source, .. } => source.hint().map(str::to_owned),
            Self::AllFailed { first, .. } => first.hint(),
            Self::Policy(error) => Some(error.hint()),
            Self::Refused { hint, .. } => Some(hint.clone()),
            Self::Damaged { .. } => Some(
                "this backup cannot be trusted: use another one (`aidp-backup list`), and look \
                 after the store's disks"
                    .into(),
            ),
            Self::Unreadable { .. } => Some(
                "restore what is named from a copy of the store; `aidp-backup verify --all` names \
                 all damage"
                    .into(),
            ),
            Self::ReadBack { .. } => {
                Some("nothing was published; look after the store's disks and run again".into())
            }
            Self::Report { .. } => Some(
                "take the document from the store again; evidence that others can change is \
                 signed with --signing-key-file"
                    .into(),
            ),
            Self::Task { .. } => Some("please report this, with the messages before it".into()),
            Self::Local { .. } | Self::Stream { .. } | Self::Cancelled => None,
        };
        own.or_else(|| self.store().and_then(|error| error.hint().map(str::to_owned))).or_else(
            || {
                self.damage().then(|| {
                    "`aidp-backup verify` names everything that is damaged; use another backup"
                        .into()
                })
            },
        )
    }
}

/// The first few of several.
fn several(damage: &[impl ToString]) -> String {
    let named: Vec<String> = damage.iter().take(3).map(ToString::to_string).collect();
    match damage.len().saturating_sub(named.len()) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Any error, as [`StdError::source`] gives it.
type Cause<'a> = &'a (dyn StdError + 'static);

/// An error and its causes, outermost first.
fn causes<'a>(error: Cause<'a>) -> impl Iterator<Item = Cause<'a>> {
    std::iter::successors(Some(error), |error: &Cause<'a>| StdError::source(*error))
}

/// An error with its causes on one line: `what: why: why that`. A cause that the text before
/// it already holds is not repeated.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let server = postgres::server_message(cause);
        let last = server.is_some();
        let cause = server.unwrap_or_else(|| cause.to_string());
        let cause = cause.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            text = cause;
        } else if !cause.is_empty() && !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        if last {
            // Beneath the server's words there are only the driver's about them.
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Link(&'static str, #[source] Option<Box<Link>>);

    #[test]
    fn a_chain_is_one_line_and_repeats_nothing() {
        let error = Link(
            "cannot write",
            Some(Box::new(Link("disk\n is full", Some(Box::new(Link("is full", None)))))),
        );
        assert_eq!(chain(&error), "cannot write: disk is full");
    }

    #[test]
    fn damage_met_while_restoring_is_damage_and_not_a_plain_failure() {
        let key = vault::Key::new("exports/x/d/1.dat").unwrap();
        let error = Error::database(
            "restore",
            "d",
            postgres::Error::File {
                doing: "read",
                file: "1.dat".into(),
                source: Damage::new(&key, "is missing").into(),
            },
        );
        assert_eq!(error.verdict(), Verdict::Damaged);
        assert_eq!(
            chain(&error),
            "cannot restore database \"d\": cannot read 1.dat: object exports/x/d/1.dat is missing"
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_store_that_refuses_within_a_stream_gives_its_hint() {
        let full = vault::StoreError::new(StoreErrorKind::Full, "cannot write x", "/backups")
            .with_hint("make room");
        let error = Error::database(
            "export",
            "d",
            postgres::Error::File { doing: "write", file: "1.dat".into(), source: full.into() },
        );
        assert_eq!(error.verdict(), Verdict::Failed);
        assert_eq!(error.hint().as_deref(), Some("make room"));
    }
}
