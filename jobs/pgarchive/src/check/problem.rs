//! What can be wrong with the structure of an archive.

use crate::DumpId;

/// One thing that does not fit. `Display` is a message for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// One of the entries that every archive has is not there.
    #[error("entry {class} is missing")]
    NoEntry {
        /// Class of the entry.
        class: &'static str,
    },
    /// Two entries have one number.
    #[error("entry {entry} has the number of another entry")]
    DuplicateId {
        /// The second of them.
        entry: String,
    },
    /// An entry waits for one that is not there. See [`is_damage`](Self::is_damage).
    #[error("entry {entry} depends on entry {dependency}, which is missing")]
    MissingDependency {
        /// The entry that waits.
        entry: String,
        /// What it waits for.
        dependency: DumpId,
    },
    /// Entries wait for each other.
    #[error("entry {entry} depends on itself, by way of {others} others")]
    Cycle {
        /// The first of them.
        entry: String,
        /// How many more cannot be restored.
        others: usize,
    },
    /// Part of a table's rows would be restored before a parallel restore truncates the table.
    #[error("entry {entry} holds a part of a table's rows but depends on other entries")]
    ChunkWithDependencies {
        /// The entry with the rows.
        entry: String,
    },
    /// A parallel restore would not wait for all of a table's rows.
    #[error("entry {entry} needs all rows of a table but does not wait for entry {chunk}")]
    ChunkNotAwaited {
        /// The entry that needs them.
        entry: String,
        /// The entry with a part of the rows.
        chunk: DumpId,
    },
    /// An entry has data but names no file.
    #[error("entry {entry} has data but no file")]
    DataWithoutFile {
        /// The entry.
        entry: String,
    },
    /// An entry names a file but has no data.
    #[error("entry {entry} has no data but names file {file:?}")]
    FileWithoutData {
        /// The entry.
        entry: String,
        /// The file.
        file: String,
    },
    /// A file name that leads elsewhere.
    #[error("{entry} names file {file:?}, which is not a plain name")]
    UnsafeName {
        /// The entry or large object.
        entry: String,
        /// The name.
        file: String,
    },
    /// Two entries name one file.
    #[error("{entry} names file {file:?}, which belongs to another entry")]
    SharedFile {
        /// The second entry or large object.
        entry: String,
        /// The file.
        file: String,
    },
    /// A file that is named is not there.
    #[error("file {file:?} of {entry} is missing")]
    MissingFile {
        /// The entry or large object.
        entry: String,
        /// The file, without the compression's suffix.
        file: String,
    },
    /// A file is there in several compressions: which one counts depends on the reader.
    #[error("one file is stored several times: {}", .files.join(", "))]
    SeveralFiles {
        /// The stored files.
        files: Vec<String>,
    },
    /// A compressed file without content.
    #[error("file {file:?} is empty")]
    EmptyFile {
        /// The stored file.
        file: String,
    },
    /// A file that nothing in the archive names.
    #[error("file {file:?} belongs to no entry")]
    StrayFile {
        /// The stored file.
        file: String,
    },
    /// A list of large objects that cannot be read.
    #[error("line {line} of {list:?} is not an OID and a file name")]
    ListDamaged {
        /// The stored list.
        list: String,
        /// Number of the line, from 1.
        line: usize,
    },
}

impl Problem {
    /// Whether the archive is not as it was written.
    ///
    /// A dependency that leads nowhere is not: `pg_dump` leaves some behind, on tables it was
    /// told to leave out and on the boundaries that it sorts by, and every reader passes over
    /// them. In an archive of our own it is a defect worth a word.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::MissingDependency { .. })
    }
}
