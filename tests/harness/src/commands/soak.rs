//! `harness soak`: a sidecar under load for as long as is wanted.

use std::path::PathBuf;
use std::time::Duration;

use harness::{Result, soak};

use super::{program, tell};

/// How long and how hard.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many minutes
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Clients that ask without pause
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// The aidp-backup to load, built for release; built for tests when not given, and then memory
    /// counts without the program's text
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Loads it, and prints what was seen.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = match &options.program {
        Some(program) => program.clone(),
        None => program::build()?,
    };
    let length = Duration::from_secs(options.minutes * 60);
    let whole = options.program.is_some();
    let seen = soak::run(&program, soak::Options { length, clients: options.clients, whole })?;
    tell(seen.to_string());
    Ok(())
}
