//! Archiving histories: ours, the shell loop over the stock command line that it replaces, and a
//! bare fetch loop that writes nothing.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Error;
use crate::aidp::unlike;
use crate::postgres;
use crate::progress::say;
use crate::temporal::{self, Cli};

use super::Options;
use super::measure::{Cost, size, spread, time, write_out};
use super::processor::{of_children, of_process_tree};

const MEGABYTES: u32 = 49;
const EVENTS: u32 = 50_000;

/// What archives everything that is closed, into an empty store.
const ARCHIVE: [&str; 6] = ["now", "archive", "--settle", "1s", "-q", "-n"];

/// Runs that the shell loop is timed with: all of them would take it some minutes.
const SAMPLE: usize = 100;

/// One run of a contestant, with what it cost whom.
#[derive(Debug, Clone, Copy)]
struct Sample {
    cost: Cost,
    client: f64,
    server: f64,
    database: f64,
}

/// A contestant's name, and its counted rounds.
type Rows = Vec<(String, Vec<Sample>)>;

/// A Temporal server with histories, and the programs.
pub struct Histories<'a> {
    postgres: &'a postgres::Server,
    temporal: temporal::Server,
    program: PathBuf,
    drain: PathBuf,
    rounds: usize,
    work: tempfile::TempDir,
}

impl<'a> Histories<'a> {
    /// Starts a Temporal server.
    pub fn start(postgres: &'a postgres::Server, options: &Options) -> Result<Self, Error> {
        let found = |path: &Path, build: &str| {
            fs::canonicalize(path).map_err(|_| Error::Missing {
                program: path.display().to_string(),
                purpose: "measuring it".into(),
                hint: format!("build it first: {build}"),
            })
        };
        let program = found(&options.program, "cargo build --release")?;
        let drain = program.with_file_name("examples").join("drain");
        let drain = found(&drain, "cargo build --release -p temporal --example drain")?;
        let server = temporal::Server::options().namespace("heavy", 7);
        // As the documentation of the server advises for production.
        let server = server.dynamic("system.forceSearchAttributesCacheRefreshOnRead", false);
        let temporal = server.start(postgres)?;
        let work = tempfile::tempdir().map_err(Error::io("cannot create a folder"))?;
        Ok(Self { postgres, temporal, program, drain, rounds: options.rounds, work })
    }

    /// Many ordinary runs, then two heavy ones.
    pub fn archive(&self, changes: u32) -> Result<String, Error> {
        say(format!("running {changes} changes and two heavy workflows"));
        self.temporal.run_demo("default", 0, changes)?;
        self.temporal.run_heavy("heavy", MEGABYTES, EVENTS)?;
        // What has just closed is settled by then.
        self.once("warm-up", self.ours("default"))?;
        let mut text = String::new();
        for namespace in ["default", "heavy"] {
            text += &self.namespace(namespace)?;
        }
        Ok(text)
    }

