//! `harness matrix`: every server, every stock pg_restore, every form of an export.

use std::path::PathBuf;
use std::time::Instant;

use harness::matrix::{self, Size};
use harness::{Result, postgres};

use super::{program, tell};

/// Which part of the matrix.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Servers of these majors only, such as `13,18`
    #[arg(long, value_delimiter = ',')]
    servers: Vec<u16>,
    /// Without Temporal's databases
    #[arg(long)]
    no_temporal: bool,
    /// The aidp-backup to try; built with cargo when not given
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Goes through it, and prints a line for each server and form.
pub(crate) fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let program = match &options.program {
        Some(program) => program.clone(),
        None => program::build()?,
    };
    let mut size = Size::whole();
    if !options.servers.is_empty() {
        size.servers.clone_from(&options.servers);
    }
    size.temporal = !options.no_temporal;
    for client in postgres::clients()? {
        tell(format!("stock clients {}: {}", client.version, client.compressions().join(", ")));
    }
    let restores = matrix::run(&program, &size, tell)?;
    tell(format!("{restores} restores, all equal ({:.0} s)", begun.elapsed().as_secs_f64()));
    Ok(())
}
