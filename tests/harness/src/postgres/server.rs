//! One PostgreSQL server: its cluster, its process, and a way to talk to it.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::cache::remove_dir;
use crate::command::output;
use crate::error::Error;
use crate::process::{Account, Daemon, owned_command};
use crate::run::{Port, new_folder};

use super::{Certificates, Client, Options, client, install_servers};

/// The bootstrap superuser of every server here.
pub const SUPERUSER: &str = "postgres";

/// Its password over TCP.
pub const PASSWORD: &str = "harness";

/// Longest start-up: crash recovery of a large cluster on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Longest shutdown.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// The client used by [`Server::psql`]: it has TLS and is installed without root.
const PSQL_MAJOR: u16 = 17;

/// A running PostgreSQL server with a cluster of its own. Dropping it stops the server and
/// removes the cluster; it also dies with the process that started it.
#[derive(Debug)]
pub struct Server {
    major: u16,
    folder: PathBuf,
    bin_dir: PathBuf,
    account: Option<Account>,
    port: Port,
    certificates: Option<Certificates>,
    client: Client,
    process: Option<Daemon>,
}

impl Server {
    /// Starts a server of this major with the default options: not durable, passwords over TCP,
    /// no TLS.
    ///
    /// # Errors
    /// When the server cannot be installed or does not come up.
    pub fn start(major: u16) -> Result<Self, Error> {
        Self::options(major).start()
    }

    /// Options for a server of this major.
    #[must_use]
    pub fn options(major: u16) -> Options {
        Options::new(major)
    }

    pub(super) fn create(options: Options) -> Result<Self, Error> {
        let major = options.major;
        let native = install_servers()?.join(format!("node_modules/postgresql-{major}/native"));
        let folder = new_folder(&format!("pg{major}"))?;
        let mut server = Self {
            major,
            bin_dir: native.join("bin"),
            account: Account::unprivileged()?,
            port: Port::pick()?,
            certificates: None,
            client: client(PSQL_MAJOR)?,
            process: None,
            folder,
        };
        server.initialize(&options)?;
        server.boot()?;
        Ok(server)
    }

    /// Makes the cluster and writes its configuration.
    fn initialize(&mut self, options: &Options) -> Result<(), Error> {
        let data = self.data_dir();
        let password = self.folder.join("password");
        self.write(&password, PASSWORD)?;
        let socket_dir = self.socket_dir();
        for folder in [&data, &socket_dir] {
            fs::create_dir(folder)
                .map_err(Error::io(format!("cannot create {}", folder.display())))?;
        }
        // Clients of any user connect through the socket.
        fs::set_permissions(&socket_dir, fs::Permissions::from_mode(0o755))
            .map_err(Error::io("cannot open the socket's folder to others"))?;
        if let Some(account) = &self.account {
            for path in [&data, &socket_dir, &password] {
                account.own(path)?;
            }
        }
        let mut initdb = owned_command(self.account.as_ref(), self.bin_dir.join("initdb"))?;
        initdb.arg("--pgdata").arg(&data).arg("--pwfile").arg(&password);
        initdb.args(["--username", SUPERUSER, "--encoding", "UTF8", "--locale", "C.UTF-8"]);
        // By that the initdb of 13 stores the password in the form that pg_hba.conf asks for.
        initdb.args(["--auth-local", "trust", "--auth-host", "scram-sha-256"]);
        initdb.arg("--no-sync").args(&options.initdb);
        output(&format!("making a PostgreSQL {} cluster", self.major), &mut initdb)?;

        let configuration = data.join("postgresql.conf");
        let mut text = fs::read_to_string(&configuration)
            .map_err(Error::io(format!("cannot read {}", configuration.display())))?;
        text.push_str(&options.configuration(self.port(), &socket_dir.display().to_string()));
        self.write(&configuration, &text)?;
        self.write(&data.join("pg_hba.conf"), &options.host_based_authentication())?;
        if let Some(tls) = options.tls {
            let folder = self.folder.join("tls");
            fs::create_dir(&folder)
                .map_err(Error::io(format!("cannot create {}", folder.display())))?;
            let made = Certificates::make(&folder, tls)?;
            for (from, name) in [
                (&made.server_certificate, "server.crt"),
                (&made.server_key, "server.key"),
                (&made.ca, "ca.crt"),
            ] {
                let to = data.join(name);
                fs::copy(from, &to)
                    .and_then(|_| fs::set_permissions(&to, fs::Permissions::from_mode(0o600)))
                    .map_err(Error::io(format!("cannot copy {}", from.display())))?;
            }
            self.certificates = Some(made);
        }
        match &self.account {
            Some(account) => account.own(&data),
            None => Ok(()),
        }
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), Error> {
        fs::write(path, text).map_err(Error::io(format!("cannot write {}", path.display())))
    }

