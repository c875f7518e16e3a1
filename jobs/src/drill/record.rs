//! Evidence in a store: `drills/KIND/ID.json`, and a page beside it.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use rand::Rng as _;
use vault::{Key, PutMode, Store, StoreErrorKind, read_small};

use super::document::{Document, MAX_BYTES};
use super::{CheckResult, Evidence, Kind, SigningKey, page};
use crate::runner::Report;
use crate::{Context, Error, Verdict};

/// Documents that are read at the same time.
const READ_AHEAD: usize = 8;

/// Past drills that a page shows.
const TREND: usize = 30;

/// A drill that has ended, and where its evidence is.
#[derive(Debug, Clone, PartialEq)]
pub struct Drilled {
    /// What it found.
    pub evidence: Evidence,
    /// Where that is stored.
    pub recorded: Recorded,
}

impl Report for Drilled {
    fn verdict(&self) -> Verdict {
        match self.evidence.verdict {
            CheckResult::Pass => Verdict::Done,
            CheckResult::Fail => Verdict::Damaged,
            CheckResult::NotRun => Verdict::Failed,
        }
    }

    fn complaint(&self) -> Option<String> {
        let of = |result| self.evidence.checks.iter().filter(move |c| c.result == result);
        let names = |result| of(result).map(|c| c.name.clone()).collect::<Vec<_>>().join(", ");
        match self.evidence.verdict {
            CheckResult::Pass => None,
            CheckResult::Fail => Some(format!("failed: {}", names(CheckResult::Fail))),
            CheckResult::NotRun => Some(format!("not run: {}", names(CheckResult::NotRun))),
        }
    }
}

/// Where evidence is stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// The document.
    pub json: Key,
    /// The page.
    pub html: Key,
}

impl Kind {
    /// Its name in keys and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Histories => "histories",
            Self::Replay => "replay",
        }
    }

    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Database, Self::Histories, Self::Replay];

    fn prefix(self) -> String {
        format!("drills/{}/", self.name())
    }
}

/// A new identity: the time to the second and four random digits.
#[must_use]
pub fn new_id(now: DateTime<Utc>) -> String {
    format!("{}-{:04x}", now.format("%Y%m%dT%H%M%SZ"), rand::rng().random::<u16>())
}

/// Whether a text is an identity of a drill.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let digits =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    let Some((time, random)) = text.split_once('-') else { return false };
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let time = time.strip_suffix('Z').and_then(|time| time.split_once('T'));
    time.is_some_and(|(date, time)| digits(date, 8) && digits(time, 6))
        && random.len() == 4
        && random.bytes().all(hex)
}

/// Stores evidence, signed when there is a key, and a page with the trend over past drills of
/// its kind. The page comes first: a document always has one.
///
/// # Errors
/// Those of the store.
pub async fn record(
    context: &Context,
    evidence: &Evidence,
    key: Option<&SigningKey>,
) -> Result<Recorded, Error> {
    let store = context.catalogue.store().as_ref();
    let recorded = Recorded {
        json: name(store, evidence.kind, &evidence.id, "json")?,
        html: name(store, evidence.kind, &evidence.id, "html")?,
    };
    let document = evidence.encode(key);
    // A store that may only be written to shows no trend.
    let past = past(store, evidence.kind, TREND).await.unwrap_or_else(|error| {
        tracing::warn!("past drills cannot be read: {}", crate::chain(&error));
        Vec::new()
    });
    let html = page(evidence, &past, key.map(SigningKey::public));
    for (key, content) in [(&recorded.html, html.into_bytes()), (&recorded.json, document)] {
        let put = store.put(key, Bytes::from(content), PutMode::IfAbsent).await;
        put.map_err(vault::Error::from)?;
    }
    Ok(recorded)
}

/// The newest drills of a kind, at most `limit`, oldest first. Documents that cannot be used are
/// left out with a warning.
///
/// # Errors
/// Those of the store.
pub async fn past(store: &dyn Store, kind: Kind, limit: usize) -> Result<Vec<Evidence>, Error> {
    let listed = store.list(&kind.prefix()).await.map_err(vault::Error::from)?;
    let mut keys: Vec<Key> =
        listed.into_iter().map(|info| info.key).filter(|key| id_of(key, kind).is_some()).collect();
    let keys = keys.split_off(keys.len().saturating_sub(limit));
    let mut found = Vec::with_capacity(keys.len());
    let mut read = stream::iter(keys)
        .map(|key| async move {
            let bytes = read_small(store, &key, MAX_BYTES).await;
            (key, bytes)
        })
        .buffered(READ_AHEAD);
    while let Some((key, bytes)) = read.next().await {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) if error.kind == StoreErrorKind::NotFound => continue,
            Err(error) if error.kind == StoreErrorKind::Corrupt => {
                tracing::warn!("{key} cannot be used: {}", crate::chain(&error));
                continue;
            }
            Err(error) => return Err(vault::Error::from(error).into()),
        };
        match Document::decode(&bytes) {
            Ok(document) if Some(document.evidence.id.as_str()) == id_of(&key, kind) => {
                found.push(document.evidence);
            }
            Ok(_) => tracing::warn!("{key} cannot be used: it is the evidence of another drill"),
            Err(error) => tracing::warn!("{key} cannot be used: {}", crate::chain(&error)),
        }
    }
    Ok(found)
}

/// The backups that passed a drill of their databases, and when the last one was.
///
/// # Errors
/// Those of the store.
pub async fn passed(store: &dyn Store) -> Result<BTreeMap<String, DateTime<Utc>>, Error> {
    let drills = past(store, Kind::Database, usize::MAX).await?;
    let good = drills.into_iter().filter(|drill| drill.verdict == CheckResult::Pass);
    Ok(good.map(|drill| (drill.subject.id, drill.ended)).collect())
}

/// The identity in the key of a document.
fn id_of(key: &Key, kind: Kind) -> Option<&str> {
    let name = key.as_str().strip_prefix("drills/")?.strip_prefix(kind.name())?;
    name.strip_prefix('/')?.strip_suffix(".json").filter(|id| is_id(id))
}

fn name(store: &dyn Store, kind: Kind, id: &str, suffix: &str) -> Result<Key, Error> {
    Key::new(format!("{}{id}.{suffix}", kind.prefix())).map_err(|source| {
        let action = "cannot name the evidence of a drill";
        let error = vault::StoreError::new(StoreErrorKind::Invalid, action, store.describe());
        vault::Error::from(error.with_source(source)).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_a_time_and_four_digits() {
        let now = "2026-11-23T02:00:00Z".parse().unwrap();
        let id = new_id(now);
        assert!(id.starts_with("20261123T020000Z-") && is_id(&id), "{id}");
        for text in
            ["", "20261123T020000Z", "20261123T020000Z-xyz0", "2026-1123T020000Z-00ff", "x-0000"]
        {
            assert!(!is_id(text), "{text}");
        }
    }
}
