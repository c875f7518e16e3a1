//! What can keep a real server from being had or from running.

use std::fmt;
use std::path::PathBuf;

/// A part that cannot be installed, or a server that does not do what it should.
///
/// `Debug` prints what a person needs (the message, its causes, the hint), because a test's
/// `unwrap` shows nothing else.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This machine is not one that the pinned parts were built for.
    #[error("the pinned servers are built for Linux on x86-64, not for {os} on {arch}")]
    Platform {
        /// Operating system of this build.
        os: &'static str,
        /// Architecture of this build.
        arch: &'static str,
    },
    /// A program that installs or drives a part is not on this machine.
    #[error("{program} is needed for {purpose} and was not found")]
    Missing {
        /// Name of the program.
        program: String,
        /// What it would have been used for.
        purpose: String,
        /// How to get it.
        hint: String,
    },
    /// A part could not be installed.
    #[error("{title} failed")]
    Install {
        /// What was being done, such as `installing … from npm`.
        title: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// A command ended with an error.
    #[error("{doing} failed: {command} ended with {status}\n{output}")]
    Command {
        /// What it was run for.
        doing: String,
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines that it printed.
        output: String,
    },
    /// A server did not come up, or fell over.
    #[error("{server} {what}\n{log}")]
    Server {
        /// Which server.
        server: String,
        /// What happened.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// A server answered something else than expected.
    #[error("{server} answered {answer} to {request}")]
    Answer {
        /// Which server.
        server: String,
        /// What was asked.
        request: String,
        /// What it said.
        answer: String,
    },
    /// The file system or a socket refused.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The cache cannot be used as it is.
    #[error("cache folder {} {what}", path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Something that should be equal is not.
    #[error("not as it should be: {what}")]
    Unlike {
        /// What, and how it differs.
        what: String,
    },
    /// No such part.
    #[error("there is no {wanted}; there are {known}")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// What could be asked for.
        known: String,
    },
}

impl Error {
    /// What mends it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { hint, .. } => Some(hint.clone()),
            Self::Cache { .. } => Some(format!(
                "name a folder that every user may enter with {}",
                crate::cache::CACHE_VARIABLE
            )),
            Self::Install { source, .. } => source.hint().or_else(|| {
                Some(
                "parts come from PyPI, npm, the Go module proxy and Debian: see that this machine \
                 reaches them (a proxy or mirror is taken from the tools' own settings)"
                    .to_owned(),
            )
            }),
            _ => None,
        }
    }

    /// Wraps an I/O error with what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        match self.hint() {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}
