//! Why a backup stays or goes.

use std::fmt;

use chrono::TimeDelta;
use serde::Serialize;

use crate::Period;

/// Why a backup is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "rule")]
pub enum KeepReason {
    /// Among the newest; `number` counts from 1.
    Last {
        /// Its place.
        number: u32,
    },
    /// The newest of its hour, day, week, month or year; `number` counts from 1.
    Newest {
        /// The kind of period.
        period: Period,
        /// Which of the kept periods.
        number: u32,
    },
    /// The oldest there is, while the rule has fewer periods than it may keep.
    Oldest {
        /// The kind of period.
        period: Period,
    },
    /// Young enough beside the newest.
    Within {
        /// The span, in seconds.
        seconds: i64,
    },
    /// Dated after now: a clock was wrong, so it is neither counted nor removed.
    Future,
    /// The newest of its group that passed a drill.
    Drilled,
    /// The only one left of its group.
    LastOfGroup,
    /// Pruning of its group is frozen.
    Frozen,
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last { number } => write!(f, "last {number}"),
            Self::Newest { period, number } => write!(f, "{} {number}", period.adjective()),
            Self::Oldest { period } => write!(f, "oldest {}", period.adjective()),
            Self::Within { seconds } => {
                write!(f, "within {}", span(TimeDelta::seconds(*seconds)))
            }
            Self::Future => f.write_str("dated after now"),
            Self::Drilled => f.write_str("newest that passed a drill"),
            Self::LastOfGroup => f.write_str("last of its group"),
            Self::Frozen => f.write_str("pruning is frozen"),
        }
    }
}

/// Why a backup is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "rule")]
pub enum RemoveReason {
    /// A newer one of the same period is kept.
    Replaced {
        /// The shortest period that the rules count.
        period: Period,
        /// The one that is kept.
        by: String,
    },
    /// Older than all that the rules keep.
    Expired,
}

impl fmt::Display for RemoveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced { period, by } => {
                write!(f, "{by} is newer on the same {}", period.noun())
            }
            Self::Expired => f.write_str("older than every rule keeps"),
        }
    }
}

/// A span in its largest whole unit.
fn span(delta: TimeDelta) -> String {
    let seconds = delta.num_seconds();
    match seconds {
        s if s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s % 3_600 == 0 => format!("{}h", s / 3_600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}
