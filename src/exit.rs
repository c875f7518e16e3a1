//! The one table of exit codes.

use std::process::ExitCode;

/// How the program ends. The numbers are part of its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// Nothing was, or something is overdue.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Some source failed, the others are kept.
    PartDone = 3,
    /// A backup is damaged.
    Damaged = 4,
    /// Another run holds the lease.
    LeaseHeld = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// How two jobs that both ended come to one: what is done stays done, and the worse of two
    /// counts.
    pub fn with(self, other: Self) -> Self {
        let rank = |exit: Self| match exit {
            Self::Done => 0,
            Self::Failed => 1,
            Self::PartDone => 2,
            Self::LeaseHeld => 3,
            Self::Usage => 4,
            Self::Damaged => 5,
        };
        if rank(self) >= rank(other) { self } else { other }
    }
}
