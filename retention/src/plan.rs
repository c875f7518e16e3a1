//! What stays, what goes, and why.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::shrink::{self, Shrink};
use crate::{Candidate, KeepReason, Period, Policy, PolicyError, RemoveReason};

/// The plan for every group, in the order of their names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// One for each group that has a candidate.
    pub groups: Vec<GroupPlan>,
}

/// The plan for one group: each candidate is in `keep` or in `remove`, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupPlan {
    /// The group.
    pub group: String,
    /// Why nothing is removed, when pruning is frozen.
    pub frozen: Option<Shrink>,
    /// What stays.
    pub keep: Vec<Kept>,
    /// What goes.
    pub remove: Vec<Removed>,
}

/// A backup that stays.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kept {
    /// Identity.
    pub id: String,
    /// Every reason, at least one.
    pub reasons: Vec<KeepReason>,
}

/// A backup that goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Removed {
    /// Identity.
    pub id: String,
    /// Why.
    pub reason: RemoveReason,
}

/// Reasons by id.
type Keeps<'a> = HashMap<&'a str, Vec<KeepReason>>;

/// Judges `candidates` by `policy` at the time `now`.
///
/// Whole backups are counted among themselves, so a part-failed one never takes a whole one's
/// place; a part-failed one stays while the same rules, counting both, would keep it.
/// Candidates dated after `now` stay and are not counted. Of the others, the newest that passed a
/// drill stays whatever the rules say: it is the one that is known to restore.
pub fn plan(
    candidates: &[Candidate],
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<Plan, PolicyError> {
    policy.check()?;
    let mut groups: BTreeMap<&str, Vec<&Candidate>> = BTreeMap::new();
    for candidate in candidates {
        groups.entry(&candidate.group).or_default().push(candidate);
    }
    let groups = groups.into_iter().map(|(name, group)| plan_group(name, group, policy, now));
    Ok(Plan { groups: groups.collect() })
}

fn plan_group(
    name: &str,
    mut group: Vec<&Candidate>,
    policy: &Policy,
    now: DateTime<Utc>,
) -> GroupPlan {
    group.sort_by(|a, b| (b.time, &b.id).cmp(&(a.time, &a.id)));
    let present: Vec<&Candidate> = group.iter().copied().filter(|c| c.time <= now).collect();
    let whole: Vec<&Candidate> = present.iter().copied().filter(|c| c.whole).collect();

    let frozen = shrink::find(whole.iter().rev().copied(), policy.shrink_limit);
    let mut keeps = apply(policy, &whole);
    let with_parts = apply(policy, &present);
    for candidate in present.iter().filter(|c| !c.whole) {
        if let Some(reasons) = with_parts.get(candidate.id.as_str()) {
            keeps.insert(&candidate.id, reasons.clone());
        }
    }
    for candidate in group.iter().filter(|c| c.time > now) {
        keeps.insert(&candidate.id, vec![KeepReason::Future]);
    }
    if let Some(proven) = present.iter().find(|c| c.drilled && c.whole) {
        keeps.entry(&proven.id).or_default().push(KeepReason::Drilled);
    }
    if keeps.is_empty()
        && let Some(newest) = group.first()
    {
        keeps.insert(&newest.id, vec![KeepReason::LastOfGroup]);
    }

    let removals: HashMap<&str, RemoveReason> = group
        .iter()
        .filter(|c| !keeps.contains_key(c.id.as_str()))
        .map(|c| (c.id.as_str(), why_removed(c, &present, &keeps, policy)))
        .collect();
    let mut plan = GroupPlan { group: name.to_owned(), frozen, keep: vec![], remove: vec![] };
    for candidate in group {
        let id = candidate.id.clone();
        match (keeps.remove(id.as_str()), removals.get(id.as_str())) {
            (Some(reasons), _) => plan.keep.push(Kept { id, reasons }),
            (None, Some(reason)) if plan.frozen.is_none() => {
                plan.remove.push(Removed { id, reason: reason.clone() });
            }
            (None, _) => plan.keep.push(Kept { id, reasons: vec![KeepReason::Frozen] }),
        }
    }
    plan
}

/// Applies every rule to a list, newest first.
fn apply<'a>(policy: &Policy, newest_first: &[&'a Candidate]) -> Keeps<'a> {
    let mut keeps = Keeps::new();
    let mut keep = |candidate: &'a Candidate, reason| {
        keeps.entry(candidate.id.as_str()).or_default().push(reason);
    };
    for (candidate, number) in newest_first.iter().zip(1..=policy.last) {
        keep(candidate, KeepReason::Last { number });
    }
    for period in Period::ALL {
        let mut current = None;
        let mut number = 0;
        for (index, candidate) in newest_first.iter().enumerate() {
            if number == policy.count(period) {
                break;
            }
            let this = Some(period.of(candidate.time, policy.zone));
            if this != current {
                number += 1;
                current = this;
                keep(candidate, KeepReason::Newest { period, number });
            } else if index + 1 == newest_first.len() {
                keep(candidate, KeepReason::Oldest { period });
            }
        }
    }
    if let (Some(span), Some(newest)) = (policy.within, newest_first.first()) {
        let young = |c: &&&'a Candidate| newest.time.signed_duration_since(c.time) <= span;
        for candidate in newest_first.iter().take_while(young) {
            keep(candidate, KeepReason::Within { seconds: span.num_seconds() });
        }
    }
    keeps
}

fn why_removed(
    candidate: &Candidate,
    newest_first: &[&Candidate],
    keeps: &Keeps<'_>,
    policy: &Policy,
) -> RemoveReason {
    let Some(period) = Period::ALL.into_iter().find(|period| policy.count(*period) > 0) else {
        return RemoveReason::Expired;
    };
    let this = period.of(candidate.time, policy.zone);
    newest_first
        .iter()
        .take_while(|other| other.id != candidate.id)
        .find(|other| {
            keeps.contains_key(other.id.as_str()) && period.of(other.time, policy.zone) == this
        })
        .map_or(RemoveReason::Expired, |other| RemoveReason::Replaced {
            period,
            by: other.id.clone(),
        })
}
