//! Days of which visibility lists more than was archived: entries that came later than the
//! overlap reaches. One count for all of it tells whether there are any.

use chrono::{NaiveTime, TimeDelta};
use vault::window::Window;

use super::namespace::Task;
use super::plan::{Interval, next_midnight};
use crate::Error;

/// Temporal may delete on time or a little late; what is so near to it is not counted.
const MARGIN: TimeDelta = TimeDelta::hours(24);

/// The days, as far as Temporal still has all of them, of which it lists more runs than `windows`
/// hold.
pub(super) async fn short(
    task: &Task<'_>,
    interval: Interval,
    filter: &str,
    windows: &[Window],
) -> Result<Vec<Interval>, Error> {
    // All runs of a window closed on one day, so that days can be counted without an index.
    let oldest = next_midnight(interval.to - task.namespace.retention + MARGIN);
    let listing = task.listing(filter);
    let held = |interval: Interval| held(windows, filter, interval);
    let whole = Interval { from: oldest.max(interval.from), to: interval.to };
    if whole.is_empty() || listing.count(whole).await? <= held(whole) {
        return Ok(Vec::new());
    }
    let mut short = Vec::new();
    let mut from = whole.from;
    while from < whole.to {
        task.context.go_on()?;
        let day = Interval { from, to: next_midnight(from).min(whole.to) };
        if listing.count(day).await? > held(day) {
            short.push(day);
        }
        from = day.to;
    }
    Ok(short)
}

/// Runs of the days in an interval: archived, or known to be gone. Windows of another restriction
/// do not count, so that a day is rather listed once too often.
fn held(windows: &[Window], filter: &str, interval: Interval) -> u64 {
    let inside = windows.iter().filter(|window| {
        let day = window.day.map(|day| day.and_time(NaiveTime::MIN).and_utc());
        window.filter == filter && day.is_some_and(|day| interval.from <= day && day < interval.to)
    });
    inside.map(|window| window.runs + window.vanished.len() as u64).sum()
}