    /// Starts the process and waits until it accepts connections.
    fn boot(&mut self) -> Result<(), Error> {
        let mut command = owned_command(self.account.as_ref(), self.bin_dir.join("postgres"))?;
        command.arg("-D").arg(self.data_dir()).current_dir(&self.folder);
        let mut process =
            Daemon::spawn(&format!("PostgreSQL {}", self.major), command, &self.log_file())?;
        let (pid, pid_file) = (process.pid(), self.data_dir().join("postmaster.pid"));
        let address = ("127.0.0.1", self.port());
        process.wait_until(START_LIMIT, || {
            announces_ready(&pid_file, pid) && TcpStream::connect(address).is_ok()
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Major version.
    #[must_use]
    pub fn major(&self) -> u16 {
        self.major
    }

    /// TCP port on 127.0.0.1; it stays the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Folder of the Unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// The data directory; only root and the server's user may read it.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The server's log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Folder of the server's programs: `postgres`, `initdb`, `pg_ctl`, but no clients.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// Process id of the running postmaster.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Daemon::pid)
    }

    /// The certificates of a server with TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Connection URL of a database over TCP as superuser, password included.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_at("127.0.0.1", self.port(), database)
    }

    /// The same for another address, such as that of a [`crate::proxy::Proxy`] before it.
    #[must_use]
    pub fn url_at(&self, host: &str, port: u16, database: &str) -> String {
        format!("postgresql://{SUPERUSER}:{PASSWORD}@{host}:{port}/{}", percent_encode(database))
    }

    /// Connection URL of a database over the Unix socket as superuser.
    #[must_use]
    pub fn socket_url(&self, database: &str) -> String {
        format!(
            "postgresql://{SUPERUSER}@/{}?host={}&port={}",
            percent_encode(database),
            percent_encode(&self.socket_dir().display().to_string()),
            self.port()
        )
    }

    /// Points a client's command at this server through `PG…` variables: Unix socket, superuser.
    pub fn env<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("PGHOST", self.socket_dir())
            .env("PGPORT", self.port().to_string())
            .env("PGUSER", SUPERUSER)
    }

    /// Runs SQL in a database with psql, stopping at the first error; gives the rows unaligned
    /// (`|` between columns, a line each, no header), without the last line feed.
    ///
    /// # Errors
    /// When psql fails; the error carries its message.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, Error> {
        let mut command = self.client.command("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql]);
        self.run(&mut command)
    }

    /// As [`Server::psql`], with another separator between columns.
    ///
    /// # Errors
    /// When psql fails; the error carries its message.
    pub fn psql_separated(
        &self,
        database: &str,
        sql: &str,
        separator: char,
    ) -> Result<String, Error> {
        let mut command = self.client.command("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]);
        command.args(["-F", &separator.to_string(), "-c", sql]);
        self.run(&mut command)
    }

    /// Runs a file of SQL in a database with psql, stopping at the first error.
    ///
    /// # Errors
    /// When psql fails; the error carries its message.
    pub fn psql_file(&self, database: &str, file: &Path) -> Result<String, Error> {
        let mut command = self.client.command("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]);
        command.arg("-f").arg(file);
        self.run(&mut command)
    }

    fn run(&self, command: &mut Command) -> Result<String, Error> {
        let printed = output(&format!("psql on PostgreSQL {}", self.major), self.env(command))?;
        Ok(printed.trim_end_matches('\n').to_owned())
    }

    /// Creates an empty database (from `template0`, so that nothing of `template1` is in it).
    ///
    /// # Errors
    /// When it exists already, for instance.
    pub fn createdb(&self, database: &str) -> Result<(), Error> {
        let name = database.replace('"', "\"\"");
        self.psql("postgres", &format!("CREATE DATABASE \"{name}\" TEMPLATE template0")).map(drop)
    }

    /// Drops a database, closing the connections to it.
    ///
    /// # Errors
    /// When it cannot be dropped.
    pub fn dropdb(&self, database: &str) -> Result<(), Error> {
        let name = database.replace('"', "\"\"");
        self.psql("postgres", &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).map(drop)
    }

    /// Shuts down in order, closing all connections.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn stop(&mut self) -> Result<(), Error> {
        match self.process.take() {
            // SIGINT is PostgreSQL's "fast" shutdown.
            Some(mut process) => process.end(Signal::INT, STOP_LIMIT).map(drop),
            None => Ok(()),
        }
    }

    /// Kills the server and its backends with SIGKILL, as the kernel's out-of-memory killer or a
    /// power cut would.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill9(&mut self) -> Result<(), Error> {
        match self.process.take() {
            Some(mut process) => process.kill_tree(),
            None => Ok(()),
        }
    }

    /// Restarts the server as a standby: in recovery for ever, open for readers.
    ///
    /// # Errors
    /// When it does not stop or does not come up.
    pub fn become_standby(&mut self) -> Result<(), Error> {
        self.stop()?;
        let signal = self.data_dir().join("standby.signal");
        self.write(&signal, "")?;
        if let Some(account) = &self.account {
            account.own(&signal)?;
        }
        self.boot()
    }

    /// Starts the server again on the same cluster and port; stops it first where it runs.
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
        if let Some(mut process) = self.process.take() {
            // SIGQUIT is the "immediate" shutdown, which also frees the shared memory; a
            // destructor has nobody to report failures to, and the process dies in any case.
            let _ = process.end(Signal::QUIT, STOP_LIMIT);
        }
        let _ = remove_dir(&self.folder);
    }
}

/// Whether the server's `postmaster.pid` says that this very process accepts connections, be it
/// as a standby.
///
/// Format of that file: PostgreSQL's `src/include/utils/pidfile.h`; line 1 is the process id,
/// line 8 the status.
fn announces_ready(pid_file: &Path, pid: u32) -> bool {
    fs::read_to_string(pid_file).is_ok_and(|text| {
        let mut lines = text.lines();
        lines.next() == Some(pid.to_string().as_str())
            && lines.nth(6).is_some_and(|status| ["ready", "standby"].contains(&status.trim_end()))
    })
}

/// Percent-encodes a part of a URL.
pub(crate) fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
