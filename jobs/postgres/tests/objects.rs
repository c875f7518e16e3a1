//! Every class that is no relation, through stock `pg_restore` and back.

mod oracle;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use harness::postgres::Server;
use oracle::{Oracle, assert_same};
use postgres::selection::Selection;

/// Roles that own and may use things in the exercise.
const ROLES: &str =
    "CREATE ROLE objects_owner; CREATE ROLE objects_reader; CREATE ROLE \"Objects Odd\"";

/// The exercise for a server of this version.
fn exercise(major: u16) -> Vec<&'static str> {
    let since = [
        (13, "objects.sql"),
        (14, "objects_pg14.sql"),
        (15, "objects_pg15.sql"),
        (16, "objects_pg16.sql"),
        (17, "objects_pg17.sql"),
        (18, "objects_pg18.sql"),
    ];
    since.into_iter().filter(|(first, _)| *first <= major).map(|(_, file)| file).collect()
}

async fn survives(major: u16) {
    let oracle = Oracle::start(major);
    oracle.server.psql("postgres", ROLES).unwrap();
    oracle.exercise("objects", &exercise(major));
    lists_as_stock(&oracle, "objects").await;
    oracle.judge("objects", &[]).await;
}

/// Stock `pg_dump` must list the same entries in the same order as our archive does.
async fn lists_as_stock(oracle: &Oracle, database: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (stock, ours) = (folder.path().join("stock"), folder.path().join("ours"));
    oracle.export(database, &Selection::default(), &ours).await;
    let mut command = oracle.client.command("pg_dump");
    oracle.run(command.arg("-Fd").arg("-f").arg(&stock).args(["-d", database]));
    assert_same(&list(oracle, &stock), &list(oracle, &ours));
}

/// What stock `pg_restore` lists of an archive, in its order: class, schema, name and owner of
/// each entry. Large objects are left out, which `pg_dump` 17 began to take in batches.
fn list(oracle: &Oracle, archive: &Path) -> String {
    let text = oracle.run(oracle.client.command("pg_restore").arg("-l").arg(archive));
    let entries = text.lines().filter(|line| !line.starts_with(';'));
    // "216; 1259 16385 TABLE public t owner": dump id, catalog, row, and the rest.
    let rest = entries.filter_map(|line| line.splitn(4, ' ').nth(3));
    let mut rest: Vec<&str> =
        rest.filter(|line| !line.contains("BLOB") && !line.contains("LARGE OBJECT")).collect();
    // The 16 at hand is older than the rules by which today's releases break ties.
    if oracle.client.major == 16 {
        rest.sort_unstable();
    }
    rest.join("\n")
}

#[tokio::test]
async fn every_class_survives_postgres_13() {
    survives(13).await;
}

#[tokio::test]
async fn every_class_survives_postgres_14() {
    survives(14).await;
}

#[tokio::test]
async fn every_class_survives_postgres_15() {
    survives(15).await;
}

#[tokio::test]
async fn every_class_survives_postgres_16() {
    survives(16).await;
}

#[tokio::test]
async fn every_class_survives_postgres_17() {
    survives(17).await;
}

#[tokio::test]
async fn every_class_survives_postgres_18() {
    survives(18).await;
}

/// PostgreSQL 18 looks for extensions where it is told to.
#[tokio::test]
async fn an_extension_of_ones_own_comes_back_with_the_rows_of_its_configuration_tables() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let extension = folder.path().join("extension");
    fs::create_dir(&extension).unwrap();
    fs::write(extension.join("kit.control"), "default_version = '1.0'\n").unwrap();
    fs::write(
        extension.join("kit--1.0.sql"),
        "CREATE TABLE setting (name text PRIMARY KEY, value text, builtin bool DEFAULT false);
         CREATE TABLE override (name text PRIMARY KEY REFERENCES setting, value text);
         CREATE SEQUENCE ticket;
         INSERT INTO setting VALUES ('size', '1', true);
         SELECT pg_catalog.pg_extension_config_dump('setting', 'WHERE NOT builtin');
         SELECT pg_catalog.pg_extension_config_dump('override', '');
         SELECT pg_catalog.pg_extension_config_dump('ticket', '');",
    )
    .unwrap();
    let path = format!("$system:{}", folder.path().display());
    let server = Server::options(18).setting("extension_control_path", &path).start().unwrap();
    let oracle = Oracle { server, client: harness::postgres::client(18).unwrap() };
    oracle.server.createdb("kit").unwrap();
    let sql = "CREATE EXTENSION kit;
         INSERT INTO setting VALUES ('colour', 'red'); INSERT INTO override VALUES ('colour', 'blue');
         SELECT nextval('ticket'), nextval('ticket');
         CREATE TABLE mine (name text REFERENCES setting); INSERT INTO mine VALUES ('size');
         GRANT SELECT ON setting TO PUBLIC;";
    oracle.server.psql("kit", sql).unwrap();
    oracle.judge("kit", &[]).await;
    for copy in ["kit_serial", "kit_parallel"] {
        let rows = "SELECT (SELECT count(*) FROM setting), (SELECT count(*) FROM override), \
                    (SELECT last_value FROM ticket), (SELECT count(*) FROM mine)";
        assert_eq!(oracle.server.psql(copy, rows).unwrap(), "2|1|2|1");
    }
}
