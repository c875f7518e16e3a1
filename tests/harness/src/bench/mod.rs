//! Ours and the stock tools' side by side: same database, same run, alternating.
//!
//! `harness bench` prints one table per subject with minimum, median and maximum over the rounds.
//! BENCHMARKS.md keeps the results worth keeping, with the machine they were had on.

mod data;
mod measure;
mod subject;

use std::path::PathBuf;

use crate::Error;
use crate::postgres::{self, Server};
use crate::progress::say;

use measure::Table;
use subject::Bench;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Subject {
    /// Exports of the Temporal-shaped database, ours and stock's.
    Export,
    /// Restores of it, and our verify.
    Restore,
    /// A database of many small tables.
    Tables,
    /// One table of many columns.
    Wide,
    /// Everything.
    All,
}

/// How much to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// What to measure.
    #[arg(value_enum, default_value = "all")]
    pub subject: Subject,
    /// Megabytes of raw rows in `history_node`.
    #[arg(long, default_value_t = 1500)]
    pub megabytes: u64,
    /// Number of small tables.
    #[arg(long, default_value_t = 5000)]
    pub tables: u32,
    /// Rows of the wide table.
    #[arg(long, default_value_t = 400_000)]
    pub wide_rows: u64,
    /// Counted rounds, after one warm-up round.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// PostgreSQL major of the server.
    #[arg(long, default_value_t = 17)]
    pub major: u16,
    /// The program to measure; a release build.
    #[arg(long, default_value = "target/release/aidp-backup")]
    pub program: PathBuf,
    /// Also time the slow stock ways: `pg_dump | gzip`, `pg_dump -Fd -j2 -Z gzip` (minutes a round).
    #[arg(long)]
    pub slow: bool,
}

/// Runs the benchmarks and prints their tables.
///
/// # Errors
/// When a server, a stock tool or our program fails.
pub fn run(options: &Options) -> Result<(), Error> {
    let server = Server::options(options.major)
        .setting("shared_buffers", "1GB")
        .setting("max_wal_size", "8GB")
        .setting("checkpoint_timeout", "30min")
        .start()?;
    let bench = Bench::new(server, postgres::client(options.major)?, options)?;
    let wants = |subject| options.subject == subject || options.subject == Subject::All;
    say(measure::machine());
    let mut tables: Vec<Table> = Vec::new();
    if wants(Subject::Export) || wants(Subject::Restore) {
        data::temporal_shaped(bench.server(), options.megabytes)?;
        if wants(Subject::Export) {
            tables.push(bench.exports("bench", options.slow)?);
        }
        if wants(Subject::Restore) {
            tables.push(bench.restores("bench")?);
        }
        bench.server().dropdb("bench")?;
    }
    if wants(Subject::Tables) {
        data::many_tables(bench.server(), options.tables)?;
        tables.push(bench.exports("tables", false)?);
        bench.server().dropdb("tables")?;
    }
    if wants(Subject::Wide) {
        data::wide_table(bench.server(), options.wide_rows)?;
        tables.push(bench.exports("wide", false)?);
        bench.server().dropdb("wide")?;
    }
    for table in &tables {
        table.print();
    }
    Ok(())
}
