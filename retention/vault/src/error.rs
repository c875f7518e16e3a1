//! What goes wrong: a refusing store, a manifest that cannot be used, a lease in other hands.

use chrono::{DateTime, Utc};

use crate::manifest::ManifestError;

/// Why a store refused, in classes that decide what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// No such object.
    NotFound,
    /// The key is taken.
    AlreadyExists,
    /// Credentials missing, wrong or not sufficient; a lock forbids it.
    Denied,
    /// No room left.
    Full,
    /// The store does not answer, is throttling or cut the connection: worth another try.
    Unavailable,
    /// The content read or written is not what it should be.
    Corrupt,
    /// The store, its address or its settings make no sense.
    Invalid,
    /// Anything else.
    Other,
}

/// A cause, whatever its type.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A failed call to a store.
#[derive(Debug, thiserror::Error)]
#[error("{action} in {store}")]
pub struct StoreError {
    /// Class.
    pub kind: StoreErrorKind,
    /// What was being done and to what, such as `cannot write exports/x/toc.dat`.
    pub action: String,
    /// [`Store::describe`](crate::Store::describe) of the store.
    pub store: String,
    /// What mends it.
    pub hint: Option<String>,
    /// The cause.
    #[source]
    pub source: Option<Cause>,
}

impl StoreError {
    /// A failure without cause or hint.
    pub fn new(kind: StoreErrorKind, action: impl Into<String>, store: impl Into<String>) -> Self {
        Self { kind, action: action.into(), store: store.into(), hint: None, source: None }
    }

    /// Says what mends it.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Attaches the cause.
    pub fn with_source(mut self, source: impl Into<Cause>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What mends it, when anything is known to.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Whether trying the same call again may succeed.
    pub fn is_transient(&self) -> bool {
        self.kind == StoreErrorKind::Unavailable
    }
}

/// A failure of the catalogue or the lease.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored manifest cannot be used.
    #[error("cannot use {key} in {store}")]
    Manifest {
        /// Its key.
        key: String,
        /// [`Store::describe`](crate::Store::describe) of the store.
        store: String,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// A backup that is not there.
    #[error("there is no backup {wanted:?} in {store}")]
    UnknownBackup {
        /// What was asked for.
        wanted: String,
        /// The store.
        store: String,
    },
    /// `latest` of nothing.
    #[error("there is no backup in {store} yet")]
    NoBackup {
        /// The store.
        store: String,
    },
    /// A prefix that fits several backups.
    #[error("{prefix:?} fits {} backups: {}", matches.len(), first_few(matches))]
    AmbiguousBackup {
        /// What was asked for.
        prefix: String,
        /// The backups, oldest first.
        matches: Vec<String>,
    },
    /// What other backups need is unknown, so nothing may be removed.
    #[error("cannot tell which objects are still needed: unreadable are {}", first_few(keys))]
    NeedUnknown {
        /// Keys of the manifests that cannot be read.
        keys: Vec<String>,
        /// Why the first of them cannot.
        #[source]
        source: Box<Error>,
    },
    /// Another run is at work.
    #[error("the lease {name} of {store} is held by {holder}{}", since(acquired))]
    LeaseHeld {
        /// The lease.
        name: String,
        /// The store.
        store: String,
        /// Host and process.
        holder: String,
        /// Since when, by its clock.
        acquired: Option<DateTime<Utc>>,
    },
    /// This run held the lease and holds it no more.
    #[error("the lease {name} of {store} is lost: {reason}")]
    LeaseLost {
        /// The lease.
        name: String,
        /// The store.
        store: String,
        /// How it came to light.
        reason: String,
    },
    /// Told to stop while waiting for the lease.
    #[error("interrupted while waiting for the lease {name}")]
    Interrupted {
        /// The lease.
        name: String,
    },
}

impl Error {
    /// What mends it, when anything is known to.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Manifest { source, .. } => source.hint(),
            Self::UnknownBackup { .. } => Some("`aidp-backup list` shows what is kept"),
            Self::NoBackup { .. } => Some("`aidp-backup now export` makes one"),
            Self::AmbiguousBackup { .. } => Some("give more of the identity"),
            Self::NeedUnknown { .. } => Some(
                "restore the manifests from a copy of the store, or, when their backups are \
                 given up, delete these objects; nothing else is removed before",
            ),
            Self::LeaseHeld { .. } => {
                Some("wait for that run; the lease of a dead one is taken over within a minute")
            }
            Self::LeaseLost { .. } => Some(
                "this machine was paused or cut off for too long, and another run may have begun; \
                 run again",
            ),
            Self::Interrupted { .. } => None,
        }
    }
}

fn first_few(names: &[String]) -> String {
    match names.split_at_checked(3) {
        Some((first, rest)) if !rest.is_empty() => {
            format!("{} and {} more", first.join(", "), rest.len())
        }
        _ => names.join(", "),
    }
}

fn since(acquired: &Option<DateTime<Utc>>) -> String {
    match acquired {
        Some(time) => format!(" since {}", time.format("%Y-%m-%dT%H:%M:%SZ")),
        None => String::new(),
    }
}
