//! One Temporal server: all four services in one process, on two databases.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cache::remove_dir;
use crate::command::output;
use crate::error::Error;
use crate::parts::go::Module;
use crate::postgres::{self, Certificates, PASSWORD, SUPERUSER, Tls};
use crate::process::{Daemon, owned_command};
use crate::run::new_folder;

use super::config::Ports;
use super::{Archival, Cli, Options};

const START_LIMIT: Duration = Duration::from_secs(90);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How long the caches of a running server may take to see a new namespace.
const NAMESPACE_LIMIT: Duration = Duration::from_secs(30);

const MODULE: Module = Module {
    name: "temporal-server",
    title: "building the Temporal server 1.32.1 from the Go module proxy (4 to 8 minutes on two \
            cores)",
    go_mod: include_str!("../../tools/temporal/go.mod"),
    go_sum: include_str!("../../tools/temporal/go.sum"),
    packages: &[
        "go.temporal.io/server/cmd/server",
        "go.temporal.io/server/cmd/tools/sql",
        "go.temporal.io/server/cmd/tools/tdbg",
    ],
    arguments: &["-tags=disable_grpc_modules"],
    sources: &[],
};

/// Builds the server and its tools where that has not been done; gives the programs' folder:
/// `server`, `sql` and `tdbg`.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn install() -> Result<PathBuf, Error> {
    MODULE.ensure()
}

/// A running Temporal server. Dropping it stops the server; the databases stay. It also dies with
/// the process that started it.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    ports: Ports,
    options: Options,
    cli: Cli,
    certificates: Option<Certificates>,
    process: Option<Daemon>,
}

impl Server {
    /// Starts a server on the databases `temporal` and `temporal_visibility`, which it creates,
    /// with the namespace `default`.
    ///
    /// # Errors
    /// When it cannot be built or does not come up.
    pub fn start(postgres: &postgres::Server) -> Result<Self, Error> {
        Self::options().start(postgres)
    }

    /// Options for a server.
    #[must_use]
    pub fn options() -> Options {
        Options::default()
    }

    pub(super) fn create(options: Options, postgres: &postgres::Server) -> Result<Self, Error> {
        let ports = Ports::pick()?;
        let mut server = Self {
            programs: install()?,
            folder: new_folder("temporal")?,
            cli: Cli::new(&format!("127.0.0.1:{}", ports.frontend()))?,
            ports,
            options,
            certificates: None,
            process: None,
        };
        if let Some(tls) = server.options.tls {
            server.make_certificates(tls)?;
        }
        if let Some(guarded) = &server.options.guarded {
            server.cli = server.cli.clone().with_token(&guarded.token);
        }
        server.configure(postgres)?;
        if !server.options.existing {
            server.create_schema(postgres)?;
        }
        server.boot()?;
        for (name, days) in server.options.namespaces.clone() {
            let archival = server.options.archival.as_ref();
            let more = archival.map(Archival::arguments).unwrap_or_default();
            server.create_namespace_with(&name, days, &more)?;
        }
        Ok(server)
    }

    fn configure(&self, postgres: &postgres::Server) -> Result<(), Error> {
        let dynamic = self.dynamic_file();
        let address = format!("127.0.0.1:{}", postgres.port());
        let file = self.options.file(&self.ports, &address, &dynamic, self.certificates.as_ref());
        for (path, value) in [(&dynamic, self.options.dynamic_file()), (&self.config_file(), file)]
        {
            fs::write(path, format!("{value:#}\n"))
                .map_err(Error::io(format!("cannot write {}", path.display())))?;
        }
        Ok(())
    }

    /// Creates both databases with the schemas that the server's own tool carries.
    fn create_schema(&self, postgres: &postgres::Server) -> Result<(), Error> {
        for (database, schema) in
            [(&self.options.main, "temporal"), (&self.options.visibility, "visibility")]
        {
            let schema = format!("postgresql/v12/{schema}");
            let steps: [&[&str]; 3] = [
                &["create-database"],
                &["setup-schema", "-v", "0.0"],
                &["update-schema", "--schema-name", &schema],
            ];
            for step in steps {
                output(
                    &format!("making Temporal's schema in database {database}"),
                    Command::new(self.programs.join("sql"))
                        .args(step)
                        .env("SQL_PLUGIN", "postgres12")
                        .env("SQL_HOST", "127.0.0.1")
                        .env("SQL_PORT", postgres.port().to_string())
                        .env("SQL_USER", SUPERUSER)
                        .env("SQL_PASSWORD", PASSWORD)
                        .env("SQL_DATABASE", database),
                )?;
            }
        }
        Ok(())
    }

