//! The contestants.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::postgres::{Client, Server};
use crate::progress::say;

use super::Options;
use super::measure::{Cost, Table, size, time};

/// A server, the stock tools, our program, and a folder to write into.
#[derive(Debug)]
pub struct Bench {
    server: Server,
    client: Client,
    program: PathBuf,
    rounds: usize,
    work: tempfile::TempDir,
}

impl Bench {
    /// Checks that the program is there.
    pub fn new(server: Server, client: Client, options: &Options) -> Result<Self, Error> {
        let program = fs::canonicalize(&options.program).map_err(|_| Error::Missing {
            program: options.program.display().to_string(),
            purpose: "measuring it".into(),
            hint: "build it first: cargo build --release".into(),
        })?;
        let work = tempfile::tempdir().map_err(Error::io("cannot create a folder"))?;
        Ok(Self { server, client, program, rounds: options.rounds, work })
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Our program with its store in `store`, connected to the server.
    fn ours(&self, store: &str) -> Command {
        let mut command = Command::new(&self.program);
        self.server.env(&mut command);
        command.arg("--store").arg(self.path(store)).arg("-q");
        command
    }

    fn stock(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.client.command(program);
        self.server.env(&mut command);
        command.args(args);
        command
    }

    /// A shell that finds the stock programs first, in the surroundings that they need.
    fn shell(&self, script: &str) -> Command {
        let mut stock = self.client.command("psql");
        self.server.env(&mut stock);
        let own = Path::new(stock.get_program()).parent().map(Path::to_path_buf);
        let others = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = own.into_iter().collect();
        folders.extend(std::env::split_paths(&others));
        let mut shell = Command::new("sh");
        shell.envs(stock.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", std::env::join_paths(folders).unwrap_or(others));
        shell.args(["-c", script]);
        shell
    }

    fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    fn clear(&self, name: &str) {
        let path = self.path(name);
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }

    /// One export into `name`, cleared first, with its size.
    fn export(&self, label: &str, name: &str, mut command: Command) -> Result<Cost, Error> {
        self.clear(name);
        settle_disk();
        let mut cost = time(label, &mut command)?;
        cost.bytes = size(&self.path(name));
        Ok(cost)
    }

    /// Ours and stock's exports of a database, alternating.
    pub fn exports(&self, database: &str, slow: bool) -> Result<Table, Error> {
        let mut table =
            Table::new(format!("Export of `{database}`, PostgreSQL {}", self.server.major()));
        let text = |path: &Path| path.display().to_string();
        for round in 0..=self.rounds {
            say(format!("{database}, round {round} of {}", self.rounds));
            let mut costs: Vec<(&str, Cost)> = Vec::new();
            let mut ours = self.ours("store");
            ours.args(["now", "export", "--jobs", "2", "--database"])
                .arg(self.server.socket_url(database));
            costs.push(("aidp-backup now export", self.export("ours", "store", ours)?));
            let mut gzip = self.ours("gzip");
            gzip.args([
                "now",
                "export",
                "--jobs",
                "2",
                "--data",
                "text",
                "--compress",
                "gzip",
                "--database",
            ]);
            gzip.arg(self.server.socket_url(database));
            costs.push((
                "aidp-backup now export --data text --compress gzip",
                self.export("ours", "gzip", gzip)?,
            ));
            let stock = text(&self.path("stock"));
            let args = ["-Fd", "-j2", "-Z", "zstd:1", "-d", database, "-f", &stock];
            costs.push((
                "pg_dump -Fd -j2 -Z zstd:1",
                self.export("pg_dump", "stock", self.stock("pg_dump", &args))?,
            ));
            let nowhere = format!(
                "psql -X -q -d {database} -Atc \"SELECT format('COPY %s TO ''/dev/null'' WITH (FORMAT binary);', oid::regclass) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace\" | psql -X -q -d {database}"
            );
            costs.push((
                "server alone: COPY binary to /dev/null",
                self.export("server", "none", self.shell(&nowhere))?,
            ));
            if slow && round <= 1 {
                let file = text(&self.path("script.gz"));
                let script = format!("pg_dump -d {database} | gzip > {file}");
                costs.push((
                    "pg_dump \\| gzip",
                    self.export("pg_dump", "script.gz", self.shell(&script))?,
                ));
                let dir = text(&self.path("stockgz"));
                let args = ["-Fd", "-j2", "-Z", "gzip", "-d", database, "-f", &dir];
                costs.push((
                    "pg_dump -Fd -j2 -Z gzip",
                    self.export("pg_dump", "stockgz", self.stock("pg_dump", &args))?,
                ));
            }
            // The first round warms caches and is not counted.
            for (name, cost) in costs {
                if round > 0 || self.rounds == 0 {
                    table.add(name, cost);
                }
            }
        }
        for name in ["gzip", "stockgz", "script.gz"] {
            self.clear(name);
        }
        Ok(table)
    }

    /// Restores of our export and of stock's archive, alternating, and our verify.
    pub fn restores(&self, database: &str) -> Result<Table, Error> {
        let mut table =
            Table::new(format!("Restore of `{database}`, PostgreSQL {}", self.server.major()));
        let mut ours = self.ours("store");
        self.clear("store");
        ours.args(["now", "export", "--jobs", "2", "--database"])
            .arg(self.server.socket_url(database));
        time("ours", &mut ours)?;
        self.clear("stock");
        let stock = self.path("stock").display().to_string();
        let args = ["-Fd", "-j2", "-Z", "zstd:1", "-d", database, "-f", &stock];
        time("pg_dump", &mut self.stock("pg_dump", &args))?;
        let inside = self.archive_folder(database)?;
        for round in 0..=self.rounds {
            say(format!("restore of {database}, round {round} of {}", self.rounds));
            let mut costs = Vec::new();
            let mut ours = self.ours("store");
            ours.args(["restore", "latest", "--jobs", "2", "--into"])
                .arg(self.server.socket_url("copy"));
            costs.push(("aidp-backup restore --jobs 2", self.restore_once("ours", ours)?));
            let args = ["-j2", "-d", "copy", &stock];
            costs.push((
                "pg_restore -j2 of pg_dump's archive",
                self.restore_once("stock", self.stock("pg_restore", &args))?,
            ));
            let args = ["-j2", "-d", "copy", &inside];
            costs.push((
                "pg_restore -j2 of our export",
                self.restore_once("stock", self.stock("pg_restore", &args))?,
            ));
            let mut verify = self.ours("store");
            verify.args(["verify", "latest"]);
            costs.push(("aidp-backup verify", time("verify", &mut verify)?));
            for (name, cost) in costs {
                if round > 0 || self.rounds == 0 {
                    table.add(name, cost);
                }
            }
        }
        Ok(table)
    }

    /// Drills of our export: what of their time the restore takes, and what the checks.
    pub fn drills(&self, database: &str) -> Result<(), Error> {
        let mut ours = self.ours("store");
        self.clear("store");
        ours.args(["now", "export", "--jobs", "2", "--database"])
            .arg(self.server.socket_url(database));
        time("ours", &mut ours)?;
        for round in 0..=self.rounds {
            settle_disk();
            let metrics = self.path("drill.prom");
            let mut drill = self.ours("store");
            drill.args(["drill", "database", "latest", "--jobs", "2", "--scratch"]);
            drill.arg(self.server.socket_url("postgres"));
            drill.arg("--metrics-textfile").arg(&metrics);
            let cost = time("drill", &mut drill)?;
            let evidence = self.newest_evidence()?;
            let part = |name: &str| {
                let seconds = evidence["evidence"]["measures"]["parts"][name].as_f64();
                seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2} s"))
            };
            let counted = if round == 0 { " (warm-up)" } else { "" };
            say(format!(
                "  drill{counted}: {:.2} s in all, restore {}, checks {}, of the restore fetch {} and index {}; {:.0} MiB",
                cost.wall,
                part("restore"),
                part("checks"),
                part("fetch"),
                part("index"),
                cost.peak
            ));
        }
        Ok(())
    }

    /// The document of the newest drill.
    fn newest_evidence(&self) -> Result<serde_json::Value, Error> {
        let folder = self.path("store").join("drills/database");
        let entries = fs::read_dir(&folder).map_err(Error::io("cannot list the drills"))?;
        let documents = entries.flatten().map(|entry| entry.path());
        let json = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "json");
        let newest = documents.filter(json).max().unwrap_or(folder);
        let text = fs::read(&newest).map_err(Error::io("cannot read the newest drill"))?;
        serde_json::from_slice(&text)
            .map_err(std::io::Error::other)
            .map_err(Error::io("the newest drill is no JSON"))
    }

    fn restore_once(&self, label: &str, mut command: Command) -> Result<Cost, Error> {
        self.server.createdb("copy")?;
        settle_disk();
        let cost = time(label, &mut command);
        self.server.dropdb("copy")?;
        cost
    }

    /// The folder of our newest export that stock `pg_restore` reads.
    fn archive_folder(&self, database: &str) -> Result<String, Error> {
        let exports = self.path("store").join("exports");
        let folder = fs::read_dir(&exports)
            .map_err(Error::io("cannot list the exports"))?
            .flatten()
            .map(|entry| entry.path().join(database))
            .find(|path| path.join("toc.dat").is_file());
        folder.map(|path| path.display().to_string()).ok_or_else(|| Error::Missing {
            program: "toc.dat".into(),
            purpose: "restoring our export with pg_restore".into(),
            hint: "the export above did not write one".into(),
        })
    }
}

/// Lets earlier writes reach the disk, so that one contestant does not pay for another's.
fn settle_disk() {
    rustix::fs::sync();
}
