//! Round trips between every server and every stock pg_restore: what the program exports is
//! restored by stock tools, serial and parallel, and by itself, and is equal each time.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::aidp::{Aidp, Place, unlike};
use crate::compare::{Contents, contents, differences, first_difference, sorted_schema};
use crate::error::Error;
use crate::postgres::{CLIENT_MAJORS, Client, SERVER_MAJORS, SUPERUSER, Server, client};
use crate::temporal;

/// Databases made of the exercises, with the roles that these name.
const EXERCISES: [(&str, &str); 2] = [
    (
        "objects",
        "CREATE ROLE objects_owner; CREATE ROLE objects_reader; CREATE ROLE \"Objects Odd\"",
    ),
    (
        "relations",
        "CREATE ROLE relations_owner; CREATE ROLE relations_reader; CREATE ROLE \"Relations Odd\"",
    ),
];

/// Databases of a Temporal server.
const TEMPORAL: [&str; 2] = ["temporal", "temporal_visibility"];

/// The partition of a row by the hash of an enum value depends on OIDs: these are compared by
/// their sum.
const BY_OID: &str = "app.by_mood_";

/// A database with subscriptions cannot be dropped.
const UNSUBSCRIBE: &str = "
DO $$ DECLARE name text;
BEGIN
    FOR name IN SELECT subname FROM pg_subscription JOIN pg_database d ON d.oid = subdbid
        WHERE datname = current_database()
    LOOP
        EXECUTE format('ALTER SUBSCRIPTION %I DISABLE', name);
        EXECUTE format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', name);
        EXECUTE format('DROP SUBSCRIPTION %I', name);
    END LOOP;
END $$";

/// How an export is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// `--compress`.
    pub compress: &'static str,
    /// `--data`.
    pub data: &'static str,
}

/// How much of the matrix.
#[derive(Debug, Clone)]
pub struct Size {
    /// Majors of the servers.
    pub servers: Vec<u16>,
    /// Majors of the stock clients.
    pub clients: Vec<u16>,
    /// How exports are stored.
    pub forms: Vec<Form>,
    /// Jobs of `pg_restore`.
    pub jobs: Vec<u16>,
    /// Whether Temporal's databases are among those exported.
    pub temporal: bool,
}

impl Size {
    /// Everything.
    #[must_use]
    pub fn whole() -> Self {
        let form = |compress, data| Form { compress, data };
        Self {
            servers: SERVER_MAJORS.to_vec(),
            clients: CLIENT_MAJORS.to_vec(),
            forms: vec![
                form("gzip", "text"),
                form("none", "auto"),
                form("zstd", "auto"),
                form("lz4", "text"),
            ],
            jobs: vec![1, 4],
            temporal: true,
        }
    }
}

/// Goes through the matrix; `told` hears of each server and form. Gives the number of restores.
///
/// # Errors
/// When an export or a restore fails, or a copy is not equal.
pub fn run(program: &Path, size: &Size, mut told: impl FnMut(String)) -> Result<u64, Error> {
    let mut restores = 0;
    for &major in &size.servers {
        let server = Server::options(major).setting("wal_level", "logical").start()?;
        let databases = fill(&server, size)?;
        let judge = client(major.max(15))?;
        let originals: Vec<Original> = databases
            .iter()
            .map(|name| Original::of(name, &server, &judge))
            .collect::<Result<_, _>>()?;
        let aidp = Aidp::new(program, &server, Place::Folder)?;
        for &form in &size.forms {
            let before = restores;
            let id = export(&aidp, &databases, form)?;
            for original in &originals {
                restores += original.restore_all(&aidp, &id, &server, &judge, form, size)?;
            }
            told(format!(
                "PostgreSQL {major}, {} {}: {} restores of {} databases are equal",
                form.compress,
                form.data,
                restores - before,
                databases.len()
            ));
        }
    }
    Ok(restores)
}

/// Makes the databases, and gives their names.
fn fill(server: &Server, size: &Size) -> Result<Vec<String>, Error> {
    let mut databases = Vec::new();
    for (name, roles) in EXERCISES {
        server.psql("postgres", roles)?;
        server.createdb(name)?;
        for file in exercise(name, server.major()) {
            server.psql_file(name, &file)?;
        }
        databases.push(name.to_owned());
    }
    if size.temporal {
        let mut temporal = temporal::Server::start(server)?;
        temporal.run_demo("default", 0, 6)?;
        temporal.leave_open("default", 0, 1)?;
        temporal.stop()?;
        databases.extend(TEMPORAL.map(str::to_owned));
    }
    Ok(databases)
}

