//! What is wrong with an old archive.

use std::path::PathBuf;

use crate::json::{self, UnknownField};

/// An archive, or a run in it, that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refuses.
    #[error("cannot read {}", path.display())]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Nothing in it looks like an archive.
    #[error("{} holds no archive of histories that is known here", path.display())]
    Unknown {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is no JSON, or not of the form that the server writes.
    #[error("cannot understand the JSON of {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where.
        #[source]
        source: serde_json::Error,
    },
    /// An event that is no protobuf of Temporal's.
    #[error("cannot understand the events of {}", path.display())]
    Events {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: json::Error,
    },
    /// Fields of a newer server, which would be lost.
    #[error("{} has fields that this program does not know: {}", path.display(), list(fields))]
    UnknownFields {
        /// The file.
        path: PathBuf,
        /// Message types and numbers.
        fields: Vec<UnknownField>,
    },
    /// A history with something missing.
    #[error("the history in {} {problem}", path.display())]
    History {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Error {
    /// The file or folder that is wrong; `None` when nothing is wrong but the way to it.
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Io { .. } | Self::Unknown { .. } => None,
            Self::Json { path, .. }
            | Self::Events { path, .. }
            | Self::UnknownFields { path, .. }
            | Self::History { path, .. } => Some(path),
        }
    }

    /// What mends it, when anything is known to.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } => Some(
                "name the folder with the files of a Temporal Cloud export, with the .history \
                 files of a server, or a copy of its bucket from NAMESPACE_ID/history on",
            ),
            Self::UnknownFields { .. } => Some("use a newer release of aidp-backup"),
            Self::History { .. } | Self::Json { .. } | Self::Events { .. } => {
                Some("copy it again from where it comes from")
            }
            Self::Io { .. } => None,
        }
    }
}

fn list(fields: &[UnknownField]) -> String {
    let names: Vec<_> =
        fields.iter().map(|field| format!("{} of {}", field.number, field.message)).collect();
    names.join(", ")
}
