//! Finding runs by manifests and indexes, without their segments.
//!
//! The newest come first, and as soon as nothing newer can follow. Segments are taken in the order
//! of their last close; of each index only lines that are wanted are kept, and what is newer than
//! all segments still to come is given away. So no more is held than segments overlap in time, and
//! a limit ends the reading.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use temporal::bloom::Bloom;
use temporal::segment::{self, BoxError, Entry, RawEntry, Source};
use vault::manifest::Object;
use vault::window::{Segment, Windows};
use vault::{Key, Store};

use super::{Lost, Query, index};
use crate::{Context, Damage, Error};

/// A run, and where its line is.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub entry: Entry,
    /// The segment.
    pub data: Arc<Object>,
}

/// Everything that a search found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Newest first.
    pub hits: Vec<Hit>,
    /// As of [`Search`].
    pub damaged: Vec<Lost>,
}

/// Every run that a query means; for jobs that must know them all before they begin.
pub(crate) async fn all(context: &Context, query: &Query) -> Result<Found, Error> {
    let mut search = Search::begin(context, query, usize::MAX).await?;
    let mut hits = Vec::new();
    while let Some(hit) = search.next(context).await? {
        hits.push(hit);
    }
    Ok(Found { hits, damaged: search.damaged })
}

/// Newest first, then by run id and namespace id.
type Order = (Reverse<DateTime<Utc>>, Box<[u8]>, Box<[u8]>);

/// A line that is wanted, parsed when it is given away.
#[derive(Debug)]
struct Line {
    raw: RawEntry,
    part: Arc<Part>,
}

/// A segment whose index is still to be read.
#[derive(Debug)]
struct Part {
    index: Object,
    data: Arc<Object>,
    /// Microseconds.
    last_close: i64,
}

/// A search in progress.
#[derive(Debug)]
pub(crate) struct Search {
    store: Arc<dyn Store>,
    query: Arc<Query>,
    /// The one that closed last stands at the end.
    parts: Vec<Arc<Part>>,
    pending: Pending,
    /// Manifests and indexes that cannot be used; their runs are missing here.
    pub damaged: Vec<Lost>,
}

/// Lines that are wanted and not yet given away.
#[derive(Debug)]
struct Pending {
    lines: BTreeMap<Order, Line>,
    /// How many are wanted in all.
    room: usize,
}

impl Search {
    /// Looks which segments can hold what a query means; the newest `limit` runs are wanted.
    pub(crate) async fn begin(
        context: &Context,
        query: &Query,
        limit: usize,
    ) -> Result<Self, Error> {
        let windows = Windows::new(context.catalogue.store().clone());
        let exact = query.namespace.as_ref().and_then(|pattern| pattern.exact());
        let mut references = windows.references(exact).await?;
        references.retain(|reference| {
            let (first, last) = reference.id.closes();
            query.reaches(first, last)
        });
        let listing = windows.read(references).await?;
        let unusable = |damaged: &vault::Damaged| Damage::unusable(&damaged.key, &damaged.error);
        let damaged = listing.damaged.iter().map(|damaged| unusable(damaged).into()).collect();
        let segments = listing.windows.into_iter().flat_map(|window| window.segments);
        let mut parts: Vec<_> = segments
            .filter(|segment| may_hold(segment, query))
            .map(|segment| {
                Arc::new(Part {
                    last_close: segment.last_close.timestamp_micros(),
                    data: Arc::new(segment.data),
                    index: segment.index,
                })
            })
            .collect();
        parts.sort_by(|a, b| (a.last_close, &a.index.key).cmp(&(b.last_close, &b.index.key)));
        Ok(Self {
            store: windows.store().clone(),
            query: Arc::new(query.clone()),
            parts,
            pending: Pending { lines: BTreeMap::new(), room: limit },
            damaged,
        })
    }

