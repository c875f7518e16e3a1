//! A run in a list, and what is missing from one.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use temporal::segment::Summary;

use super::old::OldRun;
use crate::Damage;

/// A run that was found.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Listed {
    /// In the archive.
    Archived(Box<Summary>),
    /// In an archive that somebody else has written.
    Old(Box<OldRun>),
}

impl Listed {
    /// What is known of it; texts that are not known are empty.
    pub fn summary(&self) -> Cow<'_, Summary> {
        match self {
            Self::Archived(summary) => Cow::Borrowed(summary),
            Self::Old(run) => Cow::Owned(run.summary()),
        }
    }
}

/// Something that cannot be read; runs in it are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The object, or the file.
    pub key: String,
    /// What is wrong with it, to follow its name: `is missing`.
    pub what: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.what)
    }
}

impl From<Damage> for Lost {
    fn from(damage: Damage) -> Self {
        Self { key: damage.key.to_string(), what: damage.what }
    }
}
