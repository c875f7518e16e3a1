//! What can end a command.

use std::io;

use jobs::Verdict;

use crate::config::ConfigError;
use crate::exit::Exit;
use crate::history::payload::CodecError;
use crate::serve::ServeError;

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The job failed.
    #[error(transparent)]
    Job(#[from] jobs::Error),
    /// Payloads could not be decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The sidecar does not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Nobody could be told.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// The program could not be set up.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
}

impl CommandError {
    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Job(error) => error.hint(),
            Self::Codec(error) => error.hint(),
            Self::Serve(error) => error.hint(),
            Self::Output(_) | Self::Runtime(_) => None,
        }
    }

    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) => Exit::Usage,
            Self::Job(error) => error.verdict().into(),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Serve(_) | Self::Codec(_) | Self::Output(_) | Self::Runtime(_) => Exit::Failed,
        }
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Done => Self::Done,
            Verdict::Failed | Verdict::Overdue => Self::Failed,
            Verdict::Refused => Self::Usage,
            Verdict::PartDone => Self::PartDone,
            Verdict::Damaged => Self::Damaged,
            Verdict::LeaseHeld => Self::LeaseHeld,
        }
    }
}
