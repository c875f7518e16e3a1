//! aidp-backup as an operator runs it: the program, a server to read from, a place for backups.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::error::Error;
use crate::minio;
use crate::postgres::{PASSWORD, Server};

/// Bucket and prefix of a store in S3.
const BUCKET: &str = "backups";
const PREFIX: &str = "some/prefix";

/// Where backups are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Place {
    /// In a folder.
    Folder,
    /// In an S3 bucket, on a server of its own.
    S3,
}

/// The program, beside a server and with a store of its own.
#[derive(Debug)]
pub struct Aidp<'s> {
    program: PathBuf,
    server: &'s Server,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Folder(TempDir),
    S3(minio::Server),
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl<'s> Aidp<'s> {
    /// The program at `program` with an empty store.
    ///
    /// # Errors
    /// When the store cannot be made.
    pub fn new(program: &Path, server: &'s Server, place: Place) -> Result<Self, Error> {
        let store = match place {
            Place::Folder => {
                Store::Folder(tempfile::tempdir().map_err(Error::io("cannot create a folder"))?)
            }
            Place::S3 => {
                let server = minio::Server::start()?;
                server.create_bucket(BUCKET)?;
                Store::S3(server)
            }
        };
        Ok(Self { program: program.to_owned(), server, store })
    }

    /// The command, with nothing of the environment but where server and store are.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().args(arguments).stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        self.server.env(&mut command).env("PGPASSWORD", PASSWORD);
        match &self.store {
            Store::Folder(folder) => command.env("AIDP_BACKUP_STORE", folder.path()),
            Store::S3(server) => command
                .envs(server.env())
                .env("AIDP_BACKUP_STORE", format!("s3://{BUCKET}/{PREFIX}")),
        };
        command
    }

    /// Runs the command to its end, whatever that is.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Ran, Error> {
        let output = self
            .command(arguments)
            .output()
            .map_err(Error::io(format!("cannot run {}", self.program.display())))?;
        Ok(Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that must succeed, and gives what it printed.
    ///
    /// # Errors
    /// When it ends with another exit code than 0.
    pub fn expect(&self, arguments: &[&str]) -> Result<String, Error> {
        let ran = self.run(arguments)?;
        if ran.code == Some(0) {
            return Ok(ran.stdout);
        }
        Err(unlike(format!(
            "the end of aidp-backup {}: exit code {:?}\n{}{}",
            arguments.join(" "),
            ran.code,
            ran.stdout,
            ran.stderr
        )))
    }

    /// Exports, and gives the identity of the backup.
    ///
    /// # Errors
    /// When that fails.
    pub fn export(&self, arguments: &[&str]) -> Result<String, Error> {
        let arguments: Vec<&str> =
            ["now", "export", "--json"].into_iter().chain(arguments.iter().copied()).collect();
        let printed = self.expect(&arguments)?;
        let document: Value = serde_json::from_str(&printed)
            .map_err(|_| unlike(format!("what an export prints: {printed}")))?;
        Ok(document["backup"]["id"].as_str().unwrap_or_default().to_owned())
    }

    /// Identities of the listed backups.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn ids(&self) -> Result<BTreeSet<String>, Error> {
        let printed = self.expect(&["list", "--json"])?;
        let id = |line: &str| {
            let summary: Value = serde_json::from_str(line).ok()?;
            Some(summary["id"].as_str()?.to_owned())
        };
        Ok(printed.lines().filter_map(id).collect())
    }

    /// The keys of all objects below `exports/`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn objects(&self) -> Result<Vec<String>, Error> {
        match &self.store {
            Store::Folder(folder) => files(&folder.path().join("exports"), "exports"),
            Store::S3(server) => {
                let listed = server.client().list(BUCKET, &format!("{PREFIX}/exports/"))?;
                let own = |key: String| {
                    key.strip_prefix(PREFIX).map(|key| key.trim_start_matches('/').to_owned())
                };
                Ok(listed.into_iter().filter_map(own).collect())
            }
        }
    }

    /// What was begun to be written and never finished: temporary files, uploads in parts.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn unfinished(&self) -> Result<Vec<String>, Error> {
        match &self.store {
            Store::Folder(folder) => files(&folder.path().join(".tmp"), ".tmp"),
            // MinIO lists them by whole keys only; those of listed objects are finished.
            Store::S3(_) => Ok(Vec::new()),
        }
    }

    /// The folder of a database's archive in a store that is a folder.
    #[must_use]
    pub fn archive(&self, id: &str, database: &str) -> Option<PathBuf> {
        match &self.store {
            Store::Folder(folder) => Some(folder.path().join("exports").join(id).join(database)),
            Store::S3(_) => None,
        }
    }
}

/// Every file below `folder`, by its path, which begins with `path`.
fn files(folder: &Path, path: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        other => other.map_err(Error::io(format!("cannot list {}", folder.display())))?,
    };
    for entry in entries {
        let entry = entry.map_err(Error::io(format!("cannot list {}", folder.display())))?;
        let name = format!("{path}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.extend(files(&entry.path(), &name)?);
        } else {
            found.push(name);
        }
    }
    Ok(found)
}

pub(crate) fn unlike(what: String) -> Error {
    Error::Unlike { what }
}
