//! One S3 server process, whichever program it is.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::cache::remove_dir;
use crate::error::Error;
use crate::process::{Daemon, owned_command};
use crate::run::{Port, new_folder};

use super::{Bucket, Client, REGION};

/// Root user of every S3 server here.
pub(crate) const ACCESS_KEY: &str = "harness";

/// Its password.
pub(crate) const SECRET_KEY: &str = "harness-secret";

/// Folder of the objects, below the server's own.
pub(crate) const DATA: &str = "data";

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A program that serves S3 from a folder.
pub trait Program {
    /// Name for people and for folders.
    const NAME: &'static str;

    /// Folders that must exist when it starts, beside each other; the first is for objects.
    const FOLDERS: &'static [&'static str] = &[DATA];

    /// Installs the program where that has not been done; gives its path.
    ///
    /// # Errors
    /// When it cannot be built.
    fn install() -> Result<PathBuf, Error>;

    /// Completes the command that serves `data`, an existing folder, at `address`.
    fn complete(command: &mut Command, address: &str, data: &Path);
}

/// A running S3 server with empty storage of its own. Dropping it stops the server and removes
/// the storage; it also dies with the process that started it.
#[derive(Debug)]
pub struct Server<P> {
    program: PathBuf,
    folder: PathBuf,
    port: Port,
    process: Option<Daemon>,
    /// Variables of the process beyond those that it always gets.
    variables: Vec<(&'static str, &'static str)>,
    kind: PhantomData<fn() -> P>,
}

impl<P: Program> Server<P> {
    /// Starts a server.
    ///
    /// # Errors
    /// When it cannot be built or does not come up.
    pub fn start() -> Result<Self, Error> {
        let mut server = Self {
            program: P::install()?,
            folder: new_folder(&P::NAME.to_lowercase())?,
            port: Port::pick()?,
            process: None,
            variables: Vec::new(),
            kind: PhantomData,
        };
        for folder in P::FOLDERS.iter().map(|name| server.folder.join(name)) {
            std::fs::create_dir(&folder)
                .map_err(Error::io(format!("cannot create {}", folder.display())))?;
        }
        server.boot()?;
        Ok(server)
    }

    fn boot(&mut self) -> Result<(), Error> {
        let mut command = owned_command(None, &self.program)?;
        P::complete(&mut command, &self.address(), &self.data_dir());
        // Certificates and settings are looked for in the home folder: not in the user's.
        command.env("HOME", &self.folder).current_dir(&self.folder);
        command.envs(self.variables.iter().copied());
        let mut process = Daemon::spawn(P::NAME, command, &self.log_file())?;
        process.wait_until(START_LIMIT, || self.client().list_buckets().is_ok())?;
        self.process = Some(process);
        Ok(())
    }

    /// The folder that the server stores in, in its own form.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join(DATA)
    }

    /// `HOST:PORT`; it stays the same over restarts.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// `http://HOST:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The root user's access key id.
    #[must_use]
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// The root user's secret access key.
    #[must_use]
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// The `AWS_…` variables that point an S3 client at this server.
    #[must_use]
    pub fn env(&self) -> Vec<(&'static str, String)> {
        environment(&self.endpoint(), ACCESS_KEY, SECRET_KEY)
    }

    /// A client with the root user's keys.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.address(), ACCESS_KEY, SECRET_KEY)
    }

    /// Creates an ordinary bucket.
    ///
    /// # Errors
    /// When it exists already, for instance.
    pub fn create_bucket(&self, name: &str) -> Result<(), Error> {
        self.client().create_bucket(name, Bucket::default())
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

    /// Shuts down in order.
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

    /// Starts the server again on the same drive and port; stops it first where it runs.
    ///
    /// # Errors
    /// When it does not stop or does not come up.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.stop()?;
        self.boot()
    }

    /// The same with variables for the program, from now on.
    ///
    /// # Errors
    /// When it does not stop or does not come up.
    pub fn restart_with(
        &mut self,
        variables: &[(&'static str, &'static str)],
    ) -> Result<(), Error> {
        self.variables = variables.to_vec();
        self.restart()
    }

    /// Freezes the server: connections stay open and nothing is answered.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn pause(&mut self) -> Result<(), Error> {
        self.process.as_mut().map_or(Ok(()), |process| process.signal(Signal::STOP))
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.process.as_mut().map_or(Ok(()), |process| process.signal(Signal::CONT))
    }
}

impl<P> Drop for Server<P> {
    fn drop(&mut self) {
        // A destructor has nobody to report to.
        drop(self.process.take());
        let _ = remove_dir(&self.folder);
    }
}

/// The `AWS_…` variables for an endpoint.
pub(crate) fn environment(
    endpoint: &str,
    access_key: &str,
    secret_key: &str,
) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL_S3", endpoint.to_owned()),
        ("AWS_ACCESS_KEY_ID", access_key.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", secret_key.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
    ]
}
