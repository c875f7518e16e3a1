//! What Temporal is about to delete and nobody has archived.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use temporal::connect::Connection;
use temporal::{Namespace, query};
use vault::window::{Window, Windows};

use super::plan::{self, Interval, microsecond};
use super::{NamespaceRule, choose, epoch, namespace};
use crate::Error;
use crate::history::gaps::Uncovered;

/// Histories that are not archived and that Temporal deletes soon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expiring {
    /// The namespace.
    pub namespace: String,
    /// How many.
    pub histories: u64,
    /// Within how many seconds.
    pub within_seconds: i64,
    /// Everything that closed before this is archived; `None` when nothing is.
    pub covered_until: Option<DateTime<Utc>>,
}

/// Counts the runs of a namespace that no window covers and that retention deletes within
/// `warning`. Without a gap that is old enough this asks the server nothing.
pub(super) async fn expiring(
    connection: &Connection,
    namespace: &Namespace,
    rule: &NamespaceRule,
    covered: &[Interval],
    now: DateTime<Utc>,
    warning: TimeDelta,
) -> Result<u64, Error> {
    let from = rule.keep.map_or(epoch(), |keep| microsecond(now - keep));
    let warning = within(namespace, warning);
    // What closed before this is deleted within the warning time.
    let to = microsecond(now - namespace.retention + warning).min(microsecond(now));
    let filter = rule.filter()?;
    let mut expiring = 0;
    for gap in plan::uncovered(Interval { from, to }, covered, TimeDelta::zero()) {
        let query = query::closed(&filter, Some(gap.from), Some(gap.to));
        expiring += connection.count(namespace, &query).await.map_err(Error::temporal)?;
    }
    Ok(expiring)
}

/// What lies between windows and no window covers; what is younger than all of them is only not
/// archived yet.
pub(super) fn gaps(
    rule: &NamespaceRule,
    covered: &[Interval],
    now: DateTime<Utc>,
) -> Vec<Interval> {
    let from = rule.keep.map_or(epoch(), |keep| microsecond(now - keep));
    let to = covered.last().map_or(from, |last| last.to).min(microsecond(now));
    plan::uncovered(Interval { from, to }, covered, TimeDelta::zero())
}

/// The warning time of a namespace: at most half its retention, else what closed a moment ago
/// would always be about to expire.
pub(super) fn within(namespace: &Namespace, warning: TimeDelta) -> TimeDelta {
    warning.min(namespace.retention / 2)
}

/// The same for every namespace that the rules mean, from the store and the server.
pub async fn outlook(
    connection: &Connection,
    windows: &Windows,
    rules: &[NamespaceRule],
    now: DateTime<Utc>,
    warning: TimeDelta,
) -> Result<Vec<Expiring>, Error> {
    let mut outlook = Vec::new();
    for (namespace, rule) in choose(connection, rules).await?.namespaces {
        let published = windows.of_namespace(&namespace.name, &namespace.id).await?;
        let published = &published.windows;
        outlook.push(of_namespace(connection, namespace, &rule, published, now, warning).await?);
    }
    Ok(outlook)
}

/// The same for one namespace, whose windows are known.
pub(crate) async fn of_namespace(
    connection: &Connection,
    namespace: Namespace,
    rule: &NamespaceRule,
    published: &[Window],
    now: DateTime<Utc>,
    warning: TimeDelta,
) -> Result<Expiring, Error> {
    let covered = namespace::coverage(published, &rule.filter()?);
    Ok(Expiring {
        histories: expiring(connection, &namespace, rule, &covered, now, warning).await?,
        within_seconds: within(&namespace, warning).num_seconds(),
        covered_until: covered.first().map(|first| first.to),
        namespace: namespace.name,
    })
}

/// What windows cover of a namespace under a rule: the end of what is covered without a hole, and
/// the holes behind it.
pub(crate) fn coverage(
    published: &[Window],
    rule: &NamespaceRule,
) -> Result<(Option<DateTime<Utc>>, Vec<Uncovered>), Error> {
    let covered = namespace::coverage(published, &rule.filter()?);
    let holes = covered.iter().zip(covered.iter().skip(1));
    let holes = holes.map(|(before, after)| Uncovered { from: before.to, to: after.from });
    Ok((covered.first().map(|first| first.to), holes.collect()))
}
