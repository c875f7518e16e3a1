//! When: five cron fields in a time zone. Pure; the time is a parameter.
//!
//! croner says which local times a pattern means. How those fall on the clock when it is put
//! forward or back is decided here, because croner takes a list (`30 2,14 * * *`) for an
//! interval. The rule is crontab(5)'s: a pattern whose minute or hour begins with `*` follows
//! the clock on the wall: what the jump leaves out does not run, what is there twice runs
//! twice. Every other pattern names moments of the day: those in the jump run right after it,
//! together once, and those that come twice run the first time.

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// No zone's clock has ever been put back by more.
const LARGEST_CHANGE: TimeDelta = TimeDelta::hours(3);
/// Longest stretch of local time that any zone has left out: a day, and some.
const LONGEST_GAP_MINUTES: i64 = 26 * 60;

/// A pattern in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    cron: Cron,
    zone: Tz,
    wildcard: bool,
}

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error("{text:?} has {fields} fields instead of five")]
    Fields {
        /// The pattern.
        text: String,
        /// How many it has.
        fields: usize,
    },
    /// Not understood.
    #[error("{text:?} is no schedule")]
    Pattern {
        /// The pattern.
        text: String,
        /// Why.
        source: Box<croner::errors::CronError>,
    },
    /// A date that never comes.
    #[error("{text:?} never comes")]
    Never {
        /// The pattern.
        text: String,
    },
}

impl Schedule {
    /// Reads `minute hour day month weekday`.
    pub fn new(text: &str, zone: Tz) -> Result<Self, ScheduleError> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let fields: Vec<&str> = text.split(' ').filter(|field| !field.is_empty()).collect();
        let [minute, hour, ..] = fields[..] else {
            return Err(ScheduleError::Fields { text: text.clone(), fields: fields.len() });
        };
        if fields.len() != 5 {
            return Err(ScheduleError::Fields { text: text.clone(), fields: fields.len() });
        }
        let wildcard = minute.starts_with('*') || hour.starts_with('*');
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed);
        let cron = parser.build().parse(&text).map_err(|source| ScheduleError::Pattern {
            text: text.clone(),
            source: source.into(),
        })?;
        let schedule = Self { text: text.clone(), cron, zone, wildcard };
        match schedule.next_after(DateTime::UNIX_EPOCH + TimeDelta::days(365 * 50)) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never { text }),
        }
    }

    /// The pattern.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its time zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first moment after `time`.
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = time.with_timezone(&self.zone).naive_local() - LARGEST_CHANGE;
        let mut best: Option<DateTime<Utc>> = None;
        let mut at = local.and_utc();
        loop {
            at = self.cron.find_next_occurrence(&at, false).ok()?;
            let (first, second) = self.moments(at.naive_utc());
            if let (Some(best), Some(first)) = (best, first)
                && first >= best
            {
                return Some(best);
            }
            for moment in [first, second].into_iter().flatten().filter(|moment| *moment > time) {
                best = Some(best.map_or(moment, |best| best.min(moment)));
            }
        }
    }

    /// The last moment not after `time`.
    pub fn last_until(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = time.with_timezone(&self.zone).naive_local() + LARGEST_CHANGE;
        let mut best: Option<DateTime<Utc>> = None;
        let mut at = local.and_utc();
        loop {
            at = match self.cron.find_previous_occurrence(&at, false) {
                Ok(at) => at,
                Err(_) => return best,
            };
            let (first, second) = self.moments(at.naive_utc());
            if let (Some(best), Some(latest)) = (best, second.or(first))
                && latest <= best
            {
                return Some(best);
            }
            for moment in [first, second].into_iter().flatten().filter(|moment| *moment <= time) {
                best = Some(best.map_or(moment, |best| best.max(moment)));
            }
        }
    }

    /// When a local time is: once, twice, or, left out by the clock, never or right afterwards.
    fn moments(&self, local: NaiveDateTime) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        match self.zone.from_local_datetime(&local) {
            LocalResult::Single(one) => (Some(one.to_utc()), None),
            LocalResult::Ambiguous(one, two) if self.wildcard => {
                (Some(one.to_utc()), Some(two.to_utc()))
            }
            LocalResult::Ambiguous(one, _) => (Some(one.to_utc()), None),
            LocalResult::None if self.wildcard => (None, None),
            LocalResult::None => {
                let mut later = (1..=LONGEST_GAP_MINUTES).map(|m| local + TimeDelta::minutes(m));
                let there = |local| self.zone.from_local_datetime(&local).earliest();
                // The minute after the gap may itself be left out by no pattern's fault: the
                // first local minute that exists is the moment of the change.
                (later.find_map(there).map(|moment| moment.to_utc()), None)
            }
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
