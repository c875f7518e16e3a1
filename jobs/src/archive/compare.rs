//! Comparing the archive of a namespace with what Temporal lists, run by run.

use chrono::{DateTime, TimeDelta, Utc};
use temporal::Namespace;
use temporal::connect::Connection;
use vault::window::Windows;

use super::listing::Listing;
use super::plan::{self, Interval, microsecond};
use super::{NamespaceRule, epoch, known, namespace};
use crate::history::gaps::{MissingRun, Uncovered};
use crate::{Context, Damage, Error};

/// Missing runs that are named one by one.
const NAMED: usize = 100;

/// What a comparison has found.
#[derive(Debug)]
pub struct Compared {
    /// The namespace.
    pub namespace: String,
    /// Everything that closed before this is covered; `None` when nothing is.
    pub covered_until: Option<DateTime<Utc>>,
    /// Intervals between windows that no window covers.
    pub uncovered: Vec<Uncovered>,
    /// Closed runs that Temporal lists.
    pub listed: u64,
    /// Those of them that are not archived.
    pub missing: u64,
    /// The oldest of those.
    pub runs: Vec<MissingRun>,
    /// Manifests that cannot be used.
    pub damaged: Vec<Damage>,
}

/// Lists everything that closed before `until` and looks each run up.
pub async fn compare(
    context: &Context,
    connection: &Connection,
    windows: &Windows,
    namespace: Namespace,
    rule: &NamespaceRule,
    until: DateTime<Utc>,
) -> Result<Compared, Error> {
    let filter = rule.filter()?;
    let published = windows.of_namespace(&namespace.name, &namespace.id).await?;
    let covered = namespace::coverage(&published.windows, &filter);
    let from = rule.keep.map_or(epoch(), |keep| microsecond(context.clock.now() - keep));
    let whole = Interval { from, to: microsecond(until) };
    // What lies between windows; what is younger than all of them is only not archived yet.
    let until = covered.last().map_or(whole.from, |last| last.to).min(whole.to);
    let between = Interval { from: whole.from, to: until };
    let uncovered = plan::uncovered(between, &covered, TimeDelta::zero());
    let mut compared = Compared {
        covered_until: covered.first().map(|first| first.to),
        uncovered: uncovered.iter().map(|gap| Uncovered { from: gap.from, to: gap.to }).collect(),
        listed: 0,
        missing: 0,
        runs: Vec::new(),
        damaged: published
            .damaged
            .iter()
            .map(|damaged| Damage::unusable(&damaged.key, &damaged.error))
            .collect(),
        namespace: namespace.name.clone(),
    };
    let listing = Listing { context, connection, namespace: &namespace, filter: &filter };
    for slice in listing.slices(whole).await? {
        let runs = listing.runs(slice).await?;
        compared.listed += runs.len() as u64;
        let store = windows.store().as_ref();
        let known = known::runs(store, &published.windows, slice).await?;
        let mut missing: Vec<_> =
            runs.into_iter().filter(|run| !known.contains(&run.run_id)).collect();
        missing.sort_by_key(|run| run.close_time);
        compared.missing += missing.len() as u64;
        let room = NAMED - compared.runs.len();
        compared.runs.extend(missing.into_iter().take(room).map(|run| MissingRun {
            workflow_id: run.workflow_id,
            run_id: run.run_id,
            close_time: run.close_time,
        }));
    }
    Ok(compared)
}
