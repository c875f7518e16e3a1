//! The rules, one by one.

use chrono::{DateTime, TimeDelta, Utc};
use retention::{
    Candidate, Encoding, KeepReason, Measure, Period, Plan, Policy, PolicyError, RemoveReason, plan,
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn backup(time: &str) -> Candidate {
    Candidate {
        id: time.to_owned(),
        group: "g".to_owned(),
        time: at(time),
        whole: true,
        rows: 1000,
        bytes: 100_000,
        encoding: Encoding::Binary,
        accepted: false,
        drilled: false,
    }
}

fn part_done(time: &str) -> Candidate {
    Candidate { whole: false, rows: 10, bytes: 10, ..backup(time) }
}

fn sized(time: &str, rows: u64, bytes: u64) -> Candidate {
    Candidate { rows, bytes, ..backup(time) }
}

const NOW: &str = "2027-01-10T12:00:00Z";

fn planned(candidates: &[Candidate], policy: &Policy) -> Plan {
    plan(candidates, policy, at(NOW)).unwrap()
}

fn kept(plan: &Plan) -> Vec<&str> {
    plan.groups.iter().flat_map(|g| g.keep.iter().map(|k| k.id.as_str())).collect()
}

fn removed(plan: &Plan) -> Vec<&str> {
    plan.groups.iter().flat_map(|g| g.remove.iter().map(|r| r.id.as_str())).collect()
}

/// One backup at 02:00 on each of the last `count` days, oldest first.
fn daily(count: i64) -> Vec<Candidate> {
    let newest = at("2027-01-10T02:00:00Z");
    (0..count)
        .rev()
        .map(|ago| {
            let time = newest - TimeDelta::days(ago);
            Candidate { id: time.to_rfc3339(), time, ..backup(NOW) }
        })
        .collect()
}

#[test]
fn default_keeps_seven_daily() {
    let plan = planned(&daily(10), &Policy::default());
    assert_eq!(kept(&plan).len(), 7);
    assert_eq!(removed(&plan).len(), 3);
    assert!(plan.groups[0].remove.iter().all(|r| r.reason == RemoveReason::Expired));
    assert_eq!(
        plan.groups[0].keep[6].reasons,
        [KeepReason::Newest { period: Period::Day, number: 7 }]
    );
}

#[test]
fn only_the_newest_of_a_day_is_kept_and_the_reason_names_it() {
    let candidates = [
        backup("2027-01-08T02:00:00Z"),
        backup("2027-01-09T02:00:00Z"),
        backup("2027-01-09T14:00:00Z"),
        backup("2027-01-10T02:00:00Z"),
    ];
    let plan = planned(&candidates, &Policy::default());
    assert_eq!(removed(&plan), ["2027-01-09T02:00:00Z"]);
    let reason = &plan.groups[0].remove[0].reason;
    assert_eq!(reason.to_string(), "2027-01-09T14:00:00Z is newer on the same day");
}

#[test]
fn days_without_a_backup_are_not_counted() {
    let candidates: Vec<_> =
        (1..=7).map(|month| backup(&format!("2026-0{month}-01T02:00:00Z"))).collect();
    assert_eq!(kept(&planned(&candidates, &Policy::default())).len(), 7);
}

#[test]
fn the_oldest_is_kept_while_a_rule_has_room() {
    let policy = Policy { monthly: 12, ..Policy::none() };
    let candidates = [
        backup("2027-01-01T02:00:00Z"),
        backup("2027-01-05T02:00:00Z"),
        backup("2027-01-09T02:00:00Z"),
    ];
    let plan = planned(&candidates, &policy);
    assert_eq!(removed(&plan), ["2027-01-05T02:00:00Z"]);
    assert_eq!(plan.groups[0].keep[1].reasons, [KeepReason::Oldest { period: Period::Month }]);
}

#[test]
fn last_within_and_periods_add_up() {
    let policy = Policy { last: 1, weekly: 2, within: Some(TimeDelta::days(2)), ..Policy::none() };
    let plan = planned(&daily(20), &policy);
    let reasons: Vec<String> = plan.groups[0]
        .keep
        .iter()
        .map(|k| k.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        .collect();
    // 10 January 2027 is a Sunday: its week began on the 4th.
    assert_eq!(reasons, ["last 1, weekly 1, within 2d", "within 2d", "within 2d", "weekly 2"]);
}

#[test]
fn within_counts_from_the_newest_not_from_now() {
    let policy = Policy { within: Some(TimeDelta::days(3)), ..Policy::none() };
    let candidates = [backup("2026-03-01T00:00:00Z"), backup("2026-03-02T00:00:00Z")];
    assert_eq!(kept(&planned(&candidates, &policy)).len(), 2);
}

#[test]
fn a_day_begins_where_the_time_zone_says() {
    let candidates = [
        backup("2027-01-08T21:30:00Z"),
        backup("2027-01-08T23:30:00Z"),
        backup("2027-01-09T21:30:00Z"),
    ];
    let policy = Policy { daily: 2, ..Policy::none() };
    assert_eq!(removed(&planned(&candidates, &policy)), ["2027-01-08T21:30:00Z"]);
    let berlin = Policy { zone: "Europe/Berlin".parse().unwrap(), ..policy };
    assert_eq!(removed(&planned(&candidates, &berlin)), ["2027-01-08T23:30:00Z"]);
    let tokyo = Policy { zone: "Asia/Tokyo".parse().unwrap(), daily: 1, ..berlin };
    assert_eq!(kept(&planned(&candidates, &tokyo)), ["2027-01-09T21:30:00Z"]);
    let two = Policy { daily: 2, ..tokyo };
    assert_eq!(removed(&planned(&candidates, &two)), ["2027-01-08T21:30:00Z"]);
}

#[test]
fn the_hour_that_ends_summer_time_counts_twice() {
    let policy = Policy { hourly: 2, zone: "Europe/Berlin".parse().unwrap(), ..Policy::none() };
    // Both are 02:30 on the wall.
    let candidates = [backup("2026-10-25T00:30:00Z"), backup("2026-10-25T01:30:00Z")];
    assert_eq!(kept(&planned(&candidates, &policy)).len(), 2);
}

#[test]
fn weeks_are_iso_weeks_across_new_year() {
    let policy = Policy { weekly: 1, ..Policy::none() };
    let candidates = [backup("2026-12-28T02:00:00Z"), backup("2027-01-03T02:00:00Z")];
    // Monday and Sunday of one week; with one slot only the newest stays.
    assert_eq!(removed(&planned(&candidates, &policy)), ["2026-12-28T02:00:00Z"]);
}

#[test]
fn part_done_backups_never_push_out_the_last_whole_one() {
    let mut candidates = vec![backup("2026-12-01T02:00:00Z")];
    candidates.extend((1..=9).map(|day| part_done(&format!("2027-01-0{day}T02:00:00Z"))));
    let plan = planned(&candidates, &Policy { daily: 3, ..Policy::none() });
    assert!(kept(&plan).contains(&"2026-12-01T02:00:00Z"));
    assert_eq!(kept(&plan).len(), 4);
}

#[test]
fn part_done_backups_expire_beside_newer_whole_ones() {
    let mut candidates = daily(7);
    candidates.push(part_done("2026-12-01T02:00:00Z"));
    let plan = planned(&candidates, &Policy::default());
    assert_eq!(removed(&plan), ["2026-12-01T02:00:00Z"]);
}

#[test]
fn groups_are_judged_apart() {
    let mut candidates = daily(8);
    candidates.push(Candidate { group: "other".into(), ..backup("2020-01-01T00:00:00Z") });
    let plan = planned(&candidates, &Policy::default());
    assert_eq!(plan.groups.len(), 2);
    assert_eq!(plan.groups[1].keep.len(), 1);
    assert_eq!(plan.groups[1].group, "other");
}

#[test]
fn backups_dated_after_now_stay_and_take_no_slot() {
    let mut candidates = daily(3);
    candidates.push(backup("2099-01-01T00:00:00Z"));
    let plan = planned(&candidates, &Policy { daily: 3, ..Policy::none() });
    assert_eq!(kept(&plan).len(), 4);
    assert_eq!(plan.groups[0].keep[0].reasons, [KeepReason::Future]);
}

#[test]
fn a_clock_set_far_ahead_removes_nothing_more() {
    let candidates = daily(7);
    let policy = Policy { within: Some(TimeDelta::days(2)), ..Policy::default() };
    let plan = plan(&candidates, &policy, at("2399-01-01T00:00:00Z")).unwrap();
    assert_eq!(kept(&plan).len(), 7);
}

#[test]
fn an_empty_policy_is_an_error() {
    let error = plan(&daily(2), &Policy::none(), at(NOW)).unwrap_err();
    assert_eq!(error, PolicyError::Empty);
    assert!(error.hint().contains("keep_daily"));
    let none = Policy { within: Some(TimeDelta::zero()), ..Policy::default() };
    assert_eq!(plan(&[], &none, at(NOW)).unwrap_err(), PolicyError::Within);
    let nan = Policy { shrink_limit: f64::NAN, ..Policy::default() };
    assert!(matches!(plan(&[], &nan, at(NOW)), Err(PolicyError::ShrinkLimit(_))));
}

#[test]
fn a_small_newest_backup_freezes_its_group() {
    let mut candidates = daily(9);
    candidates.push(sized("2027-01-10T03:00:00Z", 499, 100_000));
    let plan = planned(&candidates, &Policy::default());
    let frozen = plan.groups[0].frozen.as_ref().unwrap();
    assert_eq!((frozen.measure, frozen.before, frozen.now), (Measure::Rows, 1000, 499));
    assert!(plan.groups[0].remove.is_empty());
    assert_eq!(plan.groups[0].keep.last().unwrap().reasons, [KeepReason::Frozen]);
    assert_eq!(
        frozen.to_string(),
        "2027-01-10T03:00:00Z has 499 rows where 2027-01-10T02:00:00+00:00 had 1000, less than 50 %"
    );
}

#[test]
fn fewer_bytes_freeze_only_between_equal_encodings() {
    let before = sized("2027-01-08T03:00:00Z", 1000, 100_000);
    let after = sized("2027-01-09T03:00:00Z", 1000, 10_000);
    let plan = planned(&[before.clone(), after.clone()], &Policy::default());
    assert_eq!(plan.groups[0].frozen.as_ref().unwrap().measure, Measure::Bytes);
    let text = Candidate { encoding: Encoding::Text, ..before };
    assert!(planned(&[text, after], &Policy::default()).groups[0].frozen.is_none());
}

#[test]
fn a_second_small_backup_does_not_thaw_the_group() {
    let mut candidates = daily(9);
    candidates.push(sized("2027-01-10T03:00:00Z", 0, 0));
    candidates.push(sized("2027-01-10T04:00:00Z", 0, 0));
    let plan = planned(&candidates, &Policy::default());
    assert!(plan.groups[0].frozen.is_some());
    assert!(plan.groups[0].remove.is_empty());
}

#[test]
fn an_accepted_small_backup_thaws_the_group() {
    let mut candidates = daily(9);
    let small = sized("2027-01-10T03:00:00Z", 10, 10);
    candidates.push(Candidate { accepted: true, ..small });
    candidates.push(sized("2027-01-10T04:00:00Z", 11, 11));
    let plan = planned(&candidates, &Policy::default());
    assert!(plan.groups[0].frozen.is_none());
    assert!(!plan.groups[0].remove.is_empty());
}

#[test]
fn a_group_thaws_when_the_size_is_back() {
    let mut candidates = daily(9);
    candidates.push(sized("2027-01-10T03:00:00Z", 10, 10));
    candidates.push(backup("2027-01-10T04:00:00Z"));
    assert!(planned(&candidates, &Policy::default()).groups[0].frozen.is_none());
}

#[test]
fn a_part_done_backup_does_not_freeze() {
    let mut candidates = daily(3);
    candidates.push(part_done("2027-01-10T03:00:00Z"));
    assert!(planned(&candidates, &Policy::default()).groups[0].frozen.is_none());
}

#[test]
fn unknown_time_zones_are_refused_by_name() {
    let error = "Europe/Atlantis".parse::<retention::Zone>().unwrap_err();
    assert_eq!(error.to_string(), "no time zone is called \"Europe/Atlantis\"");
}

#[test]
fn the_newest_that_passed_a_drill_stays_whatever_the_rules_say() {
    let mut candidates = daily(20);
    for old in [0, 3] {
        candidates[old].drilled = true;
    }
    let plan = planned(&candidates, &Policy { last: 2, ..Policy::none() });
    let newest = candidates.iter().filter(|c| c.drilled).max_by_key(|c| c.time).unwrap();
    assert_eq!(kept(&plan).len(), 3);
    let reasons = |id: &str| {
        plan.groups[0].keep.iter().find(|kept| kept.id == id).map(|kept| kept.reasons.clone())
    };
    assert!(reasons(&newest.id).unwrap().contains(&KeepReason::Drilled));
    let oldest = candidates.iter().filter(|c| c.drilled).min_by_key(|c| c.time).unwrap();
    assert_eq!(reasons(&oldest.id), None);
    assert_eq!(KeepReason::Drilled.to_string(), "newest that passed a drill");
}
