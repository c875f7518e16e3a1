//! The manifest: immutable JSON whose publication is the commit of a backup.
//!
//! Format version 1, described in `docs/formats/manifest.md`. A reader accepts every version
//! up to its own and refuses newer ones by number. Unknown fields are refused within a known
//! version.

mod check;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::Key;
use crate::document::{self, Document};

pub use crate::document::{MAX_BYTES, ManifestError};
pub use check::is_id;

/// Newest format this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// Where the manifests of exports are.
pub const PREFIX: &str = "manifests/exports/";

/// One published backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format.
    pub format_version: u32,
    /// Identity, sortable by time: `20261123T020000Z-3fa9c1`.
    pub id: String,
    /// What kind of backup.
    pub kind: Kind,
    /// Backups of one group replace each other in time; retention works per group.
    pub group: String,
    /// Version of the program that wrote it.
    pub program_version: String,
    /// Host it was written on.
    pub host: String,
    /// What was asked for; exports of different selections do not replace each other.
    pub selection: Selection,
    /// When the run began.
    pub started: DateTime<Utc>,
    /// When everything was stored and read back.
    pub finished: DateTime<Utc>,
    /// What was asked for but is not in this backup, with the reason; empty for a whole one.
    pub failed: Vec<FailedSource>,
    /// The databases in it.
    pub databases: Vec<Database>,
    /// Milliseconds between the first and the last snapshot of the run.
    pub snapshot_skew_ms: u64,
    /// Every object of this backup, by full key in the store, in key order.
    pub objects: Vec<Object>,
}

impl Manifest {
    /// A new identity: the time to the second, a hyphen, then in hexadecimal 12 bits of the
    /// second's fraction, so that runs in one second sort too, and 12 bits of `random`.
    pub fn new_id(now: DateTime<Utc>, random: u32) -> String {
        let fraction =
            u64::from(now.timestamp_subsec_nanos().min(999_999_999)) * 4096 / 1_000_000_000;
        format!("{}-{fraction:03x}{:03x}", now.format("%Y%m%dT%H%M%SZ"), random & 0xfff)
    }

    /// Where the manifest of backup `id` is stored; `None` when `id` is no identity.
    pub fn key(id: &str) -> Option<Key> {
        if is_id(id) { Key::new(format!("{PREFIX}{id}.json")).ok() } else { None }
    }

    /// The document to store.
    pub fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        document::encode(self)
    }

    /// The manifest in a stored document.
    pub fn decode(document: &[u8]) -> Result<Self, ManifestError> {
        document::decode(document)
    }

    /// Bytes of all its objects.
    pub fn stored_bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.size).fold(0, u64::saturating_add)
    }

    /// Rows of all tables of all databases.
    pub fn rows(&self) -> u64 {
        let tables = self.databases.iter().flat_map(|database| &database.tables);
        tables.map(|table| table.rows).fold(0, u64::saturating_add)
    }
}

impl Document for Manifest {
    const FORMAT_VERSION: u32 = FORMAT_VERSION;

    fn format_version(&self) -> u32 {
        self.format_version
    }

    fn check(&self) -> Result<(), ManifestError> {
        self.refuse_contradictions()
    }
}

/// Kind of backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Databases.
    Export,
}

/// What of each database was asked for, in `pg_dump`'s terms; the default is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selection {
    /// `--schema-only`.
    pub schema_only: bool,
    /// `--table` patterns; none means all.
    pub tables: Vec<String>,
    /// `--exclude-table` patterns.
    pub exclude_tables: Vec<String>,
    /// `--exclude-table-data` patterns.
    pub exclude_table_data: Vec<String>,
}

impl Selection {
    /// Whether nothing was left out on request.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// A source that failed while others were kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailedSource {
    /// Database name.
    pub name: String,
    /// What happened, one line.
    pub error: String,
}

/// One stored object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object {
    /// Full key in the store.
    pub key: Key,
    /// Bytes.
    pub size: u64,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// One exported database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Database {
    /// Name.
    pub name: String,
    /// `directory` or `plain`.
    pub format: String,
    /// `none`, `gzip`, `lz4` or `zstd`.
    pub compression: String,
    /// Key prefix of the archive (`.../temporal/`), or the key of the plain file.
    pub location: String,
    /// `server_version`.
    pub server_version: String,
    /// `server_version_num`.
    pub server_version_num: i32,
    /// Cluster's system identifier, where it may be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_identifier: Option<String>,
    /// Server's encoding name.
    pub encoding: String,
    /// When the snapshot was taken, by the database's clock.
    pub snapshot_time: DateTime<Utc>,
    /// `pg_current_wal_lsn()`, or the replay LSN on a standby.
    pub snapshot_lsn: String,
    /// Objects of each class.
    pub object_counts: BTreeMap<String, u64>,
    /// Tables whose rows are in it, in archive order.
    pub tables: Vec<Table>,
    /// Number of large objects.
    pub large_objects: u64,
    /// Uncompressed bytes of all table data.
    pub data_bytes: u64,
    /// What was left out on purpose (`--exclude-table-data`, unlogged on a standby), by name.
    pub left_out: Vec<String>,
}

/// One table's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Table {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
    /// `text` or `binary`.
    pub data: String,
    /// Rows.
    pub rows: u64,
    /// Uncompressed bytes of COPY data.
    pub bytes: u64,
    /// Digest of the rows whatever their order and encoding in files, as `name:hex`
    /// (`xxh3-128-sum:…`), where it was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Parts, in ctid order; one for a table that was not split. Empty when nothing is stored
    /// apart (plain format).
    pub chunks: Vec<Chunk>,
}

/// One data file of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chunk {
    /// File name in the archive, with the compression's suffix.
    pub file: String,
    /// Rows.
    pub rows: u64,
    /// Uncompressed bytes.
    pub bytes: u64,
    /// Digest of its rows, like [`Table::digest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}
