//! `harness drills`: drills of a busy Temporal, many times.

use std::path::PathBuf;
use std::time::Instant;

use harness::{Result, drills};

use super::{program, tell};

/// How many drills.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Drills that must pass
    #[arg(long, default_value_t = 50)]
    drills: u32,
    /// Kill one more at a random moment before each of them
    #[arg(long)]
    kill: bool,
    /// The aidp-backup to run; built with cargo when not given
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// How many drills there are between two lines of progress.
const SHOWN: u32 = 5;

/// Drills, and prints what they have met.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = match &options.program {
        Some(program) => program.clone(),
        None => program::build()?,
    };
    let begun = Instant::now();
    let tally = drills::run(&program, options.drills, options.kill, |tally| {
        if tally.drills.is_multiple_of(SHOWN) {
            tell(format!("{} of {}", tally.drills, options.drills));
        }
    })?;
    tell(format!("{tally} ({:.0} s)", begun.elapsed().as_secs_f64()));
    Ok(())
}
