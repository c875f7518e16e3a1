//! The rules an operator sets.

use chrono::TimeDelta;

use crate::{Period, Zone};

/// How much is kept. A backup stays when at least one rule keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The newest so many.
    pub last: u32,
    /// The newest of each of the last so many hours that have one.
    pub hourly: u32,
    /// The newest of each of the last so many days that have one.
    pub daily: u32,
    /// The newest of each of the last so many weeks that have one.
    pub weekly: u32,
    /// The newest of each of the last so many months that have one.
    pub monthly: u32,
    /// The newest of each of the last so many years that have one.
    pub yearly: u32,
    /// Everything at most this much older than the newest.
    pub within: Option<TimeDelta>,
    /// Where days, weeks, months and years begin.
    pub zone: Zone,
    /// Freeze when the newest has less than this share of the last good one's rows or bytes;
    /// between 0 (never) and 1 (at any loss).
    pub shrink_limit: f64,
}

/// A policy that must not be applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No rule keeps anything.
    #[error("the retention policy keeps nothing")]
    Empty,
    /// `within` is not a span of time.
    #[error("keep-within must be longer than nothing")]
    Within,
    /// The limit is no share.
    #[error("the shrink limit must lie between 0 and 1, not {0}")]
    ShrinkLimit(f64),
}

impl PolicyError {
    /// What mends it.
    pub fn hint(&self) -> String {
        match self {
            Self::Empty => "set at least one of keep_last, keep_hourly, keep_daily, keep_weekly, \
                            keep_monthly, keep_yearly and keep_within in [retention]"
                .into(),
            Self::Within => "give a span such as keep_within = \"30d\" in [retention]".into(),
            Self::ShrinkLimit(_) => "0.5 freezes pruning when an export has less than half of the \
                                     last one's rows or bytes; 0 turns it off"
                .into(),
        }
    }
}

impl Policy {
    /// A policy without any rule, to be filled in by struct update; not valid by itself.
    pub fn none() -> Self {
        Self {
            last: 0,
            hourly: 0,
            daily: 0,
            weekly: 0,
            monthly: 0,
            yearly: 0,
            within: None,
            zone: Zone::default(),
            shrink_limit: 0.5,
        }
    }

    /// Refuses a policy that keeps nothing or makes no sense.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.within.is_some_and(|span| span <= TimeDelta::zero()) {
            return Err(PolicyError::Within);
        }
        if !(0.0..=1.0).contains(&self.shrink_limit) {
            return Err(PolicyError::ShrinkLimit(self.shrink_limit));
        }
        let counts = Period::ALL.iter().any(|period| self.count(*period) > 0);
        if self.last == 0 && !counts && self.within.is_none() {
            return Err(PolicyError::Empty);
        }
        Ok(())
    }

    /// How many periods of this kind are kept.
    pub fn count(&self, period: Period) -> u32 {
        match period {
            Period::Hour => self.hourly,
            Period::Day => self.daily,
            Period::Week => self.weekly,
            Period::Month => self.monthly,
            Period::Year => self.yearly,
        }
    }
}

impl Default for Policy {
    /// Seven daily backups.
    fn default() -> Self {
        Self { daily: 7, ..Self::none() }
    }
}
