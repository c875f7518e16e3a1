//! What a plan refuses, what it leaves out on request, and what it waits for.

mod oracle;

use std::process::Command;
use std::time::Duration;

use oracle::{Oracle, assert_same};
use postgres::Error;
use postgres::conninfo::{ConnInfo, Environment};
use postgres::plan::{Plan, plan};
use postgres::selection::Selection;
use postgres::session::SessionOptions;
use postgres::snapshot::Snapshot;

/// Plans as another role than the superuser.
async fn plan_as(oracle: &Oracle, role: &str, database: &str) -> Result<Plan, Error> {
    let info = ConnInfo::resolve(Some(&oracle.server.url(database)), &Environment::default());
    let options = SessionOptions { role: Some(role.to_owned()), ..SessionOptions::default() };
    let mut snapshot = Snapshot::open(&info.unwrap(), &options).await.unwrap();
    plan(snapshot.session(), &Selection::default()).await
}

async fn try_plan(oracle: &Oracle, selection: &Selection) -> Result<Plan, Error> {
    let mut snapshot = oracle.snapshot("app").await;
    plan(snapshot.session(), selection).await
}

fn app(sql: &str) -> Oracle {
    let oracle = Oracle::start(15);
    oracle.server.createdb("app").unwrap();
    oracle.server.psql("app", sql).unwrap();
    oracle
}

fn listed(plan: &Plan, desc: &str) -> Vec<String> {
    let entries = plan.entries.iter().filter(|entry| entry.desc == desc);
    entries.map(|entry| entry.tag.clone()).collect()
}

fn names(patterns: &[&str]) -> Vec<String> {
    patterns.iter().map(|&pattern| pattern.to_owned()).collect()
}