    fn boot(&mut self) -> Result<(), Error> {
        let mut command = owned_command(None, self.programs.join("server"))?;
        command
            .arg("--config-file")
            .arg(self.config_file())
            .args(["--allow-no-auth", "start"])
            .envs(self.options.archival.iter().flat_map(Archival::env))
            .current_dir(&self.folder);
        let mut process = Daemon::spawn("Temporal server", command, &self.log_file())?;
        let address = self.address();
        process.wait_until(START_LIMIT, || {
            // The port is open before the frontend serves; asking it costs a process.
            std::net::TcpStream::connect(&address).is_ok()
                && self.cli.run(&["operator", "cluster", "health"]).is_ok()
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// `HOST:PORT` of the frontend; it stays the same over restarts.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.frontend())
    }

    /// The variables that point a Temporal client at this server.
    #[must_use]
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![("TEMPORAL_ADDRESS", self.address())]
    }

    /// The `temporal` command line for this server.
    #[must_use]
    pub fn cli(&self) -> &Cli {
        &self.cli
    }

    /// Name of the main database.
    #[must_use]
    pub fn main_database(&self) -> &str {
        &self.options.main
    }

    /// Name of the visibility database.
    #[must_use]
    pub fn visibility_database(&self) -> &str {
        &self.options.visibility
    }

    /// Creates a namespace and waits until the server knows it.
    ///
    /// # Errors
    /// When it exists already, for instance.
    pub fn create_namespace(&self, name: &str, retention_days: u32) -> Result<(), Error> {
        self.create_namespace_with(name, retention_days, &[])
    }

    /// Creates a namespace with more arguments of the command line.
    ///
    /// # Errors
    /// As [`Server::create_namespace`].
    pub fn create_namespace_with(
        &self,
        name: &str,
        retention_days: u32,
        more: &[String],
    ) -> Result<(), Error> {
        let retention = format!("{retention_days}d");
        let create = ["operator", "namespace", "create", "-n", name, "--retention", &retention];
        let arguments: Vec<&str> =
            create.into_iter().chain(more.iter().map(String::as_str)).collect();
        self.cli.run(&arguments)?;
        let started = Instant::now();
        loop {
            match self.cli.run(&["workflow", "count", "-n", name]) {
                Err(error) if started.elapsed() > NAMESPACE_LIMIT => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// How many processes are in the ring of the frontend service. More than one means that this
    /// server has joined another cluster's ring.
    ///
    /// # Errors
    /// When the server does not say.
    pub fn ring_members(&self) -> Result<u64, Error> {
        let printed = output(
            "asking for the ring's members",
            Command::new(self.programs.join("tdbg")).args([
                "--address",
                &self.address(),
                "membership",
                "list-gossip",
                "--role",
                "frontend",
            ]),
        )?;
        let answer = || Error::Answer {
            server: "Temporal server".to_owned(),
            request: "membership list-gossip".to_owned(),
            answer: printed.clone(),
        };
        let (_, rest) = printed.split_once("\"member_count\":").ok_or_else(answer)?;
        let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse().map_err(|_| answer())
    }

    /// The folder of the server's programs: `server`, `sql` and `tdbg`.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The server's log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Process id of the running server.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Daemon::pid)
    }

    /// Changes keys of the dynamic configuration and starts the server again, which is quicker than
    /// to wait until it notices.
    ///
    /// # Errors
    /// As [`Server::restart`].
    pub fn reconfigure(&mut self, keys: &[(&str, serde_json::Value)]) -> Result<(), Error> {
        for (key, value) in keys {
            self.options.set_dynamic(key, value.clone());
        }
        let path = self.dynamic_file();
        fs::write(&path, format!("{:#}\n", self.options.dynamic_file()))
            .map_err(Error::io(format!("cannot write {}", path.display())))?;
        self.restart()
    }

    /// Files of the authority and of a client, where the frontend speaks TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Makes all certificates anew, an authority's too, under the names of the old ones, and starts
    /// the server again.
    ///
    /// # Errors
    /// As [`Server::restart`].
    pub fn renew_certificates(&mut self, tls: Tls) -> Result<(), Error> {
        self.make_certificates(tls)?;
        self.restart()
    }

    fn make_certificates(&mut self, tls: Tls) -> Result<(), Error> {
        let folder = self.folder.join("tls");
        if folder.exists() {
            remove_dir(&folder)?;
        }
        fs::create_dir(&folder).map_err(Error::io(format!("cannot make {}", folder.display())))?;
        let certificates = Certificates::make(&folder, tls)?;
        self.cli = self.cli.clone().with_certificates(&certificates);
        self.certificates = Some(certificates);
        Ok(())
    }

    fn dynamic_file(&self) -> PathBuf {
        self.folder.join("dynamic.yaml")
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("server.yaml")
    }

    /// Shuts down in order, which takes a little over a second.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn stop(&mut self) -> Result<(), Error> {
        match self.process.take() {
            Some(mut process) => process.end(Signal::TERM, STOP_LIMIT).map(drop),
            None => Ok(()),
        }
    }

    /// Kills the server with SIGKILL.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill9(&mut self) -> Result<(), Error> {
        match self.process.take() {
            Some(mut process) => process.kill_tree(),
            None => Ok(()),
        }
    }

    /// Starts the server again on the same databases and ports; stops it first where it runs.
    ///
    /// # Errors
    /// When it does not stop or does not come up.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.stop()?;
        self.boot()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killing is quick and loses nothing that a test could want: PostgreSQL has it all. A
        // destructor has nobody to report to.
        drop(self.process.take());
        let _ = remove_dir(&self.folder);
    }
}
