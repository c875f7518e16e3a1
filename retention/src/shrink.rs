//! Telling a suspiciously small backup.
//!
//! A database that was emptied by mistake is still exported without a fault, day after day,
//! and each such export would push a good one out. So the newest backup is compared with the
//! last one whose size was in order; while it falls short, nothing of the group is removed.
//! A small one never becomes the yardstick by itself: it does when an operator accepts it.

use std::fmt;

use serde::Serialize;

use crate::Candidate;

/// What fell short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// Rows of all tables.
    Rows,
    /// Uncompressed bytes of all table data.
    Bytes,
}

/// Why a group's pruning is frozen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shrink {
    /// The newest backup, which is small.
    pub newest: String,
    /// The last one whose size was in order.
    pub reference: String,
    /// What fell short.
    pub measure: Measure,
    /// How much the reference has.
    pub before: u64,
    /// How much the newest has.
    pub now: u64,
    /// The share that would have been enough.
    pub limit: f64,
}

impl fmt::Display for Shrink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.measure {
            Measure::Rows => "rows",
            Measure::Bytes => "bytes of table data",
        };
        write!(
            f,
            "{} has {} {unit} where {} had {}, less than {:.0} %",
            self.newest,
            self.now,
            self.reference,
            self.before,
            self.limit * 100.0
        )
    }
}

/// Looks at the whole backups of one group, oldest first.
pub(crate) fn find<'a>(
    oldest_first: impl Iterator<Item = &'a Candidate>,
    limit: f64,
) -> Option<Shrink> {
    let mut reference: Option<&Candidate> = None;
    let mut shrink = None;
    for candidate in oldest_first {
        shrink = reference
            .filter(|_| !candidate.accepted)
            .and_then(|reference| falls_short(candidate, reference, limit));
        if shrink.is_none() {
            reference = Some(candidate);
        }
    }
    shrink
}

fn falls_short(newest: &Candidate, reference: &Candidate, limit: f64) -> Option<Shrink> {
    // Precision beyond 2^53 is of no interest to a share.
    let short = |now: u64, before: u64| (now as f64) < (before as f64) * limit;
    let same = newest.encoding == reference.encoding;
    let (measure, before, now) = if short(newest.rows, reference.rows) {
        (Measure::Rows, reference.rows, newest.rows)
    } else if same && short(newest.bytes, reference.bytes) {
        (Measure::Bytes, reference.bytes, newest.bytes)
    } else {
        return None;
    };
    Some(Shrink {
        newest: newest.id.clone(),
        reference: reference.id.clone(),
        measure,
        before,
        now,
        limit,
    })
}
