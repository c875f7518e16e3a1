//! Finding runs by manifests and indexes, without their segments.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use temporal::bloom::Bloom;
use temporal::segment::{self, BoxError, Entry, Source};
use vault::manifest::Object;
use vault::window::{Segment, Windows};
use vault::{Key, Store};

use super::{Query, index};
use crate::{Context, Damage, Error};

/// A run, and where its line is.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub entry: Entry,
    pub data: Object,
}

/// Runs that were found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Newest first.
    pub hits: Vec<Hit>,
    /// Whether there are more than were asked for.
    pub more: bool,
    /// Manifests and indexes that cannot be used; their runs are missing here.
    pub damaged: Vec<Damage>,
    /// Objects that were read, and lists.
    pub reads: u64,
}

/// Finds the newest runs that a query means, at most `limit`.
pub(crate) async fn find(context: &Context, query: &Query, limit: usize) -> Result<Found, Error> {
    let windows = Windows::new(context.catalogue.store().clone());
    let exact = query.namespace.as_ref().and_then(|pattern| pattern.exact());
    let mut references = windows.references(exact).await?;
    references.retain(|reference| {
        let (first, last) = reference.id.closes();
        query.reaches(first, last)
    });
    let mut found = Found { reads: 1 + references.len() as u64, ..Found::default() };
    let mut listing = windows.read(references).await?;
    found.damaged = listing
        .damaged
        .iter()
        .map(|damaged| Damage::unusable(&damaged.key, &damaged.error))
        .collect();
    // Newest first, so that a full list ends the search.
    listing.windows.sort_by(|a, b| b.id.closes().1.cmp(&a.id.closes().1).then(a.id.cmp(&b.id)));
    let mut seen = HashSet::new();
    for window in &listing.windows {
        context.go_on()?;
        let full = found.hits.len() > limit;
        // Names tell microseconds, and times may be finer.
        if full && is_older(&found.hits, limit, window.id.closes().1) {
            break;
        }
        for part in &window.segments {
            if !may_hold(part, query) {
                continue;
            }
            found.reads += 1;
            match entries(windows.store().as_ref(), part, query).await {
                Ok(entries) => found.hits.extend(entries.into_iter().filter_map(|entry| {
                    let run = &entry.summary;
                    let new = seen.insert((run.namespace_id.clone(), run.run_id.clone()));
                    new.then(|| Hit { entry, data: part.data.clone() })
                })),
                Err(error) => found.damaged.push(error.into_damage()?),
            }
        }
        shorten(&mut found.hits, limit + 1);
    }
    found.more = found.hits.len() > limit;
    shorten(&mut found.hits, limit);
    Ok(found)
}

/// Whether everything up to `newest` is older than the first `limit` runs.
fn is_older(hits: &[Hit], limit: usize, newest: chrono::DateTime<chrono::Utc>) -> bool {
    let last = limit.checked_sub(1).and_then(|at| hits.get(at));
    last.is_some_and(|last| {
        newest.timestamp_micros() < last.entry.summary.close_time.timestamp_micros()
    })
}

/// The newest first, and at most so many.
fn shorten(hits: &mut Vec<Hit>, limit: usize) {
    let key = |hit: &Hit| {
        (std::cmp::Reverse(hit.entry.summary.close_time), hit.entry.summary.run_id.clone())
    };
    hits.sort_by_cached_key(key);
    hits.truncate(limit);
}

/// Whether a segment can hold a wanted run, by what its manifest says.
fn may_hold(part: &Segment, query: &Query) -> bool {
    if !query.reaches(part.first_close, part.last_close) {
        return false;
    }
    let mut identities = query.identities().peekable();
    if identities.peek().is_none() {
        return true;
    }
    // A filter of a form that we do not know rules nothing out.
    Bloom::decode(&part.bloom).map_or(true, |bloom| identities.all(|id| bloom.may_contain(id)))
}

async fn entries(store: &dyn Store, part: &Segment, query: &Query) -> Result<Vec<Entry>, Error> {
    let index = index::read(store, &part.index).await?;
    let (key, query) = (part.index.key.clone(), query.clone());
    let wanted = tokio::task::spawn_blocking(move || {
        let damaged = |error| Error::segment(&key, error);
        let filter = query.prefilter();
        let mut wanted = Vec::new();
        for raw in segment::raw_entries(&index).map_err(damaged)? {
            let raw = raw.map_err(damaged)?;
            if !filter.passes(&raw) {
                continue;
            }
            let entry = raw.parse().map_err(damaged)?;
            if query.matches(&entry.summary) {
                wanted.push(entry);
            }
        }
        Ok(wanted)
    });
    wanted.await.map_err(|source| Error::Task { doing: "reading an index", source })?
}

/// Brings the line of a run back.
pub(crate) async fn line(store: &Arc<dyn Store>, hit: &Hit) -> Result<Vec<u8>, Error> {
    let source = Ranges { store: store.clone(), key: hit.data.key.clone() };
    let line = segment::read_line(&source, &hit.entry).await;
    line.map_err(|error| Error::segment(&hit.data.key, error))
}

/// Parts of an object.
struct Ranges {
    store: Arc<dyn Store>,
    key: Key,
}

#[async_trait]
impl Source for Ranges {
    async fn read(&self, range: Range<u64>) -> Result<Bytes, BoxError> {
        let mut pieces = self.store.read(&self.key, Some(range)).await?;
        let mut content = BytesMut::new();
        while let Some(piece) = pieces.try_next().await? {
            content.extend_from_slice(&piece);
        }
        Ok(content.freeze())
    }
}
