//! Finished workflows that look like Aidp's, and others for measuring, run by a real worker in
//! Python.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::cache::Part;
use crate::command::output_within;
use crate::error::Error;
use crate::parts::{check_platform, pip};
use crate::run::new_folder;

use super::Server;

const REQUIREMENTS: &str = include_str!("../../demo/requirements.txt");
const WORKFLOWS: &str = include_str!("../../demo/workflows.py");
const HISTORIES: &str = include_str!("../../demo/histories.py");
const RUN: &str = include_str!("../../demo/run.py");
const HEAVY: &str = include_str!("../../demo/heavy.py");
const LATENCY: &str = include_str!("../../demo/latency.py");

/// How long one run of a script may take: thousands of changes take some minutes, and a workflow
/// that hangs must not hang the tests.
const LIMIT: Duration = Duration::from_secs(900);

/// Installs Temporal's Python SDK where that has not been done; gives the folder for `PYTHONPATH`.
///
/// # Errors
/// When Python is missing or too old, or pip fails.
pub fn install() -> Result<PathBuf, Error> {
    check_platform()?;
    Part {
        name: "temporal-python",
        title: "installing Temporal's Python SDK from PyPI".to_owned(),
        pins: &[REQUIREMENTS],
    }
    .ensure(|into| pip::install(into, REQUIREMENTS))
}

/// Python with Temporal's SDK, for a script of one's own.
///
/// # Errors
/// As [`install`].
pub fn python() -> Result<Command, Error> {
    let mut command = Command::new(pip::python()?);
    command
        .env("PYTHONPATH", install()?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // The user's own profiles are none of the demo's business.
        .env("TEMPORAL_CONFIG_FILE", "/dev/null");
    Ok(command)
}

/// What a namespace holds after the demo's workflows have run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Demo {
    /// Runs that this call has brought to an end, children and continued runs included; all of
    /// them are listed by visibility.
    pub closed: u64,
    /// Runs in the namespace by status, such as `Completed`.
    pub statuses: BTreeMap<String, u64>,
}

/// How a busy worker fared.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Waits {
    /// For each workflow task, how long it waited for the worker.
    pub milliseconds: Vec<f64>,
    /// Seconds that all of it took.
    pub seconds: f64,
}

impl Server {
    /// Runs so many changes through the demo's pipeline to their various ends: most are merged,
    /// one in six fails, is cancelled, is terminated or times out, and one in eight brings a chain
    /// of continued runs with it. Two dozen take some seconds, thousands some minutes.
    ///
    /// The changes are numbered from `first`; a workflow id is used once per number.
    ///
    /// # Errors
    /// When Python or its packages cannot be had, or a workflow ends otherwise than it should.
    pub fn run_demo(&self, namespace: &str, first: u32, changes: u32) -> Result<Demo, Error> {
        self.run_changes(namespace, first, [changes, 0, 0])
    }

    /// Starts so many changes and leaves them running, each waiting for an approval with a timer
    /// of thirty days, with no worker left.
    ///
    /// # Errors
    /// As [`Server::run_demo`].
    pub fn leave_open(&self, namespace: &str, first: u32, changes: u32) -> Result<(), Error> {
        self.run_changes(namespace, first, [0, changes, 0]).map(drop)
    }

    /// Approves so many of the changes that [`Server::leave_open`] left, and waits for their end:
    /// the proof that a restored server goes on where the backup was taken.
    ///
    /// # Errors
    /// As [`Server::run_demo`], and when there are no such changes.
    pub fn approve_open(&self, namespace: &str, first: u32, changes: u32) -> Result<Demo, Error> {
        self.run_changes(namespace, first, [0, 0, changes])
    }

    /// The digest of every closed run's history in a namespace. Two servers hold the same
    /// histories when these are equal.
    ///
    /// # Errors
    /// When Python or its packages cannot be had, or a history cannot be read.
    pub fn histories(&self, namespace: &str) -> Result<BTreeMap<String, String>, Error> {
        self.run_script(&[("histories.py", HISTORIES)], |command, summary| {
            command.arg(self.address()).arg(namespace).arg(summary);
        })
    }

    /// Brings two heavy workflows to their ends in an empty namespace: `large`, whose history has
    /// so many megabytes, and `long`, whose history has about so many events. The server's own
    /// limits are 50 MiB and 51,200 events.
    ///
    /// # Errors
    /// As [`Server::run_demo`].
    pub fn run_heavy(
        &self,
        namespace: &str,
        megabytes: u32,
        events: u32,
    ) -> Result<BTreeMap<String, u64>, Error> {
        self.run_script(&[("heavy.py", HEAVY)], |command, summary| {
            command.arg(self.address()).arg(namespace).arg(summary);
            command.args([megabytes, events].map(|number| number.to_string()));
        })
    }

    /// Runs a worker with so many small workflows a second for so many seconds, and tells how long
    /// their tasks waited for it.
    ///
    /// # Errors
    /// As [`Server::run_demo`].
    pub fn run_steps(&self, namespace: &str, seconds: u32, rate: u32) -> Result<Waits, Error> {
        self.run_script(&[("latency.py", LATENCY)], |command, summary| {
            command.arg(self.address()).arg(namespace).arg(summary);
            command.args([seconds, rate].map(|number| number.to_string()));
        })
    }

    fn run_changes(
        &self,
        namespace: &str,
        first: u32,
        [changes, open, approved]: [u32; 3],
    ) -> Result<Demo, Error> {
        self.run_script(&[("run.py", RUN), ("workflows.py", WORKFLOWS)], |command, summary| {
            command.arg(self.address()).arg(namespace).arg(summary);
            command.args([changes, open, approved, first].map(|number| number.to_string()));
        })
    }

    /// Runs the first of some Python files and reads the summary that it writes.
    fn run_script<T: for<'a> Deserialize<'a>>(
        &self,
        files: &[(&str, &str)],
        arguments: impl FnOnce(&mut Command, &Path),
    ) -> Result<T, Error> {
        let mut command = python()?;
        let folder = new_folder("demo")?;
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text)
                .map_err(Error::io(format!("cannot write {}", path.display())))?;
        }
        let summary = folder.join("summary.json");
        command.args(files.first().map(|(name, _)| folder.join(name)));
        arguments(&mut command, &summary);
        output_within(LIMIT, "running the demo's workflows", &mut command)?;
        let read = fs::read(&summary)
            .and_then(|text| serde_json::from_slice(&text).map_err(std::io::Error::other))
            .map_err(Error::io("the demo's workflows left no summary"))?;
        crate::cache::remove_dir(&folder)?;
        Ok(read)
    }
}
