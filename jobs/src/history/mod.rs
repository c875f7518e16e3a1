//! Reading archived histories back: listed, searched, shown, exported, compared with Temporal.

pub mod export;
mod find;
pub mod gaps;
pub(crate) mod index;
pub mod list;
pub(crate) mod part;
mod query;
pub mod show;
pub mod verify;

pub use query::{Query, WorkflowId};
