//! A year of schedules against a model of crontab(5) that looks at every minute.

use super::*;
use chrono::Timelike;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn every(text: &str, zone: &str, from: &str, to: &str) -> Vec<DateTime<Utc>> {
    let schedule = Schedule::new(text, zone.parse().unwrap()).unwrap();
    let mut at = utc(from);
    let mut all = Vec::new();
    while let Some(next) = schedule.next_after(at).filter(|next| *next < utc(to)) {
        assert_eq!(schedule.last_until(next), Some(next), "{text} {zone} {next}");
        if let Some(before) = all.last() {
            assert_eq!(schedule.last_until(next - TimeDelta::seconds(1)), Some(*before));
        }
        all.push(next);
        at = next;
    }
    all
}

/// crontab(5), minute by minute: what the wall shows and has not shown before.
fn model(
    minutes: &[u32],
    hours: &[u32],
    wildcard: bool,
    zone: Tz,
    from: &str,
    to: &str,
) -> Vec<DateTime<Utc>> {
    let matches =
        |local: NaiveDateTime| minutes.contains(&local.minute()) && hours.contains(&local.hour());
    let wall = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
    let mut fired = Vec::new();
    let mut at = utc(from) + TimeDelta::minutes(1);
    let mut highest = wall(utc(from));
    while at < utc(to) {
        let local = wall(at);
        let fires = if wildcard {
            matches(local)
        } else {
            let mut skipped = highest + TimeDelta::minutes(1);
            let mut any = false;
            while skipped <= local {
                any |= matches(skipped);
                skipped += TimeDelta::minutes(1);
            }
            any
        };
        highest = highest.max(local);
        if fires {
            fired.push(at);
        }
        at += TimeDelta::minutes(1);
    }
    fired
}

#[test]
fn a_year_equals_cron_in_zones_that_change_their_clocks_in_both_directions() {
    let all: Vec<u32> = (0..24).collect();
    let (from, to) = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    let zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];
    for zone in zones {
        for (text, minutes, hours, wildcard) in [
            ("30 2 * * *", vec![30], vec![2], false),
            ("0 2,14 * * *", vec![0], vec![2, 14], false),
            ("15,45 1-3 * * *", vec![15, 45], vec![1, 2, 3], false),
            ("0 * * * *", vec![0], all.clone(), true),
            ("30 */2 * * *", vec![30], (0..24).step_by(2).collect(), true),
        ] {
            let expected = model(&minutes, &hours, wildcard, zone.parse().unwrap(), from, to);
            assert_eq!(every(text, zone, from, to), expected, "{text} in {zone}");
        }
    }
}

#[test]
fn a_time_that_the_clock_leaves_out_runs_right_after_the_change() {
    let runs = every("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-31T00:00:00Z");
    assert_eq!(runs, [utc("2026-03-29T01:00:00Z"), utc("2026-03-30T00:30:00Z")]);
}

#[test]
fn a_time_that_comes_twice_runs_the_first_time_alone() {
    let runs = every("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-27T00:00:00Z");
    assert_eq!(runs, [utc("2026-10-25T00:30:00Z"), utc("2026-10-26T01:30:00Z")]);
}

#[test]
fn every_ten_minutes_means_every_ten_minutes_across_both_changes() {
    for (from, to) in [
        ("2026-03-28T20:00:00Z", "2026-03-29T08:00:00Z"),
        ("2026-10-24T20:00:00Z", "2026-10-25T08:00:00Z"),
    ] {
        let runs = every("*/10 * * * *", "Europe/Berlin", from, to);
        assert!(runs.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::minutes(10)));
        assert_eq!(runs.len(), 12 * 6 - 1);
    }
}

#[test]
fn a_day_that_a_zone_left_out_altogether_holds_nothing_up() {
    let runs = every("0 12 * * *", "Pacific/Apia", "2011-12-28T00:00:00Z", "2012-01-02T00:00:00Z");
    // 30 December 2011 did not exist there: its run comes at the first minute of the 31st.
    assert!(runs.contains(&utc("2011-12-30T10:00:00Z")), "{runs:?}");
    assert!(runs.contains(&utc("2011-12-30T22:00:00Z")), "{runs:?}");
}

#[test]
fn what_is_not_five_fields_or_never_comes_is_refused() {
    for text in ["", "0 2 * *", "0 0 2 * * *", "@daily", "61 2 * * *", "x 2 * * *", "0 0 30 2 *"] {
        assert!(Schedule::new(text, Tz::UTC).is_err(), "{text:?}");
    }
    assert_eq!(Schedule::new("  0  2 * *   SUN ", Tz::UTC).unwrap().text(), "0 2 * * SUN");
}