/// The files that make an exercise on a server of this major, in order.
fn exercise(name: &str, major: u16) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../jobs/postgres/tests/exercise");
    let since = (14..=major).map(|since| format!("{name}_pg{since}.sql"));
    let files = std::iter::once(format!("{name}.sql")).chain(since);
    files.map(|file| folder.join(file)).filter(|file| file.is_file()).collect()
}

/// Exports all databases in one run, which must verify.
fn export(aidp: &Aidp<'_>, databases: &[String], form: Form) -> Result<String, Error> {
    let mut arguments = vec!["--compress", form.compress, "--data", form.data, "--no-prune"];
    for database in databases {
        arguments.extend(["--database", database]);
    }
    let id = aidp.export(&arguments)?;
    aidp.expect(&["verify", &id])?;
    Ok(id)
}

/// A database and what is in it.
struct Original {
    name: String,
    schema: String,
    contents: Contents,
}

impl Original {
    fn of(name: &str, server: &Server, judge: &Client) -> Result<Self, Error> {
        Ok(Self {
            name: name.to_owned(),
            schema: sorted_schema(judge, server, name)?,
            contents: comparable(server, name)?,
        })
    }

    /// Restores it in every way that there is.
    fn restore_all(
        &self,
        aidp: &Aidp<'_>,
        id: &str,
        server: &Server,
        judge: &Client,
        form: Form,
        size: &Size,
    ) -> Result<u64, Error> {
        let mut restores = 0;
        let Some(archive) = aidp.archive(id, &self.name) else { return Ok(0) };
        for &major in &size.clients {
            let stock = client(major)?;
            if !stock.compressions().contains(&form.compress) {
                continue;
            }
            for jobs in &size.jobs {
                let way = format!("pg_restore {} -j{jobs}", stock.version);
                server.createdb("copy")?;
                restore_by_stock(&stock, *jobs, &archive, server)?;
                self.compare(server, judge, &format!("{way} of {form:?}"))?;
                restores += 1;
            }
        }
        let into = format!("dbname=copy user={SUPERUSER}");
        let mut arguments = vec!["restore", id, "--database", &self.name, "--into", &into];
        // All of it is compared.
        arguments.extend(["--create", "--keep-temporal-state"]);
        aidp.expect(&arguments)?;
        self.compare(server, judge, &format!("aidp-backup restore of {form:?}"))?;
        Ok(restores + 1)
    }

    /// Compares the copy with the original, and drops it.
    fn compare(&self, server: &Server, judge: &Client, way: &str) -> Result<(), Error> {
        let copy = Self::of("copy", server, judge)?;
        server.psql("copy", UNSUBSCRIBE)?;
        server.dropdb("copy")?;
        let unequal = |what: String| unlike(format!("copy of {} by {way}: {what}", self.name));
        if let Some(difference) = first_difference(&self.schema, &copy.schema) {
            return Err(unequal(difference));
        }
        let differences = differences(&self.contents, &copy.contents);
        if differences.is_empty() { Ok(()) } else { Err(unequal(differences.join("\n"))) }
    }
}

/// What a database holds, as far as a restore can keep it.
fn comparable(server: &Server, database: &str) -> Result<Contents, Error> {
    let mut contents = contents(server, database)?;
    contents.retain(|name, _| !name.starts_with(BY_OID));
    let table = BY_OID.trim_end_matches('_');
    let sql = format!("SELECT to_regclass('{table}') IS NOT NULL");
    if server.psql(database, &sql)? == "t" {
        let sum = server.psql(database, &format!("SELECT count(*), sum(v) FROM {table}"))?;
        contents.insert(table.to_owned(), sum);
    }
    Ok(contents)
}

fn restore_by_stock(
    stock: &Client,
    jobs: u16,
    archive: &Path,
    server: &Server,
) -> Result<(), Error> {
    let mut command = stock.command("pg_restore");
    // Since 17 it sets transaction_timeout on any server, which older ones do not know, and goes on.
    let unknown_setting = stock.major >= 17 && server.major() < 17;
    if !unknown_setting {
        command.arg("--exit-on-error");
    }
    command.args(["--jobs", &jobs.to_string(), "--dbname", "copy"]).arg(archive);
    let done = server.env(&mut command).output();
    let done = done.map_err(Error::io(format!("cannot run pg_restore {}", stock.version)))?;
    if done.status.success() || unknown_setting && only_that(&done) {
        return Ok(());
    }
    Err(unlike(format!(
        "the end of {command:?}: {}\n{}",
        done.status,
        String::from_utf8_lossy(&done.stderr)
    )))
}

/// Whether every error is about the setting that the server does not know.
fn only_that(done: &Output) -> bool {
    let messages = String::from_utf8_lossy(&done.stderr);
    let mut errors = messages.lines().filter(|line| line.contains("error:")).peekable();
    errors.peek().is_some() && errors.all(|line| line.contains("transaction_timeout"))
}
