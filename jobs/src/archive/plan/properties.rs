//! The arithmetic of intervals on random ones, against an oracle that looks at every microsecond
//! by itself.

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;

/// Microseconds of the little world that the oracle looks at.
const WORLD: i64 = 60;

const CASES: u64 = 3_000;

fn micro(at: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at).unwrap()
}

fn some_interval(random: &mut SmallRng) -> Interval {
    let (one, other) = (random.random_range(0..WORLD), random.random_range(0..=WORLD));
    Interval { from: micro(one.min(other)), to: micro(one.max(other)) }
}

/// Up to six intervals in order of their beginnings, as windows give them: they may overlap, touch,
/// or lie within each other.
fn some_intervals(random: &mut SmallRng) -> Vec<Interval> {
    let number = random.random_range(0..=6);
    let mut intervals: Vec<Interval> = (0..number).map(|_| some_interval(random)).collect();
    intervals.retain(|interval| !interval.is_empty());
    intervals.sort_by_key(|interval| interval.from);
    intervals
}

fn is_in(at: i64, intervals: &[Interval]) -> bool {
    intervals.iter().any(|part| part.from <= micro(at) && micro(at) < part.to)
}

/// Which microseconds are in intervals.
fn bits(intervals: &[Interval]) -> Vec<bool> {
    (0..WORLD).map(|at| is_in(at, intervals)).collect()
}

fn assert_in_order_and_apart(intervals: &[Interval]) {
    assert!(intervals.iter().all(|part| !part.is_empty()), "{intervals:?}");
    assert!(intervals.windows(2).all(|pair| pair[0].to < pair[1].from), "{intervals:?}");
}

#[test]
fn joined_intervals_hold_the_same_microseconds_in_order_and_apart() {
    for seed in 0..CASES {
        let given = some_intervals(&mut SmallRng::seed_from_u64(seed));
        let joined = join(given.clone());
        assert_eq!(bits(&joined), bits(&given), "seed {seed}: {given:?}");
        assert_in_order_and_apart(&joined);
    }
}

#[test]
fn what_is_uncovered_is_what_no_interval_covers_and_the_overlap_before_it() {
    for seed in 0..CASES {
        let mut random = SmallRng::seed_from_u64(seed);
        let covered = some_intervals(&mut random);
        let whole = some_interval(&mut random);
        let overlap = if random.random() { random.random_range(0..20) } else { 0 };
        let found = uncovered(whole, &covered, TimeDelta::microseconds(overlap));
        let is_open = |at: i64| is_in(at, &[whole]) && !is_in(at, &covered);
        // Where something uncovered begins, other than at the beginning of it all.
        let begins = |at: i64| is_open(at) && !is_open(at - 1) && micro(at) > whole.from;
        let is_wanted =
            |at: i64| is_in(at, &[whole]) && (is_open(at) || (at + 1..=at + overlap).any(&begins));
        let wanted: Vec<bool> = (0..WORLD).map(is_wanted).collect();
        let shown = format!("seed {seed}: {whole:?} without {covered:?}, overlap {overlap}");
        assert_eq!(bits(&found), wanted, "{shown}: {found:?}");
        assert_in_order_and_apart(&found);
        // Archiving it leaves nothing uncovered.
        let mut after = [covered, found].concat();
        after.sort_by_key(|part| part.from);
        assert_eq!(uncovered(whole, &join(after), TimeDelta::zero()), [], "{shown}");
    }
}

/// A run that closed then, to the nanosecond, and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Run(DateTime<Utc>, u64);

impl Closed for Run {
    fn close_time(&self) -> DateTime<Utc> {
        self.0
    }

    fn bytes(&self) -> u64 {
        self.1
    }
}

/// Runs around two midnights, many of them in the same microsecond.
fn some_runs(random: &mut SmallRng, interval: Interval) -> Vec<Run> {
    let first = midnight(interval.from);
    let number = random.random_range(0..40);
    let run = |random: &mut SmallRng| {
        let near = first + TimeDelta::days(random.random_range(0..3));
        let micros = TimeDelta::microseconds(random.random_range(-6..6));
        let time = near + micros + TimeDelta::nanoseconds(random.random_range(0..1_000));
        Run(time, random.random_range(0..60))
    };
    let mut runs: Vec<Run> = (0..number).map(|_| run(random)).collect();
    runs.retain(|run| (interval.from..interval.to).contains(&microsecond(run.0)));
    runs
}

fn three_days() -> Interval {
    let from = "2026-11-22T00:00:00Z".parse().unwrap();
    Interval { from, to: from + TimeDelta::days(3) }
}

#[test]
fn cuts_take_each_run_once_and_none_is_larger_than_it_may_be() {
    for seed in 0..CASES {
        let mut random = SmallRng::seed_from_u64(seed);
        let interval = three_days();
        let runs = some_runs(&mut random, interval);
        let limits =
            WindowLimits { runs: random.random_range(1..9), bytes: random.random_range(1..200) };
        let cuts = cut(interval, runs.clone(), limits);
        assert_eq!(cuts.first().unwrap().covers.from, interval.from);
        assert_eq!(cuts.last().unwrap().covers.to, interval.to);
        assert!(cuts.windows(2).all(|pair| pair[0].covers.to == pair[1].covers.from));
        for Cut { covers, runs } in &cuts {
            let times: Vec<_> = runs.iter().map(|run| microsecond(run.0)).collect();
            assert!(times.iter().all(|time| (covers.from..covers.to).contains(time)), "{seed}");
            assert!(times.windows(2).all(|pair| midnight(pair[0]) == midnight(pair[1])), "{seed}");
            // Whatever goes beyond a limit closed with what was there before.
            for number in 1..runs.len() {
                let bytes: u64 = runs[..=number].iter().map(|run| run.1).sum();
                if number >= limits.runs || bytes > limits.bytes {
                    assert_eq!(times[number], times[number - 1], "seed {seed}, {limits:?}");
                }
            }
        }
        let sorted = |mut runs: Vec<Run>| {
            runs.sort();
            runs
        };
        let taken = cuts.into_iter().flat_map(|cut| cut.runs).collect();
        assert_eq!(sorted(taken), sorted(runs), "seed {seed}");
    }
}

#[tokio::test]
async fn slices_are_the_interval_and_too_many_runs_closed_in_one_microsecond() {
    for seed in 0..CASES / 10 {
        let mut random = SmallRng::seed_from_u64(seed);
        let interval = three_days();
        let runs = some_runs(&mut random, interval);
        let most = random.random_range(1..9);
        let within = |part: Interval| {
            let times = runs.iter().map(|run| microsecond(run.0));
            times.filter(|time| (part.from..part.to).contains(time)).collect::<Vec<_>>()
        };
        let count = |part| {
            let runs = within(part).len() as u64;
            async move { Ok::<_, ()>(runs) }
        };
        let slices = slices(interval, most, count).await.unwrap();
        assert_eq!(slices.first().unwrap().from, interval.from);
        assert_eq!(slices.last().unwrap().to, interval.to);
        assert!(slices.windows(2).all(|pair| pair[0].to == pair[1].from));
        for slice in &slices {
            let times = within(*slice);
            assert!(!times.is_empty() || slices.len() == 1, "seed {seed}: {slices:?}");
            if times.len() as u64 > most {
                assert!(times.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}: {slice:?}");
            }
        }
    }
}
