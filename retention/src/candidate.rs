//! What retention is told of a backup.

use chrono::{DateTime, Utc};

/// How a backup's table data is written; sizes compare only between equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Every table as text `COPY`.
    Text,
    /// Every table as binary `COPY`.
    Binary,
    /// Some of each (the choice per table depends on its columns alone), or nothing at all.
    Mixed,
}

/// One backup that may be kept or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Identity.
    pub id: String,
    /// Backups of one group replace each other.
    pub group: String,
    /// The point in time it stands for.
    pub time: DateTime<Utc>,
    /// Whether everything that was asked for is in it.
    pub whole: bool,
    /// Rows of all tables.
    pub rows: u64,
    /// Uncompressed bytes of all table data.
    pub bytes: u64,
    /// What `bytes` counts.
    pub encoding: Encoding,
    /// Whether an operator has said that its size is right (see [`Shrink`](crate::Shrink)).
    pub accepted: bool,
    /// Whether it was restored in a drill and found to be right.
    pub drilled: bool,
}