    /// The next run, each once.
    pub(crate) async fn next(&mut self, context: &Context) -> Result<Option<Hit>, Error> {
        loop {
            context.go_on()?;
            let newest = self.pending.lines.first_key_value();
            let newest = newest.map(|((time, ..), _)| time.0.timestamp_micros());
            let to_come = self.parts.last().map(|part| part.last_close);
            if newest.is_some() && newest > to_come {
                let Some((_, Line { raw, part })) = self.pending.lines.pop_first() else {
                    continue;
                };
                self.pending.room = self.pending.room.saturating_sub(1);
                match raw.parse() {
                    Ok(entry) => return Ok(Some(Hit { entry, data: part.data.clone() })),
                    Err(error) => self.lose(Error::segment(&part.index.key, error))?,
                }
                continue;
            }
            let Some(part) = self.parts.pop() else { return Ok(None) };
            if self.pending.room == 0 {
                return Ok(None);
            }
            if let Err(error) = self.read(part).await {
                self.lose(error)?;
            }
        }
    }

    /// Notes damage; every other error ends the search.
    fn lose(&mut self, error: Error) -> Result<(), Error> {
        self.damaged.push(error.into_damage()?.into());
        Ok(())
    }

    /// Takes what is wanted of an index.
    async fn read(&mut self, part: Arc<Part>) -> Result<(), Error> {
        let index = index::read(self.store.as_ref(), &part.index).await?;
        let query = self.query.clone();
        let empty = Pending { lines: BTreeMap::new(), room: 0 };
        let mut pending = std::mem::replace(&mut self.pending, empty);
        let work = tokio::task::spawn_blocking(move || {
            let taken = pending.take(&index, &part, &query);
            (pending, taken)
        });
        let (pending, taken) =
            work.await.map_err(|source| Error::Task { doing: "reading an index", source })?;
        self.pending = pending;
        taken
    }
}

impl Pending {
    fn take(&mut self, index: &[u8], part: &Arc<Part>, query: &Query) -> Result<(), Error> {
        let damaged = |error| Error::segment(&part.index.key, error);
        let filter = query.prefilter();
        let by_time_alone = query.is_of_time_alone();
        for raw in segment::raw_entries(index).map_err(damaged)? {
            let raw = raw.map_err(damaged)?;
            // What does not even look like a line is parsed, which says what is wrong with it.
            let (Some(close), Some((namespace, run))) = (raw.close_time(), raw.identity()) else {
                raw.parse().map_err(damaged)?;
                continue;
            };
            // The index has the newest first, too.
            if query.since.is_some_and(|since| close < since) {
                break;
            }
            if query.until.is_some_and(|until| close >= until) || !filter.passes(&raw) {
                continue;
            }
            if !by_time_alone && !query.matches(&raw.parse().map_err(damaged)?.summary) {
                continue;
            }
            let order = (Reverse(close), run.into(), namespace.into());
            if self.lines.len() >= self.room
                && self.lines.last_key_value().is_some_and(|(last, _)| *last < order)
            {
                break;
            }
            if !self.has(&order) {
                self.lines.insert(order, Line { raw: raw.detached(), part: part.clone() });
            }
            if self.lines.len() > self.room {
                self.lines.pop_last();
            }
        }
        Ok(())
    }

    /// Whether the run is there. Below a microsecond the times of one run may differ, when it was
    /// archived twice from different visibility stores.
    fn has(&self, (Reverse(close), run, namespace): &Order) -> bool {
        let micros = close.timestamp_micros();
        let of = |micros| DateTime::from_timestamp_micros(micros).unwrap_or_default();
        let nothing = Box::<[u8]>::default;
        // Those of later microseconds come before, those of earlier ones behind.
        let first = (Reverse(of(micros + 1)), nothing(), nothing());
        let near = self.lines.range(first..).map(|(order, _)| order);
        near.skip_while(|(time, ..)| time.0.timestamp_micros() > micros)
            .take_while(|(time, ..)| time.0.timestamp_micros() == micros)
            .any(|(_, its_run, its_namespace)| its_run == run && its_namespace == namespace)
    }
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
