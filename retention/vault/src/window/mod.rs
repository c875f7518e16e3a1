//! Windows of archived histories: their manifests, and what of them is kept.
//!
//! A window is an interval of close times of one namespace, archived whole or not at all. Its
//! manifest is the commit, as a backup's is; the published windows together are the only
//! checkpoint. Format version 1, described in `docs/formats/histories.md`.

mod catalogue;
mod check;
mod id;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::document::{self, Document};
use crate::manifest::{ManifestError, Object};
use crate::{Damaged, Key};

pub use catalogue::{Reference, Removed, Swept, Windows};
pub use id::WindowId;

/// Newest format this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// Where the manifests of windows are.
pub const PREFIX: &str = "manifests/histories/";

/// Where their segments are.
pub const OBJECTS: &str = "histories/";

/// One published window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// Version of this format.
    pub format_version: u32,
    /// Identity; also tells when its runs closed.
    pub id: WindowId,
    /// What kind of manifest.
    pub kind: Kind,
    /// The namespace.
    pub namespace: Namespace,
    /// The visibility query that it was restricted to; empty for everything. Windows of other
    /// restrictions do not count as covered.
    pub filter: String,
    /// The day (UTC) on which all its runs closed; none when it has no runs.
    pub day: Option<NaiveDate>,
    /// The intervals of close time that it covers, in order and apart from each other.
    pub covers: Vec<Cover>,
    /// Version of the program that wrote it.
    pub program_version: String,
    /// Host it was written on.
    pub host: String,
    /// When the archiving of it began.
    pub started: DateTime<Utc>,
    /// When everything was stored and read back.
    pub finished: DateTime<Utc>,
    /// Archived runs.
    pub runs: u64,
    /// Events of their histories.
    pub events: u64,
    /// Bytes of their lines, uncompressed.
    pub history_bytes: u64,
    /// Runs by status.
    pub statuses: BTreeMap<String, u64>,
    /// Runs that were listed and gone when their histories were asked for.
    pub vanished: Vec<Gone>,
    /// Windows that this one takes the place of.
    pub replaces: Vec<WindowId>,
    /// Where the lines are.
    pub segments: Vec<Segment>,
}

/// Kind of manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A window of histories.
    Histories,
}

/// A namespace by the two names that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Namespace {
    /// Name, which may be given again to another.
    pub name: String,
    /// Id, which may not.
    pub id: String,
}

/// A half-open interval of close times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cover {
    /// First instant in it.
    pub from: DateTime<Utc>,
    /// First instant after it.
    pub to: DateTime<Utc>,
}

/// A run that was listed and gone when its history was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gone {
    /// Workflow id.
    pub workflow_id: String,
    /// Run id.
    pub run_id: String,
    /// When it closed.
    pub close_time: DateTime<Utc>,
}

/// A file of lines, and the file that says where each is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Segment {
    /// The lines.
    pub data: Object,
    /// The index.
    pub index: Object,
    /// Lines in it.
    pub runs: u64,
    /// When the first of its runs closed.
    pub first_close: DateTime<Utc>,
    /// When the last of them closed.
    pub last_close: DateTime<Utc>,
    /// A filter over the identities in it, in a form that its reader knows.
    pub bloom: String,
}

/// Windows that count, and what cannot be used of the rest.
#[derive(Debug, Default)]
pub struct WindowListing {
    /// Windows that no other takes the place of, in the order of their identities.
    pub windows: Vec<Window>,
    /// Windows that another takes the place of: what a compaction that was killed has left.
    pub replaced: Vec<Window>,
    /// Manifests that cannot be used.
    pub damaged: Vec<Damaged>,
}

impl Window {
    /// Where the manifest of a window is stored.
    pub fn key(namespace: &str, id: &WindowId) -> Result<Key, crate::KeyError> {
        Key::new(format!("{PREFIX}{}/{id}.json", Key::escape_segment(namespace)))
    }

    /// The document to store.
    pub fn encode(&self) -> Result<Vec<u8>, ManifestError> {
        document::encode(self)
    }

    /// The window in a stored document.
    pub fn decode(document: &[u8]) -> Result<Self, ManifestError> {
        document::decode(document)
    }

    /// Every object that it names.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.segments.iter().flat_map(|segment| [&segment.data, &segment.index])
    }

    /// Bytes of all its objects.
    pub fn stored_bytes(&self) -> u64 {
        self.objects().map(|object| object.size).fold(0, u64::saturating_add)
    }
}

impl Document for Window {
    const FORMAT_VERSION: u32 = FORMAT_VERSION;

    fn format_version(&self) -> u32 {
        self.format_version
    }

    fn check(&self) -> Result<(), ManifestError> {
        self.refuse_contradictions()
    }
}
