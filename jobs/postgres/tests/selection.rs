//! Chosen and left out tables, as stock `pg_dump` chooses them; what a role may not read.

mod oracle;

use std::collections::BTreeSet;

use oracle::{Oracle, assert_same};
use postgres::Error;
use postgres::plan::Plan;
use postgres::selection::Selection;

const ROLES: &str =
    "CREATE ROLE relations_owner; CREATE ROLE relations_reader; CREATE ROLE \"Relations Odd\"";

/// What a chosen table needs that is not chosen with it.
const PRELUDE: &str = "CREATE SCHEMA app; CREATE SCHEMA other; \
    CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'";

fn exercise() -> Oracle {
    let oracle = Oracle::start(15);
    oracle.server.psql("postgres", ROLES).unwrap();
    let files = ["relations.sql", "relations_pg14.sql", "relations_pg15.sql"];
    oracle.exercise("relations", &files);
    oracle
}

fn described(plan: &Plan, desc: &str) -> BTreeSet<String> {
    let entries = plan.entries.iter().filter(|entry| entry.desc == desc);
    entries.map(|entry| entry.tag.clone()).collect()
}

/// Restores our archive and stock pg_dump's of the same selection, and compares.
async fn compare(oracle: &Oracle, selection: &Selection, stock: &[&str], prelude: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    oracle.export("relations", selection, &ours).await;
    let mut arguments = vec!["-Fd", "-f", theirs.to_str().unwrap()];
    arguments.extend(stock);
    oracle.dump("relations", &arguments);
    for (archive, database) in [(&ours, "ours"), (&theirs, "theirs")] {
        oracle.server.createdb(database).unwrap();
        oracle.server.psql(database, prelude).unwrap();
        oracle.restore_into(archive, database, &[]);
    }
    let skip = ["--exclude-table-data=app.by_mood_*"];
    assert_same(&oracle.dump("theirs", &skip), &oracle.dump("ours", &skip));
    assert_same(&oracle.facts("theirs"), &oracle.facts("ours"));
}

#[tokio::test]
async fn chosen_tables_bring_all_that_hangs_on_them() {
    let oracle = exercise();
    let tables = ["app.parents", "app.serial*", "app.triggered", "app.indexed", "app.identities"];
    let selection = Selection {
        tables: tables.iter().map(|&table| table.to_owned()).collect(),
        exclude_tables: vec!["app.serial_partitioned_1".into()],
        ..Selection::default()
    };
    let mut stock: Vec<&str> = tables.iter().flat_map(|table| ["-t", *table]).collect();
    stock.extend(["-T", "app.serial_partitioned_1"]);
    compare(&oracle, &selection, &stock, PRELUDE).await;
}

#[tokio::test]
async fn left_out_tables_leave_the_rest_whole() {
    let oracle = exercise();
    let selection = Selection {
        exclude_tables: vec!["app.secured*".into(), "app.measures_2021".into()],
        ..Selection::default()
    };
    let stock = ["-T", "app.secured*", "-T", "app.measures_2021"];
    compare(&oracle, &selection, &stock, "SELECT 1").await;
}

#[tokio::test]
async fn tables_without_their_rows_keep_everything_else() {
    let oracle = exercise();
    let patterns = ["app.measures*", "app.plain_seq", "app.aaa_first_by_name"];
    let selection = Selection {
        exclude_table_data: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
        ..Selection::default()
    };
    let stock: Vec<String> =
        patterns.iter().map(|pattern| format!("--exclude-table-data={pattern}")).collect();
    let stock: Vec<&str> = stock.iter().map(String::as_str).collect();
    compare(&oracle, &selection, &stock, "SELECT 1").await;
}

#[tokio::test]
async fn what_reads_an_empty_materialized_view_is_not_refreshed() {
    let oracle = exercise();
    let folder = tempfile::tempdir().unwrap();
    let selection =
        Selection { exclude_table_data: vec!["app.mat_2".into()], ..Selection::default() };
    let plan = oracle.export("relations", &selection, folder.path()).await;
    let refreshed = described(&plan, "MATERIALIZED VIEW DATA");
    assert!(refreshed.contains("mat_filled"));
    for empty in ["mat_2", "aaa_first_by_name", "mat_empty"] {
        assert!(!refreshed.contains(empty), "{empty}");
    }
    oracle.restore(folder.path(), "refreshed", &[]);
}

#[tokio::test]
async fn schema_only_has_no_rows_and_no_values() {
    let oracle = exercise();
    let selection = Selection { schema_only: true, ..Selection::default() };
    compare(&oracle, &selection, &["-s"], "SELECT 1").await;
    let folder = tempfile::tempdir().unwrap();
    let plan = oracle.export("relations", &selection, folder.path()).await;
    assert!(plan.tables.is_empty());
    for desc in ["TABLE DATA", "SEQUENCE SET", "MATERIALIZED VIEW DATA"] {
        assert_eq!(described(&plan, desc), BTreeSet::new(), "{desc}");
    }
}

