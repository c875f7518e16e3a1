//! What tests of the archive share: one Temporal server for a whole test binary, and an archive of
//! its own for each test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use harness::postgres;
use harness::temporal::{Options, Server as Temporal};
use serde_json::Value;
use tempfile::TempDir;

use super::{MAJOR, Ran, bare, collect, run};

/// How long what a server does by itself may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A Temporal server on a PostgreSQL server.
pub struct Served {
    pub temporal: Temporal,
    pub postgres: postgres::Server,
}

impl Served {
    pub fn start(options: Options) -> Self {
        let postgres = postgres::Server::start(MAJOR).unwrap();
        let temporal = options.start(&postgres).unwrap();
        Self { temporal, postgres }
    }

    /// Runs the stock command line.
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.temporal.cli().run(arguments).unwrap()
    }

    /// Closed runs as the stock command line lists them: workflow id by run id.
    pub fn closed(&self, namespace: &str) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let runs = self.temporal.cli().closed_runs(namespace).unwrap();
        runs.iter()
            .map(|run| (text(&run["execution"]["runId"]), text(&run["execution"]["workflowId"])))
            .collect()
    }

    /// Starts workflows that nobody works on and terminates them; waits until they are listed and
    /// have settled.
    pub fn terminated(&self, namespace: &str, number: usize) {
        for number in 0..number {
            let id = format!("brief-{number}");
            let of = ["-n", namespace, "-w", &id];
            let start = ["workflow", "start", "--type", "Brief", "--task-queue", "nobody"];
            self.cli(&[start.as_slice(), &of].concat());
            self.cli(&[["workflow", "terminate"].as_slice(), &of].concat());
        }
        wait("workflows are listed", || self.closed(namespace).len() >= number);
        let settled = Instant::now() + SETTLE;
        wait("workflows have settled", || Instant::now() > settled);
    }
}

/// What every command is told; a little more than that, for times are cut.
const SETTLE: Duration = Duration::from_millis(1_100);

/// Waits until something is so.
pub fn wait(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < LIMIT, "{what}: still not so after {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The command with a store of its own.
pub struct Archive {
    scratch: TempDir,
    variables: Vec<(String, String)>,
}

impl Archive {
    /// Of what a server has.
    pub fn of(served: &Served) -> Self {
        let scratch = TempDir::new().unwrap();
        let mut archive = Self { scratch, variables: Vec::new() };
        std::fs::create_dir(archive.store()).unwrap();
        for (name, value) in served.temporal.env() {
            archive.set(name, value);
        }
        archive.set("TEMPORAL_CONFIG_FILE", "/dev/null");
        archive.set("AIDP_BACKUP_STORE", archive.store().to_str().unwrap());
        archive.set("AIDP_BACKUP_SETTLE", "1s");
        archive
    }

    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// A path in the scratch folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Sets a variable for every command from now on.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.into()));
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(arguments);
        command.envs(self.variables.iter().cloned());
        command
    }

    /// Runs the command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        run(self.command(arguments))
    }

    /// Runs a command that must succeed, and gives its JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Starts archiving at one history a second, and gives it when it is about to fetch those of a
    /// namespace: its runs are listed, and nothing of them is published.
    pub fn begin_slowly(&self, namespace: &str, more: &[&str]) -> Running {
        let slowly = ["now", "archive", "--json", "-v", "--history-rate", "1"];
        let mut command = self.command(&[slowly.as_slice(), more].concat());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut running = Running::new(child);
        running.wait_for(&format!(" runs of {namespace} for "));
        running
    }

    /// Archived runs, each as often as it is listed.
    pub fn archived(&self) -> Vec<Value> {
        let ran = self.run(&["history", "search", "--limit", "0", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Archives a namespace again and again until all that is closed now is there: what has just
    /// closed has not settled yet, and is left for later.
    pub fn until_whole(&self, served: &Served, namespace: &str, more: &[&str]) {
        let closed = served.closed(namespace).len();
        let arguments = [["now", "archive", "-n", namespace].as_slice(), more].concat();
        wait("everything is archived", || {
            self.json(&arguments);
            self.archived().len() >= closed
        });
        self.assert_whole(served, namespace);
    }

    /// Checks that each closed run of a namespace is archived once, byte for byte as the stock
    /// command line shows it, and that the archive reads back.
    pub fn assert_whole(&self, served: &Served, namespace: &str) {
        let archived = self.archived();
        let closed = served.closed(namespace);
        let mut found: Vec<&str> =
            archived.iter().map(|run| run["runId"].as_str().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, closed.keys().collect::<Vec<_>>(), "archived, and what is closed");
        for (run_id, workflow_id) in &closed {
            let shown = self.run(&["history", "show", workflow_id, "-r", run_id, "--json"]);
            assert_eq!(shown.code, Some(0), "{shown:?}");
            let stock = served.temporal.cli().history(namespace, workflow_id, run_id).unwrap();
            assert_eq!(shown.stdout.trim_end(), stock.to_string(), "{workflow_id}");
        }
        let verified = self.json(&["verify", "--all"]);
        assert_eq!(verified["histories"]["runs"], closed.len());
    }

    /// Every file of the store below a folder.
    pub fn objects(&self, below: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.store().join(below), &mut found);
        found
    }
}

/// A command that runs.
pub struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    logged: String,
}

impl Running {
    fn new(mut child: Child) -> Self {
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log, logged: String::new() }
    }

    /// Waits until it logs a line with this text.
    pub fn wait_for(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            let read = self.log.read_line(&mut line).unwrap();
            self.logged.push_str(&line);
            assert!(read > 0, "it ended without a word of {text:?}: {}", self.logged);
        }
    }

    /// Its end.
    pub fn end(mut self) -> Ran {
        self.log.read_to_string(&mut self.logged).unwrap();
        let mut ran = Ran::from(self.child.wait_with_output().unwrap());
        ran.stderr = self.logged;
        ran
    }
}
