//! What the end-to-end tests stand on: a real server with a database, a store in a scratch
//! folder, and the command as an operator types it.
#![allow(dead_code)] // Each test file uses its share of it.

pub mod served;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use harness::postgres::{PASSWORD, Server, client};
use serde_json::Value;
use tempfile::TempDir;

/// Major version of the server and the stock tools.
pub const MAJOR: u16 = 17;

/// A database with a bit of everything that a round trip must bring back.
const SHOP: &str = "
    CREATE SCHEMA app;
    CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy');
    CREATE TABLE app.customer (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL CHECK (name <> ''),
        mood app.mood DEFAULT 'ok',
        joined timestamptz DEFAULT now(),
        upper_name text GENERATED ALWAYS AS (upper(name)) STORED
    );
    CREATE TABLE app.purchase (
        id serial PRIMARY KEY,
        customer bigint REFERENCES app.customer,
        amount numeric(12, 2),
        blob bytea
    );
    CREATE INDEX purchase_customer ON app.purchase (customer);
    CREATE VIEW app.spent AS
        SELECT c.name, sum(p.amount) FROM app.customer c JOIN app.purchase p ON p.customer = c.id
        GROUP BY c.name;
    COMMENT ON TABLE app.customer IS 'people''s \"names\"';
    CREATE FUNCTION app.twice(i integer) RETURNS integer LANGUAGE sql AS 'SELECT i * 2';
    GRANT USAGE ON SCHEMA app TO PUBLIC;
    GRANT SELECT ON app.customer TO PUBLIC;
    CREATE TABLE empty ();
    INSERT INTO app.customer (name, mood)
        SELECT E'row\\t' || i, (ARRAY['sad', 'ok', NULL])[1 + i % 3]::app.mood
        FROM generate_series(1, 3000) i;
    INSERT INTO app.purchase (customer, amount, blob)
        SELECT 1 + i % 3000, i / 7.0, decode(repeat(md5(i::text), 8), 'hex')
        FROM generate_series(1, 20000) i;
    SELECT lo_from_bytea(4242, 'a large object');
    ANALYZE;
";

/// Rows of the tables in the database `shop`.
pub const SHOP_ROWS: u64 = 23_000;

/// A server, and a scratch folder with a store in it.
pub struct Stage {
    pub server: Server,
    scratch: TempDir,
    variables: Vec<(String, String)>,
}

/// A session of psql that waits for more.
pub struct Holder {
    psql: Child,
    typed: ChildStdin,
}

impl Holder {
    /// Runs these statements and ends.
    pub fn finish(mut self, sql: &str) {
        writeln!(self.typed, "{sql}").unwrap();
        drop(self.typed);
        assert!(self.psql.wait().unwrap().success());
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Stage {
    /// A server with the database `shop`.
    pub fn new() -> Self {
        let stage = Self::empty();
        stage.shop("shop");
        stage
    }

    /// A server without databases.
    pub fn empty() -> Self {
        Self::on(Server::start(MAJOR).unwrap())
    }

    /// This server.
    pub fn on(server: Server) -> Self {
        let scratch = TempDir::new().unwrap();
        std::fs::create_dir(scratch.path().join("store")).unwrap();
        Self { server, scratch, variables: Vec::new() }
    }

    /// Makes one more database like `shop`.
    pub fn shop(&self, name: &str) {
        self.server.createdb(name).unwrap();
        self.server.psql(name, SHOP).unwrap();
    }

    /// Folder of the store.
    pub fn store(&self) -> PathBuf {
        self.scratch.path().join("store")
    }

    /// A path in the scratch folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The command, with nothing of the environment but where server and store are.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(arguments);
        self.server.env(&mut command);
        command.env("PGPASSWORD", PASSWORD).env("AIDP_BACKUP_STORE", self.store());
        command.envs(self.variables.iter().cloned());
        command
    }

    /// Sets a variable for every command from now on.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.into()));
    }

    /// Runs the command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        run(self.command(arguments))
    }

    /// Runs a command that must succeed, and gives its JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let ran = self.run(&arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Runs a command, however it ends, and gives its JSON.
    pub fn json_of(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let ran = self.run(&arguments);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    /// Exports `shop` and gives the backup's identity.
    pub fn export(&self, more: &[&str]) -> String {
        let arguments: Vec<&str> =
            ["now", "export", "-d", "shop"].into_iter().chain(more.iter().copied()).collect();
        self.json(&arguments)["backup"]["id"].as_str().unwrap().to_owned()
    }

    /// Identities of the listed backups.
    pub fn ids(&self) -> Vec<String> {
        let ran = self.run(&["list", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let id = |line: &str| {
            let summary: Value = serde_json::from_str(line).unwrap();
            summary["id"].as_str().unwrap().to_owned()
        };
        ran.stdout.lines().map(id).collect()
    }

    /// A connection URL without a password; the command finds that in `PGPASSWORD`.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.server.port())
    }

    /// A session that has run these statements and stays: what it holds stays held.
    pub fn holding(&self, database: &str, sql: &str) -> Holder {
        let mut psql = client(MAJOR).unwrap().command("psql");
        self.server.env(&mut psql);
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database]);
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut typed = psql.stdin.take().unwrap();
        writeln!(typed, "{sql}\n\\echo ready").unwrap();
        let mut answer = String::new();
        BufReader::new(psql.stdout.take().unwrap()).read_line(&mut answer).unwrap();
        assert_eq!(answer.trim(), "ready");
        Holder { psql, typed }
    }

    /// Everything in a database as stock pg_dump prints it, as lines and how often each is there:
    /// the order of rows makes no difference.
    pub fn content(&self, database: &str) -> BTreeMap<String, usize> {
        let mut dump = client(MAJOR).unwrap().command("pg_dump");
        self.server.env(&mut dump);
        let output = dump.args(["-d", database]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut lines = BTreeMap::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            if !line.starts_with(r"\restrict") && !line.starts_with(r"\unrestrict") {
                *lines.entry(line.to_owned()).or_default() += 1;
            }
        }
        lines
    }

    /// Checks that two databases are equal, row by row and object by object.
    pub fn assert_equal(&self, one: &str, other: &str) {
        let (one, other) = (self.content(one), self.content(other));
        let only = |a: &BTreeMap<String, usize>, b: &BTreeMap<String, usize>| {
            let differing = a.iter().filter(|(line, count)| b.get(*line) != Some(*count));
            differing.map(|(line, _)| line.clone()).take(5).collect::<Vec<_>>()
        };
        assert_eq!(only(&one, &other), Vec::<String>::new());
        assert_eq!(only(&other, &one), Vec::<String>::new());
    }

    /// Runs a stock program that must succeed.
    pub fn stock(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = client(MAJOR).unwrap().command(program);
        self.server.env(&mut command);
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Every object in the store's folder, by path relative to it.
    pub fn objects(&self, below: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.store().join(below), &mut found);
        found.sort();
        found
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}

/// The command with an empty environment.
pub fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aidp-backup"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs a command to its end.
pub fn run(mut command: Command) -> Ran {
    command.output().unwrap().into()
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// The lines `error: …` and `hint: …`.
    pub fn complaint(&self) -> Vec<&str> {
        let lines = self.stderr.lines();
        lines.filter(|line| line.starts_with("error: ") || line.starts_with("hint: ")).collect()
    }

    /// Checks the exit code and that the error line says all of these.
    pub fn assert_fails(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let complaint = self.complaint().join("\n");
        for text in says {
            assert!(complaint.contains(text), "{text:?} is not in {complaint:?}");
        }
    }
}