#[tokio::test]
async fn objects_of_an_unknown_class_are_refused_by_name() {
    let oracle = app("SET allow_system_table_mods = on;
         CREATE TABLE pg_catalog.pg_widget (oid oid, widname name);
         INSERT INTO pg_catalog.pg_widget VALUES (20001, 'a widget');");
    let error = try_plan(&oracle, &Selection::default()).await.unwrap_err();
    assert!(matches!(error, Error::Uncovered { .. }), "{error:?}");
    assert!(error.to_string().contains("row 20001 of pg_widget"), "{error}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn additions_to_what_initdb_or_an_extension_made_are_refused_by_name() {
    let oracle = app("CREATE TYPE mine AS (a integer);
         CREATE FUNCTION compare(mine, mine) RETURNS integer LANGUAGE sql IMMUTABLE
             AS 'SELECT 0';
         ALTER OPERATOR FAMILY integer_ops USING btree ADD FUNCTION 1 compare(mine, mine);");
    let error = try_plan(&oracle, &Selection::default()).await.unwrap_err().to_string();
    assert!(error.contains("integer_ops") && error.contains("compare(public.mine"), "{error}");
}

#[tokio::test]
async fn temporary_tables_and_system_schemas_are_nobodys_business() {
    let oracle = app("CREATE TABLE t (id integer)");
    let mut session = oracle.server.env(&mut oracle.client.command("psql")).spawn_holding(
        "app",
        "CREATE TEMPORARY TABLE passing (id serial PRIMARY KEY, b text DEFAULT now()::text);
         CREATE INDEX ON passing (b);",
    );
    let plan = try_plan(&oracle, &Selection::default()).await.unwrap();
    assert_eq!(listed(&plan, "TABLE"), ["t"]);
    session.kill().unwrap();
    session.wait().unwrap();
}

#[tokio::test]
async fn chosen_tables_come_with_what_hangs_on_them_and_nothing_else() {
    let oracle = app("CREATE SCHEMA other;
         CREATE TYPE mood AS ENUM ('a');
         CREATE TABLE wanted (id serial PRIMARY KEY, t text);
         COMMENT ON TABLE wanted IS 'this one';
         CREATE INDEX wanted_t ON wanted (t);
         CREATE TABLE \"Odd.Name\" (id integer);
         CREATE TABLE unwanted (id integer REFERENCES wanted);
         CREATE TABLE other.wanted (id integer);
         CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
         CREATE PUBLICATION p FOR TABLE wanted;");
    let selection =
        Selection { tables: names(&["WANTED", "public.\"Odd.*\""]), ..Selection::default() };
    let error = try_plan(&oracle, &selection).await.unwrap_err();
    assert!(error.to_string().contains(r#"--table "public.\"Odd.*\"""#), "{error}");

    let selection =
        Selection { tables: names(&["WANTED", "pub*.\"Odd.Name\""]), ..Selection::default() };
    let plan = try_plan(&oracle, &selection).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stock = folder.path().join("stock");
    let mut command = oracle.client.command("pg_dump");
    oracle.run(
        command
            .args(["-Fd", "-d", "app", "-t", "WANTED", "-t", "pub*.\"Odd.Name\"", "-f"])
            .arg(&stock),
    );
    let stock = oracle.run(oracle.client.command("pg_restore").arg("-l").arg(&stock));
    let mut expected: Vec<&str> = stock
        .lines()
        .filter(|line| !line.starts_with(';'))
        .filter_map(|line| line.splitn(4, ' ').nth(3))
        .collect();
    let found: Vec<String> = plan
        .entries
        .iter()
        .filter(|entry| {
            !["ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE"].contains(&entry.desc.as_str())
        })
        .map(|entry| {
            let namespace = entry.namespace.as_deref().unwrap_or("-");
            let owner = entry.owner.as_deref().unwrap_or_default();
            format!("{} {namespace} {} {owner}", entry.desc, entry.tag)
        })
        .collect();
    let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_same(&expected.join("\n"), &found.join("\n"));
}

#[tokio::test]
async fn excluded_tables_are_gone_with_their_parts_and_publications() {
    let oracle = app("CREATE TABLE kept (id integer PRIMARY KEY);
         CREATE TABLE gone (id serial PRIMARY KEY REFERENCES kept CHECK (id > 0));
         CREATE TABLE empty (id integer);
         CREATE PUBLICATION p FOR TABLE kept, gone;");
    let selection = Selection {
        exclude_tables: names(&["gone", "no_such_table"]),
        exclude_table_data: names(&["empty"]),
        ..Selection::default()
    };
    let plan = try_plan(&oracle, &selection).await.unwrap();
    assert_eq!(listed(&plan, "TABLE"), ["empty", "kept"]);
    assert_eq!(listed(&plan, "TABLE DATA"), ["kept"]);
    assert_eq!(listed(&plan, "PUBLICATION TABLE"), ["p kept"]);
    assert_eq!(listed(&plan, "FK CONSTRAINT"), [""; 0]);
}

#[tokio::test]
async fn schema_only_plans_copy_no_rows_and_no_large_objects() {
    let oracle = app("CREATE TABLE t (id serial); SELECT lo_create(70001);");
    let selection = Selection { schema_only: true, ..Selection::default() };
    let plan = try_plan(&oracle, &selection).await.unwrap();
    assert!(plan.tables.is_empty() && plan.large_objects.is_empty());
    for desc in ["TABLE DATA", "SEQUENCE SET", "BLOB", "BLOBS"] {
        assert!(listed(&plan, desc).is_empty(), "{desc}");
    }
    assert_eq!(listed(&plan, "TABLE"), ["t"]);
}

#[tokio::test]
async fn a_table_that_cannot_be_locked_in_time_is_named() {
    let oracle = app("CREATE TABLE free (id integer); CREATE TABLE busy (id integer);");
    let mut holder = oracle
        .server
        .env(&mut oracle.client.command("psql"))
        .spawn_holding("app", "BEGIN; LOCK TABLE busy IN ACCESS EXCLUSIVE MODE;");
    let info = ConnInfo::resolve(Some(&oracle.server.url("app")), &Environment::default());
    let options = SessionOptions {
        lock_timeout: Some(Duration::from_millis(200)),
        ..SessionOptions::default()
    };
    let mut snapshot = Snapshot::open(&info.unwrap(), &options).await.unwrap();
    let error = plan(snapshot.session(), &Selection::default()).await.unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("table public.busy"), "{error}");
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[tokio::test]
async fn a_role_with_pg_read_all_data_is_enough() {
    let oracle = app("CREATE ROLE reader; GRANT pg_read_all_data TO reader;
         CREATE SCHEMA secret; CREATE TABLE secret.t (id serial PRIMARY KEY);
         CREATE FUNCTION secret.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';");
    let mine = plan_as(&oracle, "reader", "app").await.unwrap();
    let all = try_plan(&oracle, &Selection::default()).await.unwrap();
    assert_eq!(mine.entries, all.entries);
}

#[tokio::test]
async fn what_the_role_may_not_read_is_an_error_by_name() {
    let oracle = app("CREATE ROLE reader; CREATE TABLE secret (id integer);");
    let refused = async |expected: &str| {
        let error = plan_as(&oracle, "reader", "app").await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("\"reader\""), "{text}");
        assert!(error.hint().is_some(), "{text}");
    };
    let psql = |sql: &str| oracle.server.psql("app", sql).unwrap();
    refused("table public.secret").await;
    psql("GRANT SELECT ON secret TO reader; CREATE FOREIGN DATA WRAPPER w;");
    psql("CREATE SERVER s FOREIGN DATA WRAPPER w");
    psql("CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (password 'x')");
    refused("USER MAPPING public SERVER s").await;
    psql("DROP SERVER s CASCADE");
    psql(
        "CREATE SUBSCRIPTION sub CONNECTION 'host=x' PUBLICATION p
              WITH (connect = false, slot_name = NONE)",
    );
    refused("subscription \"sub\"").await;
    psql("GRANT pg_read_all_data TO reader; SELECT lo_create(70001);");
    refused("large object 70001").await;
    psql("GRANT SELECT ON LARGE OBJECT 70001 TO reader");
    plan_as(&oracle, "reader", "app").await.unwrap();
}

#[tokio::test]
async fn a_database_is_created_anew_with_its_properties() {
    let oracle = app("COMMENT ON DATABASE app IS 'the one';
         CREATE ROLE other;
         ALTER DATABASE app SET work_mem = '9MB';
         ALTER ROLE other IN DATABASE app SET search_path = a, \"B c\";
         ALTER DATABASE app CONNECTION LIMIT 9;
         GRANT CREATE ON DATABASE app TO other;
         REVOKE TEMPORARY ON DATABASE app FROM PUBLIC;
         ALTER DATABASE app OWNER TO other;");
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    oracle.export("app", &Selection::default(), &archive).await;
    let before = oracle.dump("app", &["-C"]);
    oracle.server.dropdb("app").unwrap();
    let mut command = oracle.client.command("pg_restore");
    oracle.run(command.args(["--exit-on-error", "-C", "-d", "postgres"]).arg(&archive));
    assert_same(&before, &oracle.dump("app", &["-C"]));
}

/// A `psql` that has run its statements and stays, so that what it holds stays too.
trait Holding {
    fn spawn_holding(&mut self, database: &str, sql: &str) -> std::process::Child;
}

impl Holding for Command {
    fn spawn_holding(&mut self, database: &str, sql: &str) -> std::process::Child {
        use std::io::{BufRead as _, BufReader, Write as _};
        use std::process::Stdio;
        let mut child = self
            .args(["-X", "-q", "-d", database, "-v", "ON_ERROR_STOP=1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{sql}\n\\echo ready").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready");
        child
    }
}
