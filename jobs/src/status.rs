//! How each group stands: its last good export, and what happened since.

use std::collections::BTreeMap;
use std::pin::pin;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use serde::Serialize;

use crate::record::{self, Record};
use crate::runner::{Job, Report, Shared};
use crate::{Context, Damage, Error, Summary, Verdict};

/// Looks at every group.
#[derive(Debug, Clone)]
pub struct Status {
    /// Age at which the last good export is overdue.
    pub overdue_after: TimeDelta,
    /// Only groups whose name begins with one of these; none means all.
    pub groups: Vec<String>,
}

/// How a store stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// When this was looked at.
    pub now: DateTime<Utc>,
    /// Age at which a group is overdue, in seconds.
    pub overdue_after_seconds: i64,
    /// Every group, by name.
    pub groups: Vec<GroupStanding>,
    /// Last runs that did not end well, and were not followed by one that did.
    pub failing: Vec<Record>,
    /// Manifests that cannot be used.
    pub unreadable: Vec<Damage>,
}

/// How a group stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupStanding {
    /// Its name.
    pub group: String,
    /// Number of its backups, part-done ones included.
    pub backups: u64,
    /// The newest whole export.
    pub last_good: Option<Summary>,
    /// Its age in seconds.
    pub age_seconds: Option<i64>,
    /// Rows and uncompressed bytes of the whole export before it.
    pub before: Option<Size>,
    /// The newest part-done export, when it is newer than the last good one.
    pub part_done_since: Option<Summary>,
    /// Whether the last good export is too old, or there is none.
    pub overdue: bool,
}

/// A size to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Size {
    /// Rows of all tables.
    pub rows: u64,
    /// Uncompressed bytes of all table data.
    pub data_bytes: u64,
}

impl Report for Standing {
    fn verdict(&self) -> Verdict {
        if !self.unreadable.is_empty() {
            Verdict::Damaged
        } else if self.groups.is_empty() || self.groups.iter().any(|group| group.overdue) {
            Verdict::Overdue
        } else {
            Verdict::Done
        }
    }
}

#[async_trait]
impl Job for Status {
    type Report = Standing;
    type Access = Shared;
    const NAME: &'static str = "status";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Standing, Error> {
        let mut groups: BTreeMap<String, Vec<Summary>> = BTreeMap::new();
        let mut unreadable = Vec::new();
        let mut each = pin!(context.catalogue.each().await?);
        while let Some((key, manifest)) = each.next().await {
            match manifest {
                Ok(manifest) => {
                    let summary = Summary::from(&manifest);
                    groups.entry(summary.group.clone()).or_default().push(summary);
                }
                Err(error @ vault::Error::Manifest { .. }) => {
                    unreadable.push(Damage::unusable(&key, &error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let wanted = |name: &String| {
            self.groups.is_empty() || self.groups.iter().any(|begin| name.starts_with(begin))
        };
        groups.retain(|name, _| wanted(name));
        let now = context.clock.now();
        let records = record::all(context.catalogue.store().as_ref()).await?;
        Ok(Standing {
            now,
            overdue_after_seconds: self.overdue_after.num_seconds(),
            groups: groups
                .into_iter()
                .map(|(name, backups)| standing(name, &backups, now, self.overdue_after))
                .collect(),
            failing: records.into_iter().filter(|record| !record.done).collect(),
            unreadable,
        })
    }
}

/// How one group stands; `backups` in the order of their identities, which is that of time.
fn standing(
    group: String,
    backups: &[Summary],
    now: DateTime<Utc>,
    overdue_after: TimeDelta,
) -> GroupStanding {
    let mut whole = backups.iter().rev().filter(|backup| backup.failed.is_empty());
    let last_good = whole.next().cloned();
    let before = whole.next().map(|b| Size { rows: b.rows, data_bytes: b.data_bytes });
    let newest = backups.last().filter(|backup| !backup.failed.is_empty()).cloned();
    let age = last_good.as_ref().map(|last| now.signed_duration_since(last.started));
    GroupStanding {
        group,
        backups: backups.len() as u64,
        age_seconds: age.map(|age| age.num_seconds()),
        overdue: age.is_none_or(|age| age > overdue_after),
        last_good,
        before,
        part_done_since: newest,
    }
}
