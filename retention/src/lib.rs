//! What is kept and why: pure policy, no I/O.
//!
//! Candidates, a policy and the time go in; a plan that gives every keep and every remove
//! its reason comes out. Candidates are judged group by group, and the rules are those of
//! restic's `forget`: a rule such as `daily = 7` keeps the newest backup of each of the last
//! seven days *that have one*, so a pause in backups expires nothing.
//!
//! Three things no policy can do: empty a group, let part-failed backups push out whole ones,
//! and remove anything while the newest backup is suspiciously small beside the last good one.

mod calendar;
mod candidate;
mod plan;
mod policy;
mod reason;
mod shrink;

pub use calendar::{Period, Zone, ZoneError};
pub use candidate::{Candidate, Encoding};
pub use plan::{GroupPlan, Kept, Plan, Removed, plan};
pub use policy::{Policy, PolicyError};
pub use reason::{KeepReason, RemoveReason};
pub use shrink::{Measure, Shrink};
