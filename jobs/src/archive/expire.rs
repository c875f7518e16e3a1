//! Removing archived histories that have outlived their own retention.
//!
//! Their age is not measured by the clock of this host alone: one that is ahead would make all of
//! them old at once. Windows cover nothing that Temporal's clock did not confirm, so what they
//! reach is a time that has come.

use chrono::{DateTime, TimeDelta, Utc};
use vault::window::Window;

use super::namespace::Task;
use crate::Error;

/// Removes the windows all of whose runs closed longer ago than `keep`; gives their number.
/// `reached` is how far our clock was believed, if Temporal's could be asked.
pub(super) async fn apply(
    task: &Task<'_>,
    keep: TimeDelta,
    reached: Option<DateTime<Utc>>,
    published: &mut Vec<Window>,
) -> Result<u64, Error> {
    let reached = reached.max(covered_until(published.iter()));
    let Some(limit) = limit(task.context.clock.now(), reached, keep) else { return Ok(0) };
    let (old, young): (Vec<_>, Vec<_>) =
        std::mem::take(published).into_iter().partition(|window| has_outlived(window, limit));
    *published = young;
    task.context.go_on()?;
    Ok(task.windows.remove(&old, task.lease).await?.windows)
}

/// How far windows of one namespace reach.
pub(crate) fn covered_until<'a>(
    windows: impl Iterator<Item = &'a Window>,
) -> Option<DateTime<Utc>> {
    windows.flat_map(|window| &window.covers).map(|cover| cover.to).max()
}

/// What ended before it has outlived `keep`; `now` is what our own clock says, and `reached` what
/// Temporal's confirms. `None` when nothing did.
pub(crate) fn limit(
    now: DateTime<Utc>,
    reached: Option<DateTime<Utc>>,
    keep: TimeDelta,
) -> Option<DateTime<Utc>> {
    now.min(reached?).checked_sub_signed(keep)
}

/// Whether all that a window covers lies before `limit`.
pub(crate) fn has_outlived(window: &Window, limit: DateTime<Utc>) -> bool {
    window.covers.iter().all(|cover| cover.to <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_ahead_makes_nothing_old_and_one_that_is_back_nothing_older() {
        let reached: DateTime<Utc> = "2026-11-23T02:00:00Z".parse().unwrap();
        let year = TimeDelta::days(365);
        for ahead in [TimeDelta::zero(), TimeDelta::days(400), TimeDelta::days(40_000)] {
            assert_eq!(limit(reached + ahead, Some(reached), year), Some(reached - year));
        }
        let back = reached - TimeDelta::days(10);
        assert_eq!(limit(back, Some(reached), year), Some(back - year));
        assert_eq!(limit(reached, None, year), None);
        assert_eq!(limit(reached, Some(reached), TimeDelta::MAX), None);
    }
}
