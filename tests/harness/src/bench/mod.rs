//! Ours and the stock tools' side by side: same database, same run, alternating.
//!
//! `harness bench` prints one table per subject with minimum, median and maximum over the rounds.
//! BENCHMARKS.md keeps the results worth keeping, with the machine they were had on.

mod data;
mod histories;
mod lookup;
mod measure;
mod processor;
mod subject;

use std::path::PathBuf;

use crate::Error;
use crate::postgres::{self, Server};
use crate::progress::say;

use histories::Histories;
use measure::Table;
use subject::Bench;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Subject {
    /// Exports of the Temporal-shaped database, ours and stock's.
    Export,
    /// Restores of it, and our verify.
    Restore,
    /// A drill of it: how long its parts take.
    Drill,
    /// A database of many small tables.
    Tables,
    /// One table of many columns.
    Wide,
    /// Finding one run, and those of a day, among very many archived ones.
    Histories,
    /// Archiving histories: ours, the old shell loop, a bare fetch loop.
    HistoriesArchive,
    /// How long a worker's tasks wait, with and without an archive beside it.
    WorkerLatency,
    /// Everything about databases.
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
    /// Archived runs to look among.
    #[arg(long, default_value_t = 1_000_000)]
    pub runs: u64,
    /// Days that they closed on.
    #[arg(long, default_value_t = 100)]
    pub days: u32,
    /// Changes that the demo's workflows carry through; each is some three runs.
    #[arg(long, default_value_t = 930)]
    pub changes: u32,
    /// Seconds of each turn of the busy worker.
    #[arg(long, default_value_t = 20)]
    pub seconds: u32,
    /// Workflows that the busy worker gets in a second.
    #[arg(long, default_value_t = 10)]
    pub rate: u32,
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
    if options.subject == Subject::Histories {
        say(measure::machine());
        return lookup::run(options);
    }
    let server = Server::options(options.major)
        .setting("shared_buffers", "1GB")
        .setting("max_wal_size", "8GB")
        .setting("checkpoint_timeout", "30min")
        .start()?;
    if let Subject::HistoriesArchive | Subject::WorkerLatency = options.subject {
        say(measure::machine());
        let histories = Histories::start(&server, options)?;
        let text = match options.subject {
            Subject::HistoriesArchive => histories.archive(options.changes)?,
            _ => histories.waiting(options.changes, options.seconds, options.rate)?,
        };
        histories::print(&text);
        return Ok(());
    }
    let bench = Bench::new(server, postgres::client(options.major)?, options)?;
    let wants = |subject| options.subject == subject || options.subject == Subject::All;
    say(measure::machine());
    let mut tables: Vec<Table> = Vec::new();
    if wants(Subject::Export) || wants(Subject::Restore) || wants(Subject::Drill) {
        data::temporal_shaped(bench.server(), options.megabytes)?;
        if wants(Subject::Export) {
            tables.push(bench.exports("bench", options.slow)?);
        }
        if wants(Subject::Restore) {
            tables.push(bench.restores("bench")?);
        }
        if wants(Subject::Drill) {
            bench.drills("bench")?;
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
