//! A PostgreSQL database to an archive, and an archive to a database.
//!
//! The way of the data: [`conninfo`] says where the server is, `snapshot` opens one
//! consistent view, `catalog` reads every object in it, `plan` orders them into entries,
//! `export` copies table data in chunks into an [`pgarchive::ArchiveSink`]; `restore` goes
//! the other way.

pub mod catalog;
pub mod conninfo;
mod error;
pub mod export;
pub mod inspect;
pub mod lock;
mod message;
pub mod plan;
pub mod progress;
pub mod restore;
pub mod selection;
pub mod session;
pub mod snapshot;
pub mod temporal_schema;

pub use pgarchive::quote;

pub use error::Error;
pub use message::server_message;
