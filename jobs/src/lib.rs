//! The jobs, each run the same way: lease, run, record, release.
//!
//! One file per job; [`runner`] runs any of them. A job is told the time, when to stop and
//! where backups are by its [`Context`], and knows nothing of command lines, schedules or
//! clusters. What came of it is a [`Report`](runner::Report), from which exit codes, messages
//! and metrics are derived elsewhere, in one place each.

mod accept;
pub mod archive;
mod clock;
mod context;
pub mod drill;
mod error;
pub mod export;
mod failing;
pub mod fetch;
mod folder;
pub mod forget;
mod group;
pub mod history;
pub mod list;
pub mod overview;
mod progress;
pub mod prune;
pub mod record;
pub mod restore;
pub mod runner;
pub mod show;
mod sink;
mod source;
pub mod status;
mod summary;
pub mod verify;

pub use clock::{Clock, SystemClock};
pub use context::Context;
pub use error::{Error, Verdict, chain};
pub use progress::{Gauge, Meter, Progress, Reading};
pub use runner::{Outcome, run};
pub use sink::StoreSink;
pub use source::{Damage, StoreSource};
pub use summary::Summary;
