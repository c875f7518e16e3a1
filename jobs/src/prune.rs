//! Expiring backups: plan, show, apply.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use retention::{Plan, Policy};
use serde::Serialize;
use vault::Catalogue;
use vault::lease::Guard;

use crate::runner::{Exclusive, Job, Report, Shared};
use crate::{Context, Damage, Error, Verdict, accept, group, verify};

/// Objects that are read at the same time before others are removed.
const VERIFY_JOBS: usize = 2;

/// What is kept, and how long objects without a backup are left alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// What is kept.
    pub policy: Policy,
    /// Age at which objects that no backup names are swept.
    pub orphan_grace: Duration,
}

/// Plans what would be removed; changes nothing.
#[derive(Debug, Clone)]
pub struct PlanPrune {
    /// The rules.
    pub rules: Rules,
}

/// Plans what is to be removed, and removes it.
#[derive(Debug, Clone)]
pub struct Prune {
    /// The rules.
    pub rules: Rules,
    /// A backup whose size the operator takes for right, by identity or its beginning.
    pub accept_smaller: Option<String>,
}

/// What a prune found, and did if it was told to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// Group by group, what stays and what goes, with reasons.
    #[serde(flatten)]
    pub plan: Plan,
    /// When each backup of the plan was begun.
    pub started: BTreeMap<String, DateTime<Utc>>,
    /// Manifests that cannot be used; while there are any, nothing is removed.
    pub unreadable: Vec<Damage>,
    /// What is wrong with backups in whose favour others were to go: of their groups nothing is
    /// removed. Only looked for when it is applied.
    pub damaged: Vec<Damage>,
    /// Objects that no backup names and whose grace time is over.
    pub orphans: u64,
    /// What was done; `None` when it was only planned.
    pub applied: Option<Freed>,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Freed {
    /// Backups.
    pub backups: Vec<String>,
    /// Their objects, and orphans.
    pub objects: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Uploads that were never finished.
    pub uploads: u64,
}

impl Pruned {
    /// Groups whose pruning is frozen.
    pub fn frozen(&self) -> impl Iterator<Item = (&str, &retention::Shrink)> {
        self.plan.groups.iter().filter_map(|g| Some((g.group.as_str(), g.frozen.as_ref()?)))
    }

    /// Backups that go.
    pub fn removals(&self) -> Vec<String> {
        let groups = self.plan.groups.iter();
        groups.flat_map(|group| group.remove.iter().map(|removed| removed.id.clone())).collect()
    }
}

impl Report for Pruned {
    fn verdict(&self) -> Verdict {
        if self.unreadable.is_empty() && self.damaged.is_empty() {
            Verdict::Done
        } else {
            Verdict::Damaged
        }
    }
}

#[async_trait]
impl Job for PlanPrune {
    type Report = Pruned;
    type Access = Shared;
    const NAME: &'static str = "prune";

    async fn run(&self, context: &Context, _: &Shared) -> Result<Pruned, Error> {
        let mut pruned = plan(&self.rules, &context.catalogue, context.clock.now()).await?;
        if pruned.unreadable.is_empty() {
            let grace = grace(&self.rules);
            let orphans = context.catalogue.orphans(grace, context.clock.now()).await?;
            pruned.orphans = orphans.len() as u64;
        }
        Ok(pruned)
    }
}

#[async_trait]
impl Job for Prune {
    type Report = Pruned;
    type Access = Exclusive;
    const NAME: &'static str = "prune";

    async fn run(&self, context: &Context, access: &Exclusive) -> Result<Pruned, Error> {
        if let Some(wanted) = &self.accept_smaller {
            let id = context.catalogue.resolve(wanted).await?;
            accept::put(context.catalogue.store().as_ref(), &id).await?;
        }
        apply(&self.rules, context, access.guard(), None).await
    }
}

/// Plans and applies: manifests first, their objects second, then what dead runs left. Of a group
/// something goes only after the newest whole backup that stays was read back, all of it;
/// `verified` was, just now.
pub(crate) async fn apply(
    rules: &Rules,
    context: &Context,
    lease: &Guard,
    verified: Option<&str>,
) -> Result<Pruned, Error> {
    let catalogue = &context.catalogue;
    let mut pruned = plan(rules, catalogue, context.clock.now()).await?;
    for (group, shrink) in pruned.frozen() {
        tracing::warn!(
            "pruning of {group} is frozen: {shrink}; if that is right, run `aidp-backup prune \
             --apply --accept-smaller {}`",
            shrink.newest
        );
    }
    if !pruned.unreadable.is_empty() {
        // Nobody knows what those backups need.
        return Ok(pruned);
    }
    context.go_on()?;
    spare_groups_of_damaged(&mut pruned, context, verified).await?;
    let removals = pruned.removals();
    let removed = catalogue.remove(&removals, lease).await?;
    accept::forget(catalogue.store().as_ref(), &removals).await?;
    context.go_on()?;
    let swept = catalogue.sweep(grace(rules), context.clock.now(), lease).await?;
    pruned.orphans = swept.objects;
    pruned.applied = Some(Freed {
        backups: removed.ids,
        objects: removed.objects + swept.objects,
        bytes: removed.bytes + swept.bytes,
        uploads: swept.uploads,
    });
    Ok(pruned)
}

/// Takes the removals of those groups back whose newest whole backup does not verify.
async fn spare_groups_of_damaged(
    pruned: &mut Pruned,
    context: &Context,
    verified: Option<&str>,
) -> Result<(), Error> {
    let store = context.catalogue.store();
    for group in pruned.plan.groups.iter_mut().filter(|group| !group.remove.is_empty()) {
        for kept in &group.keep {
            let manifest = context.catalogue.load(&kept.id).await?;
            if !manifest.failed.is_empty() {
                continue;
            }
            if verified == Some(kept.id.as_str()) {
                break;
            }
            let meter = context.progress.begin("verifying what stays");
            let found =
                verify::check(store, &manifest, VERIFY_JOBS, &meter, &context.cancel).await?;
            if !found.damage.is_empty() {
                tracing::error!(
                    "nothing of {} is removed: {}, its newest whole backup, is damaged",
                    group.group,
                    kept.id
                );
                pruned.damaged.extend(found.damage);
                group.remove.clear();
            }
            break;
        }
    }
    Ok(())
}

async fn plan(rules: &Rules, catalogue: &Catalogue, now: DateTime<Utc>) -> Result<Pruned, Error> {
    rules.policy.check()?;
    let accepted = accept::all(catalogue.store().as_ref()).await?;
    let drilled = crate::drill::passed(catalogue.store().as_ref()).await?;
    let mut candidates = Vec::new();
    let mut unreadable = Vec::new();
    let mut each = pin!(catalogue.each().await?);
    while let Some((key, manifest)) = each.next().await {
        match manifest {
            Ok(manifest) => {
                let id = &manifest.id;
                let (accepted, drilled) = (accepted.contains(id), drilled.contains_key(id));
                candidates.push(group::candidate(&manifest, accepted, drilled));
            }
            Err(error @ vault::Error::Manifest { .. }) => {
                unreadable.push(Damage::unusable(&key, &error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let started = candidates.iter().map(|c| (c.id.clone(), c.time)).collect();
    let plan = retention::plan(&candidates, &rules.policy, now)?;
    Ok(Pruned { plan, started, unreadable, damaged: Vec::new(), orphans: 0, applied: None })
}

fn grace(rules: &Rules) -> TimeDelta {
    TimeDelta::from_std(rules.orphan_grace).unwrap_or(TimeDelta::MAX)
}
