//! Servers, databases and archives that the tests share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use harness::postgres::{Client, Server, client};
use pgarchive::{DirSource, Toc};
use postgres::Error;
use postgres::conninfo::{ConnInfo, Environment};
use postgres::progress::Progress;
use postgres::restore::{ExpectedTable, RestoreOptions, Restored, restore};
use tokio_util::sync::CancellationToken;

pub const RICH: &str = include_str!("rich.sql");

/// The roles that [`RICH`] names.
pub const ROLES: &str = "CREATE ROLE app_owner; CREATE ROLE app_reader; CREATE ROLE \"Odd; Role\";";

/// A server with those roles and database `rich`, shared by tests that leave both alone.
pub static FIFTEEN: LazyLock<Server> = LazyLock::new(|| rich_server(15));

pub fn rich_server(major: u16) -> Server {
    let server = Server::start(major).unwrap();
    server.psql("postgres", ROLES).unwrap();
    server.createdb("rich").unwrap();
    server.psql("rich", RICH).unwrap();
    server
}

/// A directory archive, written by the stock `pg_dump` of `major`.
pub fn dump(server: &Server, major: u16, database: &str, folder: &Path, more: &[&str]) {
    let client = client(major).unwrap();
    let mut command = client.command("pg_dump");
    server.env(&mut command).args(["-Fd", "-f"]).arg(folder).args(more).arg(database);
    run(&mut command);
}

pub fn run(command: &mut std::process::Command) -> String {
    let done = command.output().unwrap();
    let message = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{command:?}: {message}");
    String::from_utf8(done.stdout).unwrap()
}

/// What `pg_dump -s` says of a database.
pub fn schema(server: &Server, client: &Client, database: &str) -> String {
    let mut command = client.command("pg_dump");
    let script = run(server.env(&mut command).args(["-s", database]));
    // The key is random.
    let lines = script.lines().filter(|line| !line.contains("restrict "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Number of rows and a digest of each table, matview, sequence and large object.
pub fn contents(server: &Server, database: &str) -> BTreeMap<String, String> {
    let names = "SELECT CASE relkind WHEN 'S' THEN '(SELECT last_value, is_called FROM ' || c.oid::regclass || ')' \
         ELSE c.oid::regclass::text END FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace \
         WHERE relkind IN ('r', 'm', 'S') AND nspname NOT IN ('pg_catalog', 'information_schema') \
         AND nspname !~ '^pg_toast'";
    let mut found = BTreeMap::new();
    for table in server.psql(database, names).unwrap().lines() {
        let digest = format!(
            "SELECT count(*) || ' ' || coalesce(md5(string_agg(r::text, E'\\n' ORDER BY r::text)), '') FROM {table} AS r"
        );
        found.insert(table.to_owned(), server.psql(database, &digest).unwrap());
    }
    let objects = "SELECT string_agg(oid || ' ' || md5(lo_get(oid)), ',' ORDER BY oid) FROM pg_largeobject_metadata";
    found.insert("large objects".to_owned(), server.psql(database, objects).unwrap());
    found
}

/// Restores the archive in `folder` into `url`.
pub async fn restore_from(
    folder: &Path,
    url: &str,
    options: &RestoreOptions,
    expected: &[ExpectedTable],
) -> Result<Restored, Error> {
    restore_until(folder, url, options, expected, CancellationToken::new()).await
}

pub async fn restore_until(
    folder: &Path,
    url: &str,
    options: &RestoreOptions,
    expected: &[ExpectedTable],
    cancel: CancellationToken,
) -> Result<Restored, Error> {
    let toc = Toc::decode(&std::fs::read(folder.join("toc.dat")).unwrap()).unwrap();
    restore(
        Arc::new(DirSource::new(folder)),
        toc,
        &target(url),
        options,
        expected,
        Arc::new(Progress::default()),
        cancel,
    )
    .await
}

pub fn target(url: &str) -> ConnInfo {
    ConnInfo::resolve(Some(url), &Environment::default()).unwrap()
}

/// An error and all its sources.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
