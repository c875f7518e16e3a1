//! What is to be listed, and how what was listed is cut into windows. Pure: times and runs in,
//! intervals out.

use std::future::Future;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};

#[cfg(test)]
mod properties;

/// A half-open interval of close times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    /// First instant in it.
    pub from: DateTime<Utc>,
    /// First instant after it.
    pub to: DateTime<Utc>,
}

/// How much goes into one window: what a kill may cost, and what is held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowLimits {
    /// Runs; more only when they closed in the same microsecond.
    pub runs: usize,
    /// Bytes of history as the server counts them; more only for a single run.
    pub bytes: u64,
}

/// What the planner must know of a run.
pub(super) trait Closed {
    /// When it closed.
    fn close_time(&self) -> DateTime<Utc>;
    /// Bytes of its history as the server counts them.
    fn bytes(&self) -> u64;
}

/// A window to be archived: an interval, and the runs that closed in it, oldest first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut<R> {
    pub covers: Interval,
    pub runs: Vec<R>,
}

impl Interval {
    pub(super) fn is_empty(&self) -> bool {
        self.from >= self.to
    }
}

/// A time cut to the microsecond, which is what visibility stores keep and queries compare.
pub(super) fn microsecond(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

/// Midnight (UTC) at the beginning of a time's day.
pub(super) fn midnight(time: DateTime<Utc>) -> DateTime<Utc> {
    time.date_naive().and_time(NaiveTime::MIN).and_utc()
}

/// Midnight at the end of a time's day.
pub(super) fn next_midnight(time: DateTime<Utc>) -> DateTime<Utc> {
    let day = time.date_naive();
    day.checked_add_days(Days::new(1)).unwrap_or(day).and_time(NaiveTime::MIN).and_utc()
}

/// Cuts the runs that closed in an interval into windows. All runs of a window closed on one
/// day (UTC), so that the windows of a day can be joined; the windows together cover the
/// interval, and runs of one microsecond are never parted.
pub(super) fn cut<R: Closed>(
    interval: Interval,
    mut runs: Vec<R>,
    limits: WindowLimits,
) -> Vec<Cut<R>> {
    runs.sort_by_key(Closed::close_time);
    let mut cuts: Vec<Cut<R>> = Vec::new();
    let mut open = Cut { covers: interval, runs: Vec::new() };
    let mut bytes = 0_u64;
    for run in runs {
        let time = microsecond(run.close_time());
        if let Some(last) = open.runs.last().map(|run: &R| microsecond(run.close_time())) {
            let new_day = midnight(last) != midnight(time);
            let full =
                open.runs.len() >= limits.runs || bytes.saturating_add(run.bytes()) > limits.bytes;
            if new_day || (full && last != time) {
                let boundary = if new_day { midnight(time) } else { time };
                let next = Interval { from: boundary, to: interval.to };
                open.covers.to = boundary;
                cuts.push(std::mem::replace(&mut open, Cut { covers: next, runs: Vec::new() }));
                bytes = 0;
            }
        }
        bytes = bytes.saturating_add(run.bytes());
        open.runs.push(run);
    }
    cuts.push(open);
    cuts
}

/// Divides an interval into slices of at most `most` runs each, oldest first, by asking for
/// counts; a slice of one microsecond may have more. What lies between runs belongs to some
/// slice, so that the slices together are the interval.
pub(super) async fn slices<E, F>(
    interval: Interval,
    most: u64,
    count: impl Fn(Interval) -> F,
) -> Result<Vec<Interval>, E>
where
    F: Future<Output = Result<u64, E>>,
{
    if interval.is_empty() {
        return Ok(Vec::new());
    }
    let mut slices: Vec<Interval> = Vec::new();
    let mut waiting = vec![(interval, count(interval).await?)];
    let mut begin = interval.from;
    while let Some((part, runs)) = waiting.pop() {
        match middle(part) {
            Some(middle) if runs > most => {
                let older = Interval { from: part.from, to: middle };
                let before = count(older).await?;
                let newer = Interval { from: middle, to: part.to };
                waiting.push((newer, runs.saturating_sub(before)));
                waiting.push((older, before));
            }
            // Without runs it is joined with its neighbour.
            _ if runs == 0 && !waiting.is_empty() => {}
            _ => {
                match slices.last_mut() {
                    Some(last) if runs == 0 => last.to = part.to,
                    _ => slices.push(Interval { from: begin, to: part.to }),
                }
                begin = part.to;
            }
        }
    }
    Ok(slices)
}

/// The microsecond in the middle; none when there is nothing to divide.
fn middle(interval: Interval) -> Option<DateTime<Utc>> {
    let (from, to) = (interval.from.timestamp_micros(), interval.to.timestamp_micros());
    let middle = from + (to - from) / 2;
    (middle > from).then(|| DateTime::from_timestamp_micros(middle)).flatten()
}

/// The part of an interval that is in none of `covered`, oldest first, and again the last
/// `overlap` of what is covered: visibility may have listed something there since.
pub(super) fn uncovered(
    interval: Interval,
    covered: &[Interval],
    overlap: TimeDelta,
) -> Vec<Interval> {
    let mut gaps = Vec::new();
    let mut from = interval.from;
    for done in covered {
        let to = done.from.min(interval.to);
        if from < to {
            gaps.push(Interval { from, to });
        }
        from = from.max(done.to);
    }
    if from < interval.to {
        gaps.push(Interval { from, to: interval.to });
    }
    for gap in &mut gaps {
        // Late entries appear beside what was listed when they were not there yet.
        if gap.from > interval.from {
            gap.from = (gap.from - overlap).max(interval.from);
        }
    }
    join(gaps)
}

/// Joins what overlaps or touches; in the order of time.
pub(super) fn join(intervals: Vec<Interval>) -> Vec<Interval> {
    let mut joined: Vec<Interval> = Vec::with_capacity(intervals.len());
    for next in intervals {
        match joined.last_mut() {
            Some(last) if next.from <= last.to => last.to = last.to.max(next.to),
            _ => joined.push(next),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Run(DateTime<Utc>, u64);

    impl Closed for Run {
        fn close_time(&self) -> DateTime<Utc> {
            self.0
        }
        fn bytes(&self) -> u64 {
            self.1
        }
    }

    const LIMITS: WindowLimits = WindowLimits { runs: 3, bytes: 100 };

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn span(from: &str, to: &str) -> Interval {
        Interval { from: at(from), to: at(to) }
    }

    fn run(text: &str) -> Run {
        Run(at(text), 1)
    }

    #[test]
    fn windows_cover_the_interval_and_never_span_two_days_of_runs() {
        let interval = span("1970-01-01T00:00:00Z", "2026-11-25T00:00:00Z");
        let runs = ["2026-11-20T23:00:00Z", "2026-11-22T01:00:00Z", "2026-11-22T02:00:00Z"];
        let cuts = cut(interval, runs.map(run).into(), LIMITS);
        let covers: Vec<_> = cuts.iter().map(|cut| cut.covers).collect();
        assert_eq!(
            covers,
            [
                span("1970-01-01T00:00:00Z", "2026-11-22T00:00:00Z"),
                span("2026-11-22T00:00:00Z", "2026-11-25T00:00:00Z")
            ]
        );
        assert_eq!(cuts.iter().map(|cut| cut.runs.len()).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn windows_are_cut_by_number_and_by_bytes_but_not_within_a_microsecond() {
        let interval = span("2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z");
        let second = |n: u32| at(&format!("2026-11-22T00:00:{n:02}Z"));
        let many: Vec<Run> = (0..7).map(|n| Run(second(n), 1)).collect();
        let sizes = |runs: Vec<Run>| -> Vec<usize> {
            cut(interval, runs, LIMITS).iter().map(|cut| cut.runs.len()).collect()
        };
        assert_eq!(sizes(many), [3, 3, 1]);
        assert_eq!(sizes(vec![Run(second(0), 1); 5]), [5]);
        assert_eq!(sizes((0..4).map(|n| Run(second(n), 60)).collect()), [1, 1, 1, 1]);
        let cuts = cut(interval, (0..4).map(|n| Run(second(n), 1)).collect(), LIMITS);
        for pair in cuts.windows(2) {
            assert_eq!(pair[0].covers.to, pair[1].covers.from);
            assert!(pair[0].runs.iter().all(|run| run.0 < pair[0].covers.to));
            assert!(pair[1].runs.iter().all(|run| run.0 >= pair[1].covers.from));
        }
    }

    #[test]
    fn nanoseconds_do_not_push_a_run_out_of_its_window() {
        let interval = span("2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z");
        let times = ["05:00:00.000000001Z", "05:00:00.000000999Z", "05:00:01.000001999Z"];
        let runs: Vec<Run> = times.map(|time| run(&format!("2026-11-22T{time}"))).into();
        let cuts = cut(interval, runs, WindowLimits { runs: 1, bytes: 100 });
        assert_eq!(cuts.len(), 2);
        assert_eq!(cuts[0].runs.len(), 2);
        assert_eq!(cuts[0].covers.to, at("2026-11-22T05:00:01.000001Z"));
    }

    #[test]
    fn no_runs_are_one_empty_window() {
        let interval = span("2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z");
        let cuts = cut(interval, Vec::<Run>::new(), LIMITS);
        assert_eq!(cuts, [Cut { covers: interval, runs: Vec::new() }]);
    }

    async fn sliced(
        interval: Interval,
        most: u64,
        closed: &[DateTime<Utc>],
    ) -> (Vec<Interval>, u32) {
        let asked = Cell::new(0);
        let count = |part: Interval| {
            asked.set(asked.get() + 1);
            let inside = closed.iter().filter(|time| part.from <= **time && **time < part.to);
            let inside = inside.count() as u64;
            async move { Ok::<_, ()>(inside) }
        };
        let slices = slices(interval, most, count).await.unwrap();
        (slices, asked.get())
    }

    #[tokio::test]
    async fn slices_together_are_the_interval_and_none_holds_too_many() {
        let interval = span("1970-01-01T00:00:00Z", "2026-11-25T00:00:00Z");
        let closed: Vec<_> =
            (0..1000).map(|n| at("2026-11-20T00:00:00Z") + TimeDelta::seconds(n * 97)).collect();
        let (slices, asked) = sliced(interval, 64, &closed).await;
        assert_eq!(slices.first().unwrap().from, interval.from);
        assert_eq!(slices.last().unwrap().to, interval.to);
        assert!(slices.windows(2).all(|pair| pair[0].to == pair[1].from));
        for slice in &slices {
            let inside = closed.iter().filter(|time| slice.from <= **time && **time < slice.to);
            assert!((1..=64).contains(&inside.count()), "{slice:?}");
        }
        assert!(asked < 100, "{asked} counts");
    }

    #[tokio::test]
    async fn few_runs_are_one_slice_and_one_question() {
        let interval = span("1970-01-01T00:00:00Z", "2026-11-25T00:00:00Z");
        let (slices, asked) = sliced(interval, 64, &[at("2026-11-20T00:00:00Z")]).await;
        assert_eq!((slices, asked), (vec![interval], 1));
        let (slices, _) = sliced(interval, 64, &[]).await;
        assert_eq!(slices, [interval]);
    }

    #[tokio::test]
    async fn runs_of_one_microsecond_end_the_division() {
        let interval = span("2026-11-20T00:00:00Z", "2026-11-25T00:00:00Z");
        let closed = vec![at("2026-11-21T00:00:00Z"); 100];
        let (slices, _) = sliced(interval, 64, &closed).await;
        assert!(slices.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert_eq!(slices.last().unwrap().to, interval.to);
    }

    #[test]
    fn what_is_not_covered_is_listed_with_an_overlap() {
        let interval = span("1970-01-01T00:00:00Z", "2026-11-25T12:00:00Z");
        let overlap = TimeDelta::minutes(10);
        assert_eq!(uncovered(interval, &[], overlap), [interval]);
        let covered = [
            span("1970-01-01T00:00:00Z", "2026-11-23T00:00:00Z"),
            span("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"),
        ];
        assert_eq!(
            uncovered(interval, &covered, overlap),
            [
                span("2026-11-22T23:50:00Z", "2026-11-24T00:00:00Z"),
                span("2026-11-24T23:50:00Z", "2026-11-25T12:00:00Z")
            ]
        );
        assert_eq!(uncovered(interval, &[interval], overlap), []);
    }
}
