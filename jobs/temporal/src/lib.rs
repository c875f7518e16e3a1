//! Closed workflow executions to JSON Lines, and JSON Lines to Temporal.
//!
//! Bytes and gRPC only: this crate has never heard of a store. [`connect::Connection`] is where it
//! begins: it lists closed executions and turns each into one line of JSON, history included.

pub mod bloom;
mod clock;
mod cluster;
pub mod connect;
mod error;
pub mod foreign;
mod history;
pub mod import;
pub mod json;
pub mod limit;
mod line;
mod moved;
mod namespace;
pub mod query;
pub mod segment;
mod visibility;

pub use clock::{ClockSource, ServerTime};
pub use cluster::{Cluster, Ring};
pub use error::{Answer, BoxError, CertificateProblem, Error};
pub use history::{Drained, Fetched};
pub use moved::RunNow;
pub use namespace::Namespace;
pub use visibility::{Execution, Page};