    fn namespace(&self, namespace: &str) -> Result<String, Error> {
        let archived = self.archived(namespace, None)?;
        let number = |name: &str| archived["namespaces"][0][name].as_u64().unwrap_or_default();
        let (runs, events, bytes) = (number("runs"), number("events"), number("bytes"));
        let ids = self.sample(namespace)?;
        let shell = format!(
            "temporal workflow list: all; temporal workflow show -o json: {} of {runs}",
            ids.len()
        );
        let mut rows: Rows = Vec::new();
        let mut incremental = Vec::new();
        for round in 0..=self.rounds {
            say(format!("{namespace}, round {round} of {}", self.rounds));
            let mut samples = Vec::new();
            let ours = self.once("ours", self.ours(namespace))?;
            samples.push(("aidp-backup now archive".to_owned(), ours));
            let again = self.once("again", self.command(namespace))?;
            let mut drain = Command::new(&self.drain);
            drain.arg(self.temporal.address()).arg(namespace);
            let drained = self.once("drain", drain)?;
            samples.push(("bare fetch loop, 16 in flight, writes nothing".to_owned(), drained));
            if round <= self.rounds.min(3) {
                let looped = self.once("loop", self.shell(namespace, &ids))?;
                samples.push((shell.clone(), looped));
            }
            // The first round warms caches and is not counted.
            if round > 0 || self.rounds == 0 {
                incremental.push(again);
                for (name, sample) in samples {
                    match rows.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, all)) => all.push(sample),
                        None => rows.push((name, vec![sample])),
                    }
                }
            }
        }
        let title = format!(
            "Histories: {runs} runs, {events} events, {} MB of JSON, PostgreSQL {}",
            bytes / 1_000_000,
            self.postgres.major()
        );
        let mut text = table(&title, &rows);
        text += &Self::ratios(runs, ids.len(), &rows);
        text += &self.incremental(namespace, &incremental)?;
        Ok(text)
    }

    /// What the issue of it all is: ours against the others.
    fn ratios(runs: u64, sampled: usize, rows: &Rows) -> String {
        let median = |row: usize, of: fn(&Sample) -> f64| {
            let samples = rows.get(row).map(|(_, samples)| samples.as_slice()).unwrap_or_default();
            spread(samples, of).1
        };
        let wall = |row| median(row, |sample| sample.cost.wall);
        let whole = wall(2) / sampled.max(1) as f64 * runs as f64;
        let (client, server) = (median(0, |one| one.client), median(0, |one| one.server));
        format!(
            "\n- the shell loop would take {whole:.0} s for all runs: ours is {:.0} times as fast\n\
             - ours has {:.2} of the bare loop's speed\n\
             - CPU of ours is {:.2} of the Temporal server's, {:.2} of that and PostgreSQL's\n",
            whole / wall(0),
            wall(1) / wall(0),
            client / server,
            client / (server + median(0, |one| one.database)),
        )
    }

    /// The run after a run.
    fn incremental(&self, namespace: &str, samples: &[Sample]) -> Result<String, Error> {
        let report = self.archived(namespace, Some("ours"))?;
        let runs = report["namespaces"][0]["runs"].as_u64().unwrap_or_default();
        if runs != 0 {
            return Err(unlike(format!("a run with nothing new: it archived {runs}")));
        }
        let calls = report["calls"].as_object().into_iter().flatten();
        let calls: Vec<String> = calls
            .map(|(name, count)| format!("{} {name}", count["sent"].as_u64().unwrap_or_default()))
            .collect();
        let (min, median, max) = spread(samples, |sample| sample.cost.wall);
        Ok(format!(
            "- once more, with nothing new: {min:.2} / {median:.2} / {max:.2} s; calls: {}\n",
            calls.join(", ")
        ))
    }

    /// Runs a command that may be repeated, with who spent what.
    fn once(&self, name: &str, mut command: Command) -> Result<Sample, Error> {
        rustix::fs::sync();
        let server = self.temporal.pid().unwrap_or_default();
        let database = self.postgres.pid().unwrap_or_default();
        let before = [of_children(), of_process_tree(server), of_process_tree(database)];
        let mut cost = time(name, &mut command)?;
        let after = [of_children(), of_process_tree(server), of_process_tree(database)];
        cost.bytes = size(&self.store());
        let [client, server, database] = [0, 1, 2].map(|which| after[which] - before[which]);
        say(format!("  {name}: {:.2} s, client {client:.2} s, server {server:.2} s", cost.wall));
        Ok(Sample { cost, client, server, database })
    }

    fn store(&self) -> PathBuf {
        self.work.path().join("ours")
    }

    fn command(&self, namespace: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.envs(self.temporal.env()).env("TEMPORAL_CONFIG_FILE", "/dev/null");
        command.arg("--store").arg(self.store()).args(ARCHIVE).arg(namespace);
        command
    }

    /// Ours, into a store that is empty from here on.
    fn ours(&self, namespace: &str) -> Command {
        let _ = fs::remove_dir_all(self.store());
        self.command(namespace)
    }

    /// What a run reports; into an empty store unless one is there.
    fn archived(&self, namespace: &str, store: Option<&str>) -> Result<Value, Error> {
        let mut command =
            if store.is_some() { self.command(namespace) } else { self.ours(namespace) };
        let printed = crate::command::output("archiving", command.arg("--json"))?;
        serde_json::from_str(&printed).map_err(|_| unlike(format!("a report: {printed}")))
    }

    /// Workflow and run ids, one pair a line, of runs spread evenly over all.
    fn sample(&self, namespace: &str) -> Result<Vec<String>, Error> {
        let runs = self.temporal.cli().closed_runs(namespace)?;
        let step = (runs.len() / SAMPLE).max(1);
        let text = |run: &Value, name: &str| {
            run["execution"][name].as_str().unwrap_or_default().to_owned()
        };
        let picked = runs.iter().step_by(step).take(SAMPLE);
        Ok(picked
            .map(|run| format!("{} {}", text(run, "workflowId"), text(run, "runId")))
            .collect())
    }

    /// The old script, without its `jq`: the list once, then one process for each run.
    fn shell(&self, namespace: &str, ids: &[String]) -> Command {
        let cli: &Cli = self.temporal.cli();
        let stock = cli.command(&[]);
        let program = stock.get_program().display().to_string();
        let given: Vec<String> = stock.get_args().map(|arg| arg.display().to_string()).collect();
        let file = self.work.path().join("ids");
        let _ = fs::write(&file, ids.join("\n") + "\n");
        let (out, given) = (self.work.path().join("loop.jsonl"), given.join(" "));
        let script = format!(
            "while read -r workflow run; do {program} workflow show -n {namespace} -w \"$workflow\" \
             -r \"$run\" -o json {given} >> {}; done < {}",
            out.display(),
            file.display()
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]);
        shell
    }
}

