//! `harness kills`: exports killed at random moments, many times.

use std::path::PathBuf;
use std::time::Instant;

use harness::aidp::Place;
use harness::{Result, kills};

use super::{program, tell};

/// How often to kill, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Kills at each place
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// One place only
    #[arg(long, value_enum)]
    place: Option<Place>,
    /// The aidp-backup to kill; built with cargo when not given
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// How many kills there are between two lines of progress.
const SHOWN: u32 = 20;

/// Kills, and prints what the kills have met.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = match &options.program {
        Some(program) => program.clone(),
        None => program::build()?,
    };
    let places = options.place.map_or_else(|| vec![Place::Folder, Place::S3], |place| vec![place]);
    for place in places {
        let begun = Instant::now();
        let tally = kills::run(&program, place, options.kills, |tally| {
            if tally.runs.is_multiple_of(SHOWN) {
                tell(format!("{place:?}: {} of {}", tally.runs, options.kills));
            }
        })?;
        tell(format!("{place:?}: {tally} ({:.0} s)", begun.elapsed().as_secs_f64()));
    }
    Ok(())
}