#[tokio::test]
async fn partitioned_parents_views_and_foreign_tables_have_no_rows() {
    let oracle = exercise();
    let folder = tempfile::tempdir().unwrap();
    let plan = oracle.export("relations", &Selection::default(), folder.path()).await;
    let copied = described(&plan, "TABLE DATA");
    for table in ["measures_2020", "no_columns", "unlogged_one", "dropped_some"] {
        assert!(copied.contains(table), "{table}");
    }
    for other in ["measures", "remote", "plain_view", "mat_filled", "plain_seq", "measures_rest"] {
        assert!(!copied.contains(other), "{other}");
    }
    let wide = plan.tables.iter().find(|table| table.name == "column_features").unwrap();
    let columns: Vec<&str> = wide.columns.iter().map(|column| column.name.as_str()).collect();
    assert!(!columns.contains(&"doubled"), "generated columns are computed again");
    let domain = wide.columns.iter().find(|column| column.name == "amount").unwrap();
    assert_eq!(domain.base_type_oid, 23, "a domain over a domain over integer");
    assert!(domain.type_oid >= 16384);
}

#[tokio::test]
async fn what_a_role_may_not_read_is_named() {
    let oracle = Oracle::start(15);
    oracle.server.createdb("denied").unwrap();
    let sql = "CREATE ROLE reader; GRANT SELECT ON pg_user_mapping TO reader; CREATE SCHEMA shut; GRANT USAGE ON SCHEMA public TO reader; \
        CREATE TABLE open_table (a serial); GRANT SELECT ON open_table TO reader; \
        CREATE TABLE \"Shut Table\" (a integer); CREATE TABLE shut.inside (a integer); \
        GRANT SELECT ON shut.inside TO reader";
    oracle.server.psql("denied", sql).unwrap();
    let error = oracle.plan("denied", Some("reader")).await.unwrap_err();
    assert!(error.to_string().contains("\"Shut Table\"") || error.to_string().contains("shut"));
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");

    let sql = "GRANT SELECT ON \"Shut Table\" TO reader; GRANT USAGE ON SCHEMA shut TO reader";
    oracle.server.psql("denied", sql).unwrap();
    let error = oracle.plan("denied", Some("reader")).await.unwrap_err();
    assert!(
        matches!(&error, Error::Denied { object, .. }
        if object == "SEQUENCE public.open_table_a_seq"),
        "{error:?}"
    );

    oracle.server.psql("denied", "GRANT SELECT ON open_table_a_seq TO reader").unwrap();
    oracle.plan("denied", Some("reader")).await.unwrap();
}

#[tokio::test]
async fn rows_that_row_security_would_hide_are_refused() {
    let oracle = Oracle::start(15);
    oracle.server.createdb("hidden").unwrap();
    let sql = "CREATE ROLE reader; GRANT SELECT ON pg_user_mapping TO reader; CREATE TABLE secrets (a integer); \
        GRANT SELECT ON secrets TO reader; ALTER TABLE secrets ENABLE ROW LEVEL SECURITY";
    oracle.server.psql("hidden", sql).unwrap();
    let error = oracle.plan("hidden", Some("reader")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("TABLE public.secrets"), "{error}");
    assert!(error.hint().unwrap().contains("BYPASSRLS"));
    oracle.server.psql("hidden", "ALTER ROLE reader BYPASSRLS").unwrap();
    oracle.plan("hidden", Some("reader")).await.unwrap();
}

#[tokio::test]
async fn generated_column_that_needs_its_own_table_is_refused() {
    let oracle = Oracle::start(15);
    oracle.server.createdb("looped").unwrap();
    let sql = "CREATE TABLE t (a integer); \
        CREATE FUNCTION f(integer) RETURNS bigint IMMUTABLE LANGUAGE sql \
          BEGIN ATOMIC SELECT count(*) FROM t; END; \
        ALTER TABLE t ADD COLUMN g bigint GENERATED ALWAYS AS (f(a)) STORED";
    oracle.server.psql("looped", sql).unwrap();
    let error = oracle.plan("looped", None).await.unwrap_err();
    assert!(
        matches!(&error, Error::Uncovered { objects, .. }
        if objects[0].contains("public.t g")),
        "{error:?}"
    );
}

#[tokio::test]
async fn configuration_tables_of_extensions_bring_their_own_rows() {
    let oracle = Oracle::start(15);
    oracle.server.createdb("configured").unwrap();
    let sql = "CREATE TABLE z_first (id integer PRIMARY KEY); \
        CREATE TABLE a_second (id integer REFERENCES z_first, custom boolean); \
        CREATE TABLE own (id integer); \
        CREATE EXTENSION IF NOT EXISTS plpgsql; \
        INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, \
                                  extversion, extconfig, extcondition) \
        SELECT 70000, 'configured', 10, 'public'::regnamespace, true, '1', \
          ARRAY['z_first'::regclass, 'a_second'::regclass], ARRAY['', 'WHERE custom']; \
        ALTER EXTENSION configured ADD TABLE z_first; \
        ALTER EXTENSION configured ADD TABLE a_second";
    oracle.server.psql("configured", sql).unwrap();
    let plan = oracle.plan("configured", None).await.unwrap();
    assert_eq!(described(&plan, "TABLE"), BTreeSet::from(["own".to_owned()]));
    let rows: Vec<_> = plan
        .tables
        .iter()
        .map(|table| (table.name.as_str(), table.condition.as_deref(), table.table_id.is_some()))
        .collect();
    for table in
        [("own", None, true), ("z_first", None, false), ("a_second", Some("WHERE custom"), false)]
    {
        assert!(rows.contains(&table), "{table:?} in {rows:?}");
    }
    let place = |name: &str| rows.iter().position(|row| row.0 == name);
    assert!(place("z_first") < place("a_second"), "the table that is referred to comes first");
}
