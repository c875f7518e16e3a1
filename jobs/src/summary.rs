//! A backup in a few figures.

use chrono::{DateTime, Utc};
use serde::Serialize;
use vault::manifest::{FailedSource, Manifest};

/// A backup in a few figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Identity.
    pub id: String,
    /// Group.
    pub group: String,
    /// When the run began.
    pub started: DateTime<Utc>,
    /// When everything was stored and read back.
    pub finished: DateTime<Utc>,
    /// Its databases.
    pub databases: Vec<String>,
    /// What is not in it, with the reason; empty for a whole one.
    pub failed: Vec<FailedSource>,
    /// Rows of all tables.
    pub rows: u64,
    /// Uncompressed bytes of all table data.
    pub data_bytes: u64,
    /// Bytes in the store.
    pub stored_bytes: u64,
    /// Objects in the store, the manifest not counted.
    pub objects: u64,
}

impl From<&Manifest> for Summary {
    fn from(manifest: &Manifest) -> Self {
        Self {
            id: manifest.id.clone(),
            group: manifest.group.clone(),
            started: manifest.started,
            finished: manifest.finished,
            databases: manifest.databases.iter().map(|d| d.name.clone()).collect(),
            failed: manifest.failed.clone(),
            rows: manifest.rows(),
            data_bytes: manifest.databases.iter().map(|d| d.data_bytes).sum(),
            stored_bytes: manifest.stored_bytes(),
            objects: manifest.objects.len() as u64,
        }
    }
}
