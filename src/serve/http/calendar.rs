//! Seven days of verdicts. Pure; the time is a parameter.

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use jobs::overview::Kept;

/// A day, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// The date in the schedule's zone.
    pub date: NaiveDate,
    /// What can be restored of it.
    pub verdict: DayVerdict,
    /// Backups begun on it that are still kept.
    pub backups: usize,
}

/// What can be restored of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayVerdict {
    /// A whole backup.
    Good,
    /// A backup without some of its sources.
    Part,
    /// Nothing.
    None,
    /// Nothing yet: the day is not over.
    Open,
    /// There were no backups yet.
    Before,
}

/// The last seven days, today last. `backups` are in the order of time.
pub fn week(backups: &[Kept], zone: Tz, now: DateTime<Utc>) -> Vec<Day> {
    let date = |time: DateTime<Utc>| time.with_timezone(&zone).date_naive();
    let today = date(now);
    let first = backups.first().map(|kept| date(kept.summary.started));
    let day = |back: u64| {
        let date_of = today.checked_sub_days(Days::new(back)).unwrap_or(today);
        let of_day = || backups.iter().filter(|kept| date(kept.summary.started) == date_of);
        let verdict = if of_day().any(|kept| kept.summary.failed.is_empty()) {
            DayVerdict::Good
        } else if of_day().next().is_some() {
            DayVerdict::Part
        } else if back == 0 {
            DayVerdict::Open
        } else if first.is_none_or(|first| date_of < first) {
            DayVerdict::Before
        } else {
            DayVerdict::None
        };
        Day { date: date_of, verdict, backups: of_day().count() }
    };
    (0..7).rev().map(day).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jobs::Summary;
    use vault::manifest::FailedSource;

    fn kept(started: &str, whole: bool) -> Kept {
        let started = started.parse().unwrap();
        let failed = FailedSource { name: "x".into(), error: "y".into() };
        let summary = Summary {
            id: "id".into(),
            group: "g".into(),
            started,
            finished: started,
            databases: vec![],
            failed: if whole { vec![] } else { vec![failed] },
            rows: 0,
            data_bytes: 0,
            stored_bytes: 0,
            objects: 0,
        };
        Kept { summary, parts: vec![] }
    }

    #[test]
    fn each_of_seven_days_has_its_verdict_in_the_zone_of_the_schedule() {
        let backups = [
            kept("2026-06-03T00:00:00Z", true),
            kept("2026-06-04T00:00:00Z", false),
            kept("2026-06-05T22:30:00Z", true),
        ];
        let now = "2026-06-07T01:00:00Z".parse().unwrap();
        let week = week(&backups, Tz::Europe__Berlin, now);
        let verdicts: Vec<DayVerdict> = week.iter().map(|day| day.verdict).collect();
        use DayVerdict::{Before, Good, None, Open, Part};
        assert_eq!(verdicts, [Before, Before, Good, Part, None, Good, Open]);
        assert_eq!(week[6].date.to_string(), "2026-06-07");
    }
}
