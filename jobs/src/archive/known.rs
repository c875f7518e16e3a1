//! Runs that are archived already.

use std::collections::HashSet;

use temporal::segment;
use vault::Store;
use vault::window::{Segment, Window};

use super::plan::{Interval, microsecond};
use crate::history::index;
use crate::{Error, Verdict};

/// Run ids in the windows whose runs closed in an interval: archived, or known to be gone. Of a
/// window that lies elsewhere nothing is read.
pub(super) async fn runs(
    store: &dyn Store,
    published: &[Window],
    interval: Interval,
) -> Result<HashSet<String>, Error> {
    let mut known = HashSet::new();
    for window in published {
        known.extend(window.vanished.iter().map(|gone| gone.run_id.clone()));
        for part in &window.segments {
            // Visibility cuts times to microseconds; what is stored may be finer.
            if part.last_close < interval.from || microsecond(part.first_close) >= interval.to {
                continue;
            }
            match of_index(store, part).await {
                Ok(runs) => known.extend(runs),
                // Its runs are archived once more while Temporal has them; readers take each once.
                Err(error) if error.verdict() == Verdict::Damaged => {
                    tracing::error!("{}; its runs are archived again", crate::chain(&error));
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(known)
}

async fn of_index(store: &dyn Store, part: &Segment) -> Result<Vec<String>, Error> {
    let bytes = index::read(store, &part.index).await?;
    let damaged = |error| Error::segment(&part.index.key, error);
    let entries = segment::entries(&bytes).map_err(damaged)?;
    entries.map(|entry| Ok(entry.map_err(damaged)?.summary.run_id)).collect()
}
