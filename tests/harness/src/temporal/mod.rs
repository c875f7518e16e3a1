//! Temporal servers on PostgreSQL, the `temporal` command line, and workflows to fill them with.

mod archival;
mod cli;
mod config;
mod copies;
mod demo;
mod server;
mod tokens;

pub use archival::Archival;
pub use cli::{Cli, install as install_cli};
pub use config::Options;
pub use copies::{clear_membership, freeze};
pub use demo::{Demo, Waits, install as install_demo, python};
pub use server::{Server, install as install_server};
pub use tokens::Tokens;
