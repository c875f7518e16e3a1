//! Removing archived histories that have outlived their own retention.

use chrono::{DateTime, TimeDelta, Utc};
use vault::window::Window;

use super::namespace::Task;
use crate::Error;

/// Removes the windows all of whose runs closed longer ago than `keep`; gives their number.
pub(super) async fn apply(
    task: &Task<'_>,
    keep: TimeDelta,
    published: &mut Vec<Window>,
) -> Result<u64, Error> {
    let limit = task.context.clock.now() - keep;
    let (old, young): (Vec<_>, Vec<_>) =
        std::mem::take(published).into_iter().partition(|window| has_outlived(window, limit));
    *published = young;
    task.context.go_on()?;
    Ok(task.windows.remove(&old, task.lease).await?.windows)
}

/// Whether all that a window covers lies before `limit`.
pub(super) fn has_outlived(window: &Window, limit: DateTime<Utc>) -> bool {
    window.covers.iter().all(|cover| cover.to <= limit)
}
