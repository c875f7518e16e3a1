//! A lease as stored: numbered objects, of which the highest counts.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::holder::Holder;
use crate::{Error, Key, Store, StoreError, StoreErrorKind, read_small};

/// Version of the record's format.
const FORMAT_VERSION: u32 = 1;
/// A record has some 500 bytes.
const MAX_BYTES: u64 = 64 << 10;

/// What the holder says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub format_version: u32,
    pub state: State,
    /// Tells this acquisition from every other.
    pub nonce: String,
    pub holder: Holder,
    pub acquired: DateTime<Utc>,
    /// For people. Nothing is decided by it.
    pub renewed: DateTime<Utc>,
    /// Makes every renewal a different document.
    pub renewals: u64,
    /// Clock of the holder's host.
    pub renewed_since_boot_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// Written, but not yet known to be alone; only on stores without conditional put.
    Claimed,
    Held,
    Released,
}

impl Record {
    pub(super) fn new(state: State, nonce: String, holder: Holder, now: DateTime<Utc>) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            state,
            nonce,
            holder,
            acquired: now,
            renewed: now,
            renewals: 0,
            renewed_since_boot_ms: super::holder::since_boot_ms(),
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        // Strings, numbers and times always have a JSON form.
        Bytes::from(serde_json::to_vec_pretty(self).unwrap_or_default())
    }
}

/// One object of a lease.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub generation: u64,
    pub key: Key,
}

/// A place with what was read there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub place: Place,
    pub bytes: Bytes,
    /// `None` for a damaged record or one of a newer format: held by nobody knows whom.
    pub record: Option<Record>,
}

fn prefix(name: &str) -> String {
    format!("leases/{name}.")
}

/// `leases/NAME.GENERATION.json`, or with `.NONCE` before `.json` where a store cannot refuse a
/// taken key.
pub(super) fn place(name: &str, generation: u64, nonce: Option<&str>) -> Result<Place, Error> {
    let middle = nonce.map(|nonce| format!(".{nonce}")).unwrap_or_default();
    let text = format!("{}{generation:010}{middle}.json", prefix(name));
    let key = Key::new(text).map_err(|error| {
        let action = format!("cannot name the lease {name:?}");
        StoreError::new(StoreErrorKind::Invalid, action, "any store").with_source(error)
    })?;
    Ok(Place { generation, key })
}

/// All objects of the lease, the highest generation last.
pub(super) async fn places(store: &dyn Store, name: &str) -> Result<Vec<Place>, StoreError> {
    let prefix = prefix(name);
    let mut places = Vec::new();
    for info in store.list(&prefix).await? {
        let rest = info.key.as_str().strip_prefix(&prefix).unwrap_or_default();
        let digits = rest.split('.').next().unwrap_or_default();
        match digits.parse() {
            Ok(generation) => places.push(Place { generation, key: info.key }),
            Err(_) => tracing::warn!(key = %info.key, "no lease of ours, passed over"),
        }
    }
    places.sort();
    Ok(places)
}

/// What is at `place`; `None` when it has just been removed.
pub(super) async fn read(store: &dyn Store, place: Place) -> Result<Option<Found>, StoreError> {
    let bytes = match read_small(store, &place.key, MAX_BYTES).await {
        Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind == StoreErrorKind::Corrupt => Bytes::new(),
        other => other?,
    };
    let record = serde_json::from_slice(&bytes).ok();
    let record = record.filter(|record: &Record| record.format_version == FORMAT_VERSION);
    Ok(Some(Found { place, bytes, record }))
}