fn table(title: &str, rows: &Rows) -> String {
    let mut text = format!("\n### {title}\n\n");
    text += "| what | wall s: min / median / max | CPU s: client | Temporal | PostgreSQL | peak MiB |\n";
    text += "|---|---|---|---|---|---|\n";
    for (name, samples) in rows {
        let (min, median, max) = spread(samples, |one| one.cost.wall);
        let client = spread(samples, |one| one.client).1;
        let server = spread(samples, |one| one.server).1;
        let database = spread(samples, |one| one.database).1;
        let peak = spread(samples, |one| one.cost.peak).2;
        let _ = writeln!(
            text,
            "| {name} | {min:.2} / {median:.2} / {max:.2} | {client:.2} | {server:.2} | {database:.2} | {peak:.0} |"
        );
    }
    text
}

/// How long workflow tasks of a busy worker wait, with and without an archive beside it.
pub struct Waiting {
    alone: Vec<f64>,
    beside: Vec<f64>,
    archived: u32,
}

impl Histories<'_> {
    /// A worker with workflows at a steady rate, alone and beside an archive, by turns.
    pub fn waiting(&self, changes: u32, seconds: u32, rate: u32) -> Result<String, Error> {
        say(format!("running {changes} changes"));
        self.temporal.run_demo("default", 0, changes)?;
        let mut found = Waiting { alone: Vec::new(), beside: Vec::new(), archived: 0 };
        let steps = || self.temporal.run_steps("heavy", seconds, rate);
        for round in 0..=self.rounds {
            say(format!("round {round} of {}", self.rounds));
            let alone = steps()?.milliseconds;
            let (beside, archived) = self.beside(&steps)?;
            // The first round warms caches and is not counted.
            if round > 0 || self.rounds == 0 {
                found.alone.extend(alone);
                found.beside.extend(beside);
                found.archived += archived;
            }
        }
        Ok(found.table(rate))
    }

    /// The worker while everything is archived again and again, at default settings.
    fn beside(
        &self,
        steps: &(dyn Fn() -> Result<temporal::Waits, Error> + Sync),
    ) -> Result<(Vec<f64>, u32), Error> {
        std::thread::scope(|scope| {
            let working = scope.spawn(steps);
            let mut archived = 0;
            while !working.is_finished() {
                time("archiving", &mut self.ours("default"))?;
                archived += 1;
            }
            let waits =
                working.join().unwrap_or_else(|_| Err(unlike("the worker's end".into())))?;
            Ok((waits.milliseconds, archived))
        })
    }
}

impl Waiting {
    fn table(&self, rate: u32) -> String {
        let mut text = format!(
            "\n### Workflow tasks of a worker with {rate} workflows a second, schedule to start\n\n\
             | | tasks | p50 ms | p95 ms | p99 ms | max ms |\n|---|---|---|---|---|---|\n"
        );
        let beside = format!("beside an archive, {} times over", self.archived);
        for (name, waits) in [("alone", &self.alone), (&beside, &self.beside)] {
            let mut sorted = waits.clone();
            sorted.sort_by(f64::total_cmp);
            let at = |share: f64| {
                let index = (sorted.len() as f64 * share) as usize;
                sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
            };
            let _ = writeln!(
                text,
                "| {name} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
                sorted.len(),
                at(0.5),
                at(0.95),
                at(0.99),
                at(1.0)
            );
        }
        text
    }
}

/// Prints what was measured.
pub fn print(text: &str) {
    write_out(text);
}
