//! `harness kills`: exports and archivings killed at random moments, many times.

use std::path::PathBuf;
use std::time::Instant;

use harness::aidp::Place;
use harness::{Result, history_kills, kills};

use super::{program, tell};

/// How often to kill, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Kills at each place [default: 200 of exports, 300 of archiving]
    #[arg(long)]
    kills: Option<u32>,
    /// Kill the archiving of histories instead of exports
    #[arg(long)]
    histories: bool,
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
        let kills = options.kills.unwrap_or(if options.histories { 300 } else { 200 });
        let shown = |runs: u32| {
            if runs.is_multiple_of(SHOWN) {
                tell(format!("{place:?}: {runs} of {kills}"));
            }
        };
        let tally = if options.histories {
            history_kills::run(&program, place, kills, |tally| shown(tally.runs))?.to_string()
        } else {
            kills::run(&program, place, kills, |tally| shown(tally.runs))?.to_string()
        };
        tell(format!("{place:?}: {tally} ({:.0} s)", begun.elapsed().as_secs_f64()));
    }
    Ok(())
}
