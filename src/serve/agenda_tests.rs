//! Days of a sidecar in milliseconds: restarts, sleeps, leaps of the clock, failures.

use super::*;
use chrono_tz::Tz;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn agenda(text: &str) -> Agenda {
    Agenda {
        schedule: Schedule::new(text, Tz::Europe__Berlin).unwrap(),
        jitter: TimeDelta::zero(),
        catch_up: true,
        retries: 5,
        retry_after: TimeDelta::minutes(5),
        seed: 7,
    }
}

/// A sidecar that looks at the clock now and then, and whose runs take `takes`.
struct World {
    agenda: Agenda,
    past: Past,
    now: DateTime<Utc>,
    runs: Vec<(DateTime<Utc>, Why)>,
}

impl World {
    fn new(agenda: Agenda, now: &str) -> Self {
        let past = Past { since: Some(utc(now)), ..Past::default() };
        Self { agenda, past, now: utc(now), runs: Vec::new() }
    }

    /// Lives until `to`, a look each `step`; `works` says whether a run succeeds.
    fn live(&mut self, to: &str, step: TimeDelta, works: impl Fn(usize) -> bool) {
        while self.now < utc(to) {
            if let Some(due) =
                self.agenda.next(&self.past, self.now).filter(|due| due.at <= self.now)
            {
                self.runs.push((self.now, due.why));
                if works(self.runs.len()) {
                    self.past.succeed(self.now);
                } else {
                    self.past.fail(Some(&self.agenda), self.now);
                }
            }
            self.now += step;
        }
    }

    /// Only what the store knows survives.
    fn restart(&mut self) {
        let failed = self.past.failed.map(|failed| Failed { count: 1, ..failed });
        self.past = Past { success: self.past.success, failed, busy: None, since: Some(self.now) };
    }
}

#[test]
fn a_year_of_nights_has_one_run_each_across_both_clock_changes() {
    let mut world = World::new(agenda("30 2 * * *"), "2026-01-01T00:00:00Z");
    world.past.success = Some(utc("2025-12-31T01:30:00Z"));
    world.live("2027-01-01T00:00:00Z", TimeDelta::minutes(10), |_| true);
    assert_eq!(world.runs.len(), 365);
    assert!(world.runs.iter().all(|(_, why)| *why == Why::Schedule));
}

#[test]
fn restarts_neither_double_nor_lose_a_run() {
    let mut world = World::new(agenda("0 2 * * *"), "2026-03-20T00:00:00Z");
    world.past.success = Some(utc("2026-03-19T01:00:00Z"));
    for day in 20..31 {
        for hour in 0..24 {
            world.live(&format!("2026-03-{day}T{hour:02}:59:00Z"), TimeDelta::minutes(1), |_| true);
            world.restart();
        }
    }
    assert_eq!(world.runs.len(), 11);
}

#[test]
fn days_of_sleep_are_caught_up_by_one_run() {
    let mut world = World::new(agenda("0 2 * * *"), "2026-06-01T00:00:00Z");
    world.live("2026-06-02T12:00:00Z", TimeDelta::minutes(1), |_| true);
    let before = world.runs.len();
    world.now = utc("2026-06-09T15:00:00Z");
    world.live("2026-06-10T12:00:00Z", TimeDelta::minutes(1), |_| true);
    let after = &world.runs[before..];
    assert_eq!(after[0], (utc("2026-06-09T15:00:00Z"), Why::CatchUp));
    assert_eq!(after[1], (utc("2026-06-10T00:00:00Z"), Why::Schedule));
    assert_eq!(after.len(), 2);
}

