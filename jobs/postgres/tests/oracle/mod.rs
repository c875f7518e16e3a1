//! Stock `pg_dump` and `pg_restore` as judges: what a plan describes goes through
//! `pg_restore` into an empty database, and `pg_dump` must not tell the two apart.
#![allow(dead_code)] // each test program uses its own share

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use harness::postgres::{Client, Server};
use postgres::conninfo::{ConnInfo, Environment};
use postgres::plan::{Plan, plan};
use postgres::quote;
use postgres::selection::Selection;
use postgres::session::SessionOptions;
use postgres::snapshot::Snapshot;

mod facts;
mod toc;

/// A server, and stock clients that are not older than it.
pub struct Oracle {
    pub server: Server,
    pub client: Client,
}

impl Oracle {
    /// Starts a server.
    pub fn start(major: u16) -> Self {
        Self {
            server: Server::options(major).setting("wal_level", "logical").start().unwrap(),
            client: harness::postgres::client(major.max(15)).unwrap(),
        }
    }

    /// Makes a database out of files of `tests/exercise`.
    pub fn exercise(&self, database: &str, files: &[&str]) {
        self.server.createdb(database).unwrap();
        for file in files {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exercise").join(file);
            self.server.psql_file(database, &path).unwrap();
        }
    }

    /// Opens a snapshot of a database.
    pub async fn snapshot(&self, database: &str) -> Snapshot {
        self.snapshot_as(database, None).await
    }

    /// Opens a snapshot of a database in another role.
    pub async fn snapshot_as(&self, database: &str, role: Option<&str>) -> Snapshot {
        let url = self.server.socket_url(database);
        let info = ConnInfo::resolve(Some(&url), &Environment::default()).unwrap();
        let options = SessionOptions { role: role.map(str::to_owned), ..SessionOptions::default() };
        Snapshot::open(&info, &options).await.unwrap()
    }

    /// Plans a database, in another role if one is given.
    pub async fn plan(&self, database: &str, role: Option<&str>) -> Result<Plan, postgres::Error> {
        let mut snapshot = self.snapshot_as(database, role).await;
        plan(snapshot.session(), &Selection::default()).await
    }

    /// Exports a database into `folder`, rows as one plain COPY stream per table.
    pub async fn export(&self, database: &str, selection: &Selection, folder: &Path) -> Plan {
        let mut snapshot = self.snapshot(database).await;
        let mut plan =
            plan(snapshot.session(), selection).await.unwrap_or_else(|e| panic!("{e:?}"));
        fs::create_dir_all(folder).unwrap();
        for table in &plan.tables {
            let name = quote::quote_qualified(&table.schema, &table.name);
            let columns: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
            let list = quote::quote_ident_list(columns.iter().copied());
            let sql = match &table.condition {
                Some(condition) => {
                    format!("COPY (SELECT {list} FROM {name} {condition}) TO STDOUT")
                }
                None if columns.is_empty() => format!("COPY {name} TO STDOUT"),
                None => format!("COPY {name} ({list}) TO STDOUT"),
            };
            let file_name = format!("{}.dat", table.data_id);
            let mut file = fs::File::create(folder.join(&file_name)).unwrap();
            let mut copy = snapshot.session().copy_out("copying", &sql).await.unwrap();
            while let Some(bytes) = copy.next().await.unwrap() {
                file.write_all(&bytes).unwrap();
            }
            drop(copy);
            file.write_all(b"\\.\n\n\n").unwrap();
            let entry = plan.entries.iter_mut().find(|entry| entry.dump_id == table.data_id);
            let entry = entry.unwrap();
            entry.file_name = Some(file_name);
            entry.had_dumper = true;
        }
        copy_large_objects(&mut plan, &mut snapshot, folder).await;
        fs::write(folder.join("toc.dat"), toc::encode(&plan)).unwrap();
        plan
    }

    /// Restores an archive into a new database.
    pub fn restore(&self, folder: &Path, database: &str, arguments: &[&str]) {
        self.server.createdb(database).unwrap();
        self.restore_into(folder, database, arguments);
    }

    /// Restores an archive into a database that is there.
    pub fn restore_into(&self, folder: &Path, database: &str, arguments: &[&str]) {
        let mut command = self.client.command("pg_restore");
        command.args(["--exit-on-error", "-d", database]).args(arguments).arg(folder);
        self.run(&mut command);
    }

    /// What stock `pg_dump` says of a database, without what differs from run to run: its
    /// entries sorted, for ties in their order are broken by OID.
    pub fn dump(&self, database: &str, arguments: &[&str]) -> String {
        let mut command = self.client.command("pg_dump");
        command.args(arguments).args(["-d", database]);
        let text = self.run(&mut command);
        let is_stable = |line: &&str| {
            !["\\restrict ", "\\unrestrict ", "SET default_"].iter().any(|s| line.starts_with(s))
        };
        let text = text.lines().filter(is_stable).collect::<Vec<_>>().join("\n");
        let mut entries: Vec<&str> = text.split("\n--\n-- ").map(str::trim_end).collect();
        entries.sort_unstable();
        entries.join("\n--\n-- ")
    }

    /// What `pg_dump` does not show of relations, or only between the lines.
    pub fn facts(&self, database: &str) -> String {
        let mut facts: Vec<String> = Vec::new();
        for query in facts::FACTS {
            let rows = self.server.psql(database, query).unwrap();
            facts.extend(rows.lines().map(str::to_owned));
        }
        facts.sort_unstable();
        facts.join("\n")
    }

    /// Runs a stock program, which must succeed, and returns what it printed.
    pub fn run(&self, command: &mut Command) -> String {
        let output = self.server.env(command).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?} failed:\n{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The whole judgement: equal schemas and rows after a restore, serial and parallel.
    pub async fn judge(&self, database: &str, arguments: &[&str]) -> Plan {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("archive");
        let plan = self.export(database, &Selection::default(), &archive).await;
        let expected = self.dump(database, arguments);
        for (copy, jobs) in [("serial", "-j1"), ("parallel", "-j4")] {
            let copy = format!("{database}_{copy}");
            self.restore(&archive, &copy, &[jobs]);
            assert_same(&expected, &self.dump(&copy, arguments));
        }
        plan
    }
}

/// Writes large objects as a directory archive has them.
async fn copy_large_objects(plan: &mut Plan, snapshot: &mut Snapshot, folder: &Path) {
    let Some(entry) = plan.entries.iter_mut().find(|entry| entry.desc == "BLOBS") else { return };
    entry.file_name = Some("blobs.toc".to_owned());
    let mut list = String::new();
    for oid in &plan.large_objects {
        let sql = format!("SELECT encode(lo_get({oid}), 'hex') AS hex");
        let row = snapshot.session().row("reading", &sql).await.unwrap();
        let hex: String = row.get("hex").unwrap();
        let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(digits).collect();
        fs::write(folder.join(format!("blob_{oid}.dat")), bytes).unwrap();
        list.push_str(&format!("{oid} blob_{oid}.dat\n"));
    }
    fs::write(folder.join("blobs.toc"), list).unwrap();
}

/// Panics with the lines that differ.
pub fn assert_same(expected: &str, found: &str) {
    if expected == found {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (left, right) = (folder.path().join("expected.sql"), folder.path().join("found.sql"));
    fs::write(&left, expected).unwrap();
    fs::write(&right, found).unwrap();
    let diff = Command::new("diff").arg("-u").args([left, right]).output().unwrap();
    panic!("the restored database differs:\n{}", String::from_utf8_lossy(&diff.stdout));
}
