//! Whether a run is due, from the schedule and the past. Pure; the time is a parameter.
//!
//! The moments of the schedule cut time into slots. A slot is done when a run that began in it
//! succeeded, here or elsewhere: what counts is the store, not memory. So a restart, a clock
//! that leaps and a machine that slept are all the same question: is the present slot done?
//! However many slots were missed, that is one run.

use chrono::{DateTime, TimeDelta, Utc};

use super::schedule::Schedule;

/// Between two attempts while another run holds the lease.
const BUSY: TimeDelta = TimeDelta::seconds(30);
/// Longest pause between two attempts.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);
/// A run so much later than its moment was missed, not delayed.
const LATE: TimeDelta = TimeDelta::minutes(5);
/// How far a clock may be wrong before what it stamped is disbelieved: a success from next
/// year must not keep this year without backups.
const FUTURE: TimeDelta = TimeDelta::days(1);

/// When a job runs.
#[derive(Debug, Clone)]
pub struct Agenda {
    /// Its moments.
    pub schedule: Schedule,
    /// Runs start up to so much later, so that many sidecars do not start as one.
    pub jitter: TimeDelta,
    /// Whether a slot that began before the program did is run after all.
    pub catch_up: bool,
    /// Attempts after the first in one slot.
    pub retries: u32,
    /// Pause before the second attempt; doubled for each one after it.
    pub retry_after: TimeDelta,
    /// Tells the jitter of this program from that of others.
    pub seed: u64,
}

/// What is known of earlier runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// When the newest good run began.
    pub success: Option<DateTime<Utc>>,
    /// The newest failures.
    pub failed: Option<Failed>,
    /// When another run was last seen holding the lease.
    pub busy: Option<DateTime<Utc>>,
    /// When this program took up the schedule.
    pub since: Option<DateTime<Utc>>,
}

/// Attempts that failed one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// How many.
    pub count: u32,
    /// When the last one ended.
    pub at: DateTime<Utc>,
}

/// Why a run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// Its moment has come.
    Schedule,
    /// Its moment was missed.
    CatchUp,
    /// The one before it failed.
    Retry,
    /// Another run held the lease.
    Busy,
    /// Somebody asked for it.
    Request,
}

/// The next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When; not in the future if it is due.
    pub at: DateTime<Utc>,
    /// Why.
    pub why: Why,
}

impl Past {
    /// Takes a failure down; those of one slot are counted together.
    pub fn fail(&mut self, agenda: Option<&Agenda>, at: DateTime<Utc>) {
        let slot = agenda.and_then(|agenda| agenda.schedule.last_until(at));
        let before = self.failed.filter(|failed| slot.is_none_or(|slot| failed.at >= slot));
        self.failed = Some(Failed { count: before.map_or(0, |failed| failed.count) + 1, at });
        self.busy = None;
    }

    /// Takes a success down.
    pub fn succeed(&mut self, started: DateTime<Utc>) {
        *self =
            Self { success: self.success.max(Some(started)), since: self.since, ..Self::default() };
    }
}

impl Agenda {
    /// The next run after `past`, as seen at `now`.
    pub fn next(&self, past: &Past, now: DateTime<Utc>) -> Option<Due> {
        let next = self.schedule.next_after(now).map(|slot| self.delayed(slot));
        let scheduled = next.map(|at| Due { at, why: Why::Schedule });
        let open = self.schedule.last_until(now).and_then(|slot| self.open(slot, past, now));
        match (open, scheduled) {
            (Some(open), Some(next)) if open.at < next.at => Some(open),
            (open, None) => open,
            (_, next) => next,
        }
    }

    /// What is left to do in the slot that began at `slot`.
    fn open(&self, slot: DateTime<Utc>, past: &Past, now: DateTime<Utc>) -> Option<Due> {
        let believed = past.success.filter(|at| *at <= now + FUTURE);
        if believed.is_some_and(|at| at >= slot) {
            return None;
        }
        if let Some(failed) = past.failed.filter(|failed| failed.at >= slot) {
            let due = Due { at: failed.at + self.pause(failed.count), why: Why::Retry };
            return (failed.count <= self.retries).then_some(due);
        }
        if let Some(busy) = past.busy.filter(|at| *at >= slot) {
            return Some(Due { at: busy + BUSY, why: Why::Busy });
        }
        let before_us = past.since.is_some_and(|since| slot < since);
        if before_us && !self.catch_up {
            return None;
        }
        let at = self.delayed(slot);
        let why = if before_us || now - at > LATE { Why::CatchUp } else { Why::Schedule };
        Some(Due { at, why })
    }

    /// The slot's moment with its jitter, which is the same whenever it is asked for and never
    /// reaches into the second half of the slot.
    fn delayed(&self, slot: DateTime<Utc>) -> DateTime<Utc> {
        let length = self.schedule.next_after(slot).map_or(TimeDelta::days(1), |next| next - slot);
        let most = self.jitter.min(length / 2).num_seconds();
        if most <= 0 {
            return slot;
        }
        // SplitMix64: spreads consecutive slots evenly, and needs no state.
        let mut mixed =
            self.seed ^ slot.timestamp().unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = (mixed ^ (mixed >> 31)) % (most.unsigned_abs() + 1);
        slot + TimeDelta::seconds(i64::try_from(share).unwrap_or(0))
    }

    /// Pause after so many failures.
    fn pause(&self, failures: u32) -> TimeDelta {
        let doubled = self.retry_after * (1 << failures.saturating_sub(1).min(10));
        doubled.min(LONGEST_PAUSE.max(self.retry_after))
    }
}

#[cfg(test)]
#[path = "agenda_tests.rs"]
mod tests;