#[test]
fn a_clock_put_back_by_hours_repeats_nothing() {
    let mut world = World::new(agenda("0 2 * * *"), "2026-06-01T00:00:00Z");
    world.live("2026-06-02T03:00:00Z", TimeDelta::minutes(1), |_| true);
    let before = world.runs.len();
    world.now = utc("2026-06-01T20:00:00Z");
    world.live("2026-06-02T20:00:00Z", TimeDelta::minutes(1), |_| true);
    assert_eq!(world.runs.len(), before);
    world.live("2026-06-03T20:00:00Z", TimeDelta::minutes(1), |_| true);
    assert_eq!(world.runs.len(), before + 1);
}

#[test]
fn a_success_from_the_far_future_is_not_believed() {
    let world = agenda("0 2 * * *");
    let past = Past { success: Some(utc("2031-01-01T00:00:00Z")), ..Past::default() };
    let now = utc("2026-06-01T12:00:00Z");
    assert!(world.next(&past, now).unwrap().at <= now);
}

#[test]
fn a_store_without_backups_is_served_at_once() {
    let now = utc("2026-06-01T12:00:00Z");
    let past = Past { since: Some(now), ..Past::default() };
    let due = agenda("0 2 * * *").next(&past, now).unwrap();
    assert_eq!((due.at <= now, due.why), (true, Why::CatchUp));
    let waiting = Agenda { catch_up: false, ..agenda("0 2 * * *") };
    assert_eq!(waiting.next(&past, now).unwrap().at, utc("2026-06-02T00:00:00Z"));
}

#[test]
fn failures_are_retried_with_growing_pauses_and_given_up_for_the_day() {
    let mut world = World::new(agenda("0 2 * * *"), "2026-06-01T00:00:00Z");
    world.past.success = Some(utc("2026-05-31T00:00:00Z"));
    world.live("2026-06-01T23:59:00Z", TimeDelta::minutes(1), |_| false);
    let minutes: Vec<i64> =
        world.runs.windows(2).map(|pair| (pair[1].0 - pair[0].0).num_minutes()).collect();
    assert_eq!(minutes, [5, 10, 20, 40, 60]);
    // The next night begins anew.
    world.live("2026-06-02T00:01:00Z", TimeDelta::minutes(1), |_| true);
    assert_eq!(world.runs.last().unwrap().1, Why::Schedule);
}

#[test]
fn a_run_elsewhere_fills_the_slot_and_one_in_progress_is_waited_for() {
    let agenda = agenda("0 2 * * *");
    let now = utc("2026-06-01T00:00:10Z");
    let mut past = Past { success: Some(utc("2026-05-31T00:00:00Z")), ..Past::default() };
    assert!(agenda.next(&past, now).unwrap().at <= now);
    past.busy = Some(now);
    assert_eq!(agenda.next(&past, now).unwrap(), Due { at: now + BUSY, why: Why::Busy });
    // The other one has made it.
    past.success = Some(utc("2026-06-01T00:00:05Z"));
    assert_eq!(agenda.next(&past, now).unwrap().at, utc("2026-06-02T00:00:00Z"));
}

#[test]
fn jitter_is_the_same_after_a_restart_and_spreads_over_its_span() {
    let hour = Agenda { jitter: TimeDelta::minutes(10), ..agenda("0 * * * *") };
    let start = utc("2026-06-01T00:00:00Z");
    let delays: Vec<i64> = (0..200)
        .map(|n| start + TimeDelta::hours(n))
        .map(|slot| (hour.delayed(slot) - slot).num_seconds())
        .collect();
    assert!(delays.iter().all(|delay| (0..=600).contains(delay)));
    assert!(delays.iter().any(|d| *d < 100) && delays.iter().any(|d| *d > 500));
    assert_eq!(hour.delayed(start), hour.clone().delayed(start));
    assert_ne!(hour.delayed(start), Agenda { seed: 8, ..hour.clone() }.delayed(start));
    // A schedule of every minute leaves no room for ten.
    let minute = Agenda { jitter: TimeDelta::minutes(10), ..agenda("* * * * *") };
    assert!(minute.delayed(start) - start <= TimeDelta::seconds(30));
}
