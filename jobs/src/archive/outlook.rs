//! What Temporal is about to delete and nobody has archived.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use temporal::connect::Connection;
use temporal::{Namespace, query};
use vault::window::Windows;

use super::plan::{self, Interval, microsecond};
use super::{NamespaceRule, choose, epoch, namespace};
use crate::Error;

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
        let covered = namespace::coverage(&published.windows, &rule.filter()?);
        outlook.push(Expiring {
            histories: expiring(connection, &namespace, &rule, &covered, now, warning).await?,
            within_seconds: within(&namespace, warning).num_seconds(),
            covered_until: covered.first().map(|first| first.to),
            namespace: namespace.name,
        });
    }
    Ok(outlook)
}
