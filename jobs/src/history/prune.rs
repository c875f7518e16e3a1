//! Expiring archived histories: plan, show, apply.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use vault::window::{Window, Windows};

use crate::archive::expire::{covered_until, has_outlived, limit};
use crate::archive::{LEASE, NamespaceRule};
use crate::runner::{Exclusive, Job, Report, Shared};
use crate::{Context, Damage, Error, Verdict};

/// Plans what would be removed; changes nothing.
#[derive(Debug, Clone)]
pub struct PlanHistories {
    /// How long the histories of which namespaces are kept; the first rule that matches counts.
    pub rules: Vec<NamespaceRule>,
}

/// Plans what is to be removed, and removes it.
#[derive(Debug, Clone)]
pub struct PruneHistories {
    /// As in [`PlanHistories`].
    pub rules: Vec<NamespaceRule>,
    /// Age at which objects that no window names are swept.
    pub orphan_grace: Duration,
}

/// What was found, and done if it was to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrunedHistories {
    /// Namespace by namespace.
    pub namespaces: Vec<PrunedNamespace>,
    /// Manifests that cannot be used; while there are any, nothing is removed.
    pub unreadable: Vec<Damage>,
    /// What was done; `None` when it was only planned.
    pub applied: Option<FreedHistories>,
}

/// What stays and what goes of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrunedNamespace {
    /// Its name.
    pub namespace: String,
    /// Its id: another one may have had the name.
    pub namespace_id: String,
    /// Windows that stay, oldest first.
    pub keep: Vec<Fate>,
    /// Windows that go.
    pub remove: Vec<Fate>,
}

/// What becomes of a window, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fate {
    /// The window.
    pub id: String,
    /// Runs in it.
    pub runs: u64,
    /// When the first of them closed.
    pub first_close: DateTime<Utc>,
    /// When the last of them closed.
    pub last_close: DateTime<Utc>,
    /// Why.
    pub reason: FateReason,
}

/// Why a window stays or goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "rule")]
pub enum FateReason {
    /// Histories of the namespace are kept for ever.
    Forever,
    /// No rule names the namespace.
    Unnamed,
    /// Not all that it covers is older than what is kept.
    Within {
        /// How long histories are kept.
        seconds: i64,
    },
    /// All that it covers is older than what is kept.
    Expired {
        /// How long histories are kept.
        seconds: i64,
    },
    /// Another window has taken its place.
    Replaced,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FreedHistories {
    /// Windows.
    pub windows: u64,
    /// Their objects, and orphans.
    pub objects: u64,
    /// Bytes of those.
    pub bytes: u64,
}

impl PrunedHistories {
    /// Windows that go.
    pub fn removals(&self) -> u64 {
        self.namespaces.iter().map(|namespace| namespace.remove.len() as u64).sum()
    }
}

impl Report for PrunedHistories {
    fn verdict(&self) -> Verdict {
        if self.unreadable.is_empty() { Verdict::Done } else { Verdict::Damaged }
    }
}

#[async_trait]
impl Job for PlanHistories {
    type Report = PrunedHistories;
    type Access = Shared;
    const NAME: &'static str = "prune histories";

    async fn run(&self, context: &Context, _: &Shared) -> Result<PrunedHistories, Error> {
        let windows = Windows::new(context.catalogue.store().clone());
        Ok(plan(&windows, &self.rules, context.clock.now()).await?.0)
    }
}

#[async_trait]
impl Job for PruneHistories {
    type Report = PrunedHistories;
    type Access = Exclusive;
    const NAME: &'static str = "prune histories";
    const LEASE: &'static str = LEASE;

    async fn run(&self, context: &Context, access: &Exclusive) -> Result<PrunedHistories, Error> {
        let (windows, now) = (Windows::new(context.catalogue.store().clone()), context.clock.now());
        let (mut pruned, removals) = plan(&windows, &self.rules, now).await?;
        if !pruned.unreadable.is_empty() {
            // They may name, or take the place of, anything.
            return Ok(pruned);
        }
        context.go_on()?;
        let removed = windows.remove(&removals, access.guard()).await?;
        context.go_on()?;
        let grace = TimeDelta::from_std(self.orphan_grace).unwrap_or(TimeDelta::MAX);
        let swept = windows.sweep(grace, now, access.guard()).await?;
        pruned.applied = Some(FreedHistories {
            windows: removed.windows,
            objects: removed.objects + swept.objects,
            bytes: removed.bytes + swept.bytes,
        });
        Ok(pruned)
    }
}

/// What becomes of every window, and those that go.
async fn plan(
    windows: &Windows,
    rules: &[NamespaceRule],
    now: DateTime<Utc>,
) -> Result<(PrunedHistories, Vec<Window>), Error> {
    let listing = windows.read(windows.references(None).await?).await?;
    let unusable = |damaged: &vault::Damaged| Damage::unusable(&damaged.key, &damaged.error);
    let unreadable = listing.damaged.iter().map(unusable).collect();
    let mut namespaces: BTreeMap<(String, String), PrunedNamespace> = BTreeMap::new();
    let mut removals = Vec::new();
    let of = |window: &Window| (window.namespace.name.clone(), window.namespace.id.clone());
    let mut reached = BTreeMap::new();
    for window in &listing.windows {
        let reached = reached.entry(of(window)).or_default();
        *reached = covered_until([window].into_iter()).max(*reached);
    }
    let replaced = listing.replaced.into_iter().map(|window| (window, true));
    for (window, is_replaced) in replaced.chain(listing.windows.into_iter().map(|it| (it, false))) {
        let rule = rules.iter().find(|rule| rule.pattern.matches(&window.namespace.name));
        let reason = match rule {
            _ if is_replaced => FateReason::Replaced,
            None => FateReason::Unnamed,
            Some(NamespaceRule { keep: None, .. }) => FateReason::Forever,
            Some(NamespaceRule { keep: Some(keep), .. }) => {
                let seconds = keep.num_seconds();
                let reached = reached.get(&of(&window)).copied().flatten();
                if limit(now, reached, *keep).is_some_and(|limit| has_outlived(&window, limit)) {
                    FateReason::Expired { seconds }
                } else {
                    FateReason::Within { seconds }
                }
            }
        };
        let goes = matches!(reason, FateReason::Expired { .. } | FateReason::Replaced);
        let (first_close, last_close) = window.id.closes();
        let fate =
            Fate { id: window.id.to_string(), runs: window.runs, first_close, last_close, reason };
        let (name, id) = (window.namespace.name.clone(), window.namespace.id.clone());
        let namespace =
            namespaces.entry((name.clone(), id.clone())).or_insert_with(|| PrunedNamespace {
                namespace: name,
                namespace_id: id,
                keep: Vec::new(),
                remove: Vec::new(),
            });
        if goes {
            namespace.remove.push(fate);
            removals.push(window);
        } else {
            namespace.keep.push(fate);
        }
    }
    let namespaces = namespaces.into_values().collect();
    Ok((PrunedHistories { namespaces, unreadable, applied: None }, removals))
}
