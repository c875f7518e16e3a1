//! Joining the small windows of a day into one: fewer objects to look into, and frames that
//! compress better.
//!
//! The joined window names those whose place it takes. It is published before they are removed, and
//! readers pass them over as soon as it is there: a kill at any moment costs nothing, and the
//! next run removes what is left of them.

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;
use futures::TryStreamExt;
use temporal::segment::{Codec, Replay};
use vault::Key;
use vault::window::{Window, WindowId, WindowListing};

use super::namespace::Task;
use super::plan::{self, Interval};
use super::window;
use crate::history::index;
use crate::history::part::{self, Part};
use crate::{Error, source};

/// How long a day's windows stay as they are after its end: late entries still come.
const AFTER: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// Pieces of a segment that are taken apart at a time.
const PIECE: usize = 64 << 10;

/// What can be joined: of one restriction, with runs of one day or none at all.
type Group = (String, Option<NaiveDate>);

/// Joins what is to be joined; gives the number of windows that are no more.
pub(super) async fn join(task: &Task<'_>, listing: &mut WindowListing) -> Result<u64, Error> {
    let mut joined = 0;
    // What a run that was killed has left comes first, so that nothing is ever two steps behind.
    if !listing.replaced.is_empty() {
        joined += task.windows.remove(&listing.replaced, task.lease).await?.windows;
        listing.replaced.clear();
    }
    let mut groups: BTreeMap<Group, Vec<Window>> = BTreeMap::new();
    for window in &listing.windows {
        let group = (window.filter.clone(), window.day);
        groups.entry(group).or_default().push(window.clone());
    }
    let over = (task.context.clock.now() - AFTER).date_naive();
    for ((filter, day), windows) in groups {
        let is_over = day.is_some_and(|day| day < over);
        if windows.len() < 2 || (!is_over && windows.len() < task.job.join_windows) {
            continue;
        }
        task.context.go_on()?;
        let Some(new) = join_group(task, &filter, day, &windows).await? else { continue };
        let old: HashSet<WindowId> = windows.iter().map(|window| window.id.clone()).collect();
        listing.windows.retain(|window| !old.contains(&window.id));
        listing.windows.push(new);
        joined += task.windows.remove(&windows, task.lease).await?.windows;
    }
    Ok(joined)
}

/// Writes and publishes one window for several. `None` when one of them is damaged: it is left as it
/// is, and so are the others.
async fn join_group(
    task: &Task<'_>,
    filter: &str,
    day: Option<NaiveDate>,
    windows: &[Window],
) -> Result<Option<Window>, Error> {
    let closes = windows.iter().map(|window| window.id.closes());
    let (first, last) = closes
        .fold(None, |sum: Option<(_, _)>, (first, last)| {
            Some(sum.map_or((first, last), |(a, b)| (first.min(a), last.max(b))))
        })
        .unwrap_or_default();
    let mut covers: Vec<Interval> = windows
        .iter()
        .flat_map(|window| &window.covers)
        .map(|cover| Interval { from: cover.from, to: cover.to })
        .collect();
    covers.sort_by_key(|cover| cover.from);
    let covers = plan::join(covers);
    let id = WindowId::new(first, last, rand::random());
    let mut new = window::empty(task, id, filter, &covers);
    new.replaces = windows.iter().map(|window| window.id.clone()).collect();
    let mut gone = HashSet::new();
    new.vanished = windows.iter().flat_map(|window| window.vanished.clone()).collect();
    new.vanished.retain(|run| gone.insert(run.run_id.clone()));
    let mut keys = Vec::new();
    let result = async {
        if let Some(day) = day {
            write(task, day, windows, &mut new, &mut keys).await?;
        }
        window::publish(task, &mut new).await
    };
    let result = result.await;
    if result.is_err() {
        window::discard(task, &new.id, &keys).await;
    }
    match result.map_err(Error::into_damage) {
        Ok(()) => Ok(Some(new)),
        Err(Ok(damage)) => {
            tracing::error!("the windows of {} are not joined: {damage}", task.namespace.name);
            Ok(None)
        }
        Err(Err(error)) => Err(error),
    }
}

/// Writes the runs of several windows into new segments, each run once.
async fn write(
    task: &Task<'_>,
    day: NaiveDate,
    windows: &[Window],
    new: &mut Window,
    keys: &mut Vec<Key>,
) -> Result<(), Error> {
    let store = task.context.catalogue.store();
    let codec = task.job.codec;
    let mut part: Option<Part> = None;
    let mut seen = HashSet::new();
    for segment in windows.iter().flat_map(|window| &window.segments) {
        let index = index::read(store.as_ref(), &segment.index).await?;
        let damaged = |error| Error::segment(&segment.data.key, error);
        let mut replay = Replay::new(&index, codec).map_err(damaged)?;
        let failed = |error| source::error(&segment.data, error);
        let mut content = source::open(store.as_ref(), &segment.data).await.map_err(failed)?;
        while let Some(bytes) = content.try_next().await.map_err(failed)? {
            task.context.go_on()?;
            for piece in bytes.chunks(PIECE) {
                for run in tokio::task::block_in_place(|| replay.feed(piece)).map_err(damaged)? {
                    if !seen.insert(run.summary.run_id.clone()) {
                        continue;
                    }
                    if let Some(full) = part.take_if(|part| part.is_full())
                        && let Some(written) = full.finish().await?
                    {
                        window::take_in(new, written);
                    }
                    let open = match part.take() {
                        Some(open) => part.insert(open),
                        None => part.insert(begin(task, day, new, codec, keys).await?),
                    };
                    open.push(run.summary, run.events, run.line).await?;
                }
            }
        }
        replay.finish().map_err(damaged)?;
    }
    if let Some(last) = part
        && let Some(written) = last.finish().await?
    {
        window::take_in(new, written);
    }
    new.day = (new.runs > 0).then_some(day);
    Ok(())
}

async fn begin(
    task: &Task<'_>,
    day: NaiveDate,
    new: &Window,
    codec: Codec,
    keys: &mut Vec<Key>,
) -> Result<Part, Error> {
    let name = part::prefix(&task.namespace.name, day, &new.id, new.segments.len());
    Part::begin(task.context.catalogue.store(), &name, codec, keys).await
}
