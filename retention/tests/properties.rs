//! What holds for every set of candidates and every policy.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use retention::{Candidate, Encoding, KeepReason, Plan, Policy, plan};

const ROUNDS: u64 = 3000;

fn now() -> DateTime<Utc> {
    "2027-03-28T12:00:00Z".parse().unwrap()
}

fn random_candidates(rng: &mut StdRng) -> Vec<Candidate> {
    (0..rng.random_range(1..60))
        .map(|number| {
            let reach = [3_600 * 30, 86_400 * 40, 86_400 * 900][rng.random_range(0..3)];
            Candidate {
                id: format!("b{number:03}"),
                group: format!("g{}", rng.random_range(0..3)),
                time: now() - TimeDelta::seconds(rng.random_range(-20_000..reach)),
                whole: rng.random_bool(0.8),
                rows: rng.random_range(0..1000),
                bytes: rng.random_range(0..1_000_000),
                encoding: [Encoding::Text, Encoding::Binary, Encoding::Mixed]
                    [rng.random_range(0..3)],
                accepted: rng.random_bool(0.1),
                drilled: rng.random_bool(0.1),
            }
        })
        .collect()
}

fn random_policy(rng: &mut StdRng) -> Policy {
    let mut count = |most| if rng.random_bool(0.5) { rng.random_range(0..most) } else { 0 };
    let (last, hourly, daily) = (count(5), count(30), count(10));
    let (weekly, monthly, yearly) = (count(5), count(13), count(4));
    let zones = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"];
    let policy = Policy {
        last,
        hourly,
        daily,
        weekly,
        monthly,
        yearly,
        within: rng.random_bool(0.3).then(|| TimeDelta::hours(rng.random_range(1..500))),
        zone: zones[rng.random_range(0..zones.len())].parse().unwrap(),
        shrink_limit: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.0..1.0) },
    };
    if policy.check().is_ok() { policy } else { Policy { last: 1, ..policy } }
}

fn removed(plan: &Plan) -> BTreeSet<String> {
    plan.groups.iter().flat_map(|g| g.remove.iter().map(|r| r.id.clone())).collect()
}

fn for_every_case(check: impl Fn(&mut StdRng, Vec<Candidate>, Policy, Plan)) {
    for seed in 0..ROUNDS {
        let mut rng = StdRng::seed_from_u64(seed);
        let candidates = random_candidates(&mut rng);
        let policy = random_policy(&mut rng);
        let planned = plan(&candidates, &policy, now()).unwrap();
        let case = std::panic::AssertUnwindSafe(|| check(&mut rng, candidates, policy, planned));
        assert!(std::panic::catch_unwind(case).is_ok(), "it was seed {seed}");
    }
}

#[test]
fn every_candidate_is_kept_or_removed_exactly_once_and_has_a_reason() {
    for_every_case(|_, candidates, _, plan| {
        let mut seen = BTreeSet::new();
        for group in &plan.groups {
            for kept in &group.keep {
                assert!(!kept.reasons.is_empty());
                assert!(seen.insert(kept.id.clone()));
            }
            for gone in &group.remove {
                assert!(seen.insert(gone.id.clone()));
            }
        }
        assert_eq!(seen.len(), candidates.len());
    });
}

#[test]
fn no_group_is_emptied_and_its_newest_whole_backup_stays() {
    for_every_case(|_, candidates, _, plan| {
        let gone = removed(&plan);
        for group in &plan.groups {
            assert!(!group.keep.is_empty());
            let newest_whole = candidates
                .iter()
                .filter(|c| c.group == group.group && c.whole && c.time <= now())
                .max_by_key(|c| (c.time, c.id.clone()));
            assert!(newest_whole.is_none_or(|c| !gone.contains(&c.id)));
        }
    });
}

#[test]
fn part_done_backups_make_no_difference_to_whole_ones() {
    for_every_case(|_, candidates, policy, planned| {
        let whole: Vec<_> = candidates.iter().filter(|c| c.whole).cloned().collect();
        let without = removed(&plan(&whole, &policy, now()).unwrap());
        let with: BTreeSet<_> =
            removed(&planned).into_iter().filter(|id| whole.iter().any(|c| c.id == *id)).collect();
        assert_eq!(with, without);
    });
}

#[test]
fn the_order_of_the_candidates_makes_no_difference() {
    for_every_case(|rng, mut candidates, policy, planned| {
        for i in (1..candidates.len()).rev() {
            candidates.swap(i, rng.random_range(0..=i));
        }
        assert_eq!(plan(&candidates, &policy, now()).unwrap(), planned);
    });
}

#[test]
fn what_a_plan_keeps_a_second_plan_keeps_too() {
    for_every_case(|_, candidates, policy, planned| {
        if planned.groups.iter().any(|g| g.frozen.is_some()) {
            return;
        }
        let gone = removed(&planned);
        let left: Vec<_> = candidates.into_iter().filter(|c| !gone.contains(&c.id)).collect();
        let policy = Policy { shrink_limit: 0.0, ..policy };
        assert_eq!(removed(&plan(&left, &policy, now()).unwrap()), BTreeSet::new());
    });
}

#[test]
fn a_more_generous_policy_removes_nothing_more() {
    for_every_case(|_, candidates, policy, planned| {
        let more = Policy { last: policy.last + 3, ..policy };
        assert!(removed(&plan(&candidates, &more, now()).unwrap()).is_subset(&removed(&planned)));
    });
}

#[test]
fn a_frozen_group_removes_nothing() {
    for_every_case(|_, _, _, plan| {
        for group in plan.groups.iter().filter(|g| g.frozen.is_some()) {
            assert!(group.remove.is_empty());
        }
    });
}

#[test]
fn backups_dated_after_now_are_never_removed() {
    for_every_case(|_, candidates, _, plan| {
        let gone = removed(&plan);
        assert!(candidates.iter().all(|c| c.time <= now() || !gone.contains(&c.id)));
        let future = |id: &str| candidates.iter().any(|c| c.id == id && c.time > now());
        for kept in plan.groups.iter().flat_map(|g| &g.keep) {
            assert_eq!(kept.reasons == [KeepReason::Future], future(&kept.id));
        }
    });
}
