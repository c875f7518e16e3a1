//! Temporal servers on PostgreSQL, the `temporal` command line, and workflows to fill them with.

mod archival;
mod cli;
mod config;
mod copies;
mod demo;
mod server;

pub use archival::Archival;
pub use cli::{Cli, install as install_cli};
pub use config::Options;
pub use copies::{clear_membership, freeze};
pub use demo::{Demo, install as install_demo};
pub use server::{Server, install as install_server};
