//! How each group stands: its last good export, and what happened since.

use std::collections::BTreeMap;
use std::pin::pin;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use serde::Serialize;

use crate::export::Export;
use crate::failing;
use crate::history::standing::{Histories, HistoriesStanding};
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
    /// What should be archived of histories; `None` leaves them out.
    pub histories: Option<Histories>,
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
    /// Last runs of a source that did not end well, while what they were to export has been
    /// exported since under another name: a mistyped host, most likely.
    pub settled: Vec<Record>,
    /// Manifests that cannot be used.
    pub unreadable: Vec<Damage>,
    /// How the archives of histories stand; `None` when they were left out.
    pub histories: Option<HistoriesStanding>,
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
    /// The newest backup that passed a drill.
    pub drilled: Option<Proven>,
    /// Whether the last good export is too old, or there is none.
    pub overdue: bool,
}

/// A backup that was restored in a drill and found to be right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proven {
    /// Its identity.
    pub id: String,
    /// When it was begun.
    pub started: DateTime<Utc>,
    /// When its last drill ended.
    pub drilled: DateTime<Utc>,
    /// Its age in seconds.
    pub age_seconds: i64,
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
        let histories = self.histories.as_ref();
        if !self.unreadable.is_empty() || histories.is_some_and(|it| !it.unreadable.is_empty()) {
            Verdict::Damaged
        } else if self.groups.is_empty()
            || self.groups.iter().any(|group| group.overdue)
            || histories.is_some_and(HistoriesStanding::is_overdue)
        {
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
        let now = context.clock.now();
        let drilled = crate::drill::passed(context.catalogue.store().as_ref()).await?;
        let records = record::all(context.catalogue.store().as_ref()).await?;
        let histories = match &self.histories {
            Some(histories) => Some(histories.look(context, &records, self.overdue_after).await?),
            None => None,
        };
        let failed = records.into_iter().filter(|record| !record.done);
        let failed = failed.filter(|record| self.is_about(record, &groups));
        let whole: Vec<&Summary> =
            groups.values().flatten().filter(|backup| backup.failed.is_empty()).collect();
        let (settled, failing) = failed.partition(|record| failing::is_settled(record, &whole));
        groups.retain(|name, _| self.wants(name));
        Ok(Standing {
            now,
            histories,
            overdue_after_seconds: self.overdue_after.num_seconds(),
            groups: groups
                .into_iter()
                .map(|(name, backups)| standing(name, &backups, &drilled, now, self.overdue_after))
                .collect(),
            failing,
            settled,
            unreadable,
        })
    }
}

impl Status {
    fn wants(&self, name: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|begin| name.starts_with(begin))
    }

    /// Whether a record belongs to what is looked at: by the group that its source is known to
    /// fill, by its own name, or by a group of just its databases. Archives have no group.
    fn is_about(&self, record: &Record, groups: &BTreeMap<String, Vec<Summary>>) -> bool {
        if record.job != Export::NAME {
            return true;
        }
        match &record.group {
            Some(group) => self.wants(group) || self.wants(&record.source),
            None => {
                let mut alike = groups.keys().filter(|name| failing::may_fill(record, name));
                self.wants(&record.source) || alike.any(|name| self.wants(name))
            }
        }
    }
}

/// How far the clocks of two machines may be apart.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);

/// How one group stands; `backups` in the order of their identities, which is that of time.
fn standing(
    group: String,
    backups: &[Summary],
    drilled: &BTreeMap<String, DateTime<Utc>>,
    now: DateTime<Utc>,
    overdue_after: TimeDelta,
) -> GroupStanding {
    // What a clock that was wrong has dated into the future says nothing about today.
    let begun = |backup: &&Summary| backup.started <= now + CLOCKS_DIFFER;
    let mut whole = backups.iter().rev().filter(begun).filter(|backup| backup.failed.is_empty());
    let last_good = whole.next().cloned();
    let before = whole.next().map(|b| Size { rows: b.rows, data_bytes: b.data_bytes });
    let newest = backups.last().filter(|backup| !backup.failed.is_empty()).cloned();
    let proven = backups.iter().rev().find_map(|backup| {
        let when = drilled.get(&backup.id)?;
        Some(Proven {
            id: backup.id.clone(),
            started: backup.started,
            drilled: *when,
            age_seconds: now.signed_duration_since(backup.started).num_seconds(),
        })
    });
    let age = last_good.as_ref().map(|last| now.signed_duration_since(last.started));
    GroupStanding {
        group,
        backups: backups.len() as u64,
        age_seconds: age.map(|age| age.num_seconds()),
        overdue: age.is_none_or(|age| age > overdue_after),
        last_good,
        before,
        part_done_since: newest,
        drilled: proven,
    }
}
