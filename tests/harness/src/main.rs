//! `harness`: real servers for a person, the demo, and the tests; one file per command.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{demo, drills, install, kills, matrix, screenshots, soak, test, up};

/// Installs and starts real servers, and shows and tests aidp-backup on them.
#[derive(Debug, Parser)]
#[command(name = "harness", version, about)]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Install all parts into the cache folder
    Install,
    /// The real job on real servers: export, verify, restore, compare
    Demo(demo::Options),
    /// Start all servers, fill them, and leave them running until Ctrl-C
    Up(up::Options),
    /// Install all parts and run all tests
    Test(test::Options),
    /// Kill exports at random moments: nothing broken is ever listed (long)
    Kills(kills::Options),
    /// Drills of good backups of a busy Temporal: each must pass (long)
    Drills(drills::Options),
    /// Round trips between all servers and all stock pg_restore (long)
    Matrix(matrix::Options),
    /// A sidecar under load: no run missed or doubled, memory flat (long)
    Soak(soak::Options),
    /// Take README's pictures of the sidecar's pages
    Screenshots(screenshots::Options),
    /// Ours and the stock tools' figures side by side
    Bench(harness::bench::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Install => install::run(),
        Verb::Demo(options) => demo::run(&options),
        Verb::Up(options) => up::run(&options),
        Verb::Test(options) => test::run(&options),
        Verb::Kills(options) => kills::run(&options),
        Verb::Drills(options) => drills::run(&options),
        Verb::Matrix(options) => matrix::run(&options),
        Verb::Soak(options) => soak::run(&options),
        Verb::Screenshots(options) => screenshots::run(&options),
        Verb::Bench(options) => harness::bench::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Its Debug form is the one for people: message, causes, hint.
            harness::progress::say(format!("error: {error:?}"));
            ExitCode::FAILURE
        }
    }
}
