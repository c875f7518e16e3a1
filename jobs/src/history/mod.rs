//! Reading archived histories back: listed, searched, shown, exported, compared with Temporal.

pub(crate) mod bring;
pub mod export;
pub(crate) mod find;
pub mod gaps;
pub mod import;
pub(crate) mod index;
pub mod list;
mod listed;
pub mod old;
pub(crate) mod part;
pub mod prune;
mod query;
pub mod show;
pub mod standing;
pub mod throwaway;
pub mod verify;

pub use listed::{Listed, Lost};
pub use query::{Query, WorkflowId};
