//! Prometheus and promtool: Debian's packages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::command::output;
use crate::error::Error;
use crate::parts::apt::Packages;
use crate::process::{Daemon, owned_command};
use crate::run::Port;

const PACKAGES: Packages = Packages {
    purpose: "checking metrics, alert rules and the dashboard",
    packages: &["prometheus"],
    programs: &["promtool", "prometheus"],
};
const START_LIMIT: Duration = Duration::from_secs(60);

/// Installs Debian's package where it is missing.
///
/// # Errors
/// When it cannot be installed.
pub fn install() -> Result<(), Error> {
    PACKAGES.ensure()
}

/// Runs promtool in `folder`; gives what it printed.
///
/// # Errors
/// With its words, when it is not content.
pub fn promtool(folder: &Path, arguments: &[&str]) -> Result<String, Error> {
    install()?;
    let promtool = PACKAGES.find("promtool")?;
    output("asking promtool", Command::new(promtool).args(arguments).current_dir(folder))
}

/// Has promtool check metrics as a scrape gives them.
///
/// # Errors
/// With its words, when it is not content.
pub fn check_metrics(text: &str) -> Result<(), Error> {
    install()?;
    let file = tempfile::NamedTempFile::new().map_err(Error::io("cannot make a file"))?;
    std::fs::write(file.path(), text).map_err(Error::io("cannot write metrics"))?;
    let mut check = Command::new("sh");
    check.args(["-c", "promtool check metrics < \"$0\""]).arg(file.path());
    output("checking metrics", &mut check).map(drop)
}

/// A running Prometheus; it dies with its owner.
#[derive(Debug)]
pub struct Prometheus {
    port: Port,
    folder: TempDir,
    process: Daemon,
}

impl Prometheus {
    /// Starts one with these rules loaded, which scrapes `HOST:PORT` every second.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(rules: &str, target: &str) -> Result<Self, Error> {
        install()?;
        let (port, folder) =
            (Port::pick()?, TempDir::new().map_err(Error::io("cannot make a folder"))?);
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).map_err(Error::io("cannot write rules"))
        };
        let config = format!(
            "rule_files: [rules.yaml]\nglobal: {{evaluation_interval: 1s}}\nscrape_configs:\n\
             - {{job_name: test, scrape_interval: 1s, static_configs: [{{targets: ['{target}']}}]}}\n"
        );
        write("prometheus.yml", &config)?;
        write("rules.yaml", rules)?;
        let path = |name: &str| -> PathBuf { folder.path().join(name) };
        let mut command = owned_command(None, PACKAGES.find("prometheus")?)?;
        command
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", port.number()));
        let mut process = Daemon::spawn("Prometheus", command, &path("log"))?;
        let log = path("log");
        process.wait_until(START_LIMIT, || {
            std::fs::read_to_string(&log)
                .is_ok_and(|text| text.contains("Server is ready to receive web requests"))
        })?;
        Ok(Self { port, folder, process })
    }

    /// Waits until an expression has a value.
    ///
    /// # Errors
    /// When it has none for long, or Prometheus dies.
    pub fn wait_for(&mut self, expression: &str) -> Result<(), Error> {
        let address = self.address();
        let folder = self.folder.path();
        self.process.wait_until(START_LIMIT, || {
            promtool(folder, &["query", "instant", &address, expression])
                .is_ok_and(|answer| !answer.trim().is_empty())
        })
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Evaluates an expression now.
    ///
    /// # Errors
    /// With Prometheus's words, when it does not understand it.
    pub fn query(&self, expression: &str) -> Result<String, Error> {
        promtool(self.folder.path(), &["query", "instant", &self.address(), expression])
    }
}
