//! Relations and everything attached to them, through stock `pg_restore` and back.

mod oracle;

use oracle::Oracle;

/// Roles that own and may read things in the exercise.
const ROLES: &str =
    "CREATE ROLE relations_owner; CREATE ROLE relations_reader; CREATE ROLE \"Relations Odd\"";

/// The exercise for a server of this version.
fn exercise(major: u16) -> Vec<&'static str> {
    let since = [
        (13, "relations.sql"),
        (14, "relations_pg14.sql"),
        (15, "relations_pg15.sql"),
        (16, "relations_pg16.sql"),
        (17, "relations_pg17.sql"),
        (18, "relations_pg18.sql"),
    ];
    since.into_iter().filter(|(first, _)| *first <= major).map(|(_, file)| file).collect()
}

async fn survives(major: u16) {
    let oracle = Oracle::start(major);
    oracle.server.psql("postgres", ROLES).unwrap();
    oracle.exercise("relations", &exercise(major));
    // The partition of a row by the hash of an enum value depends on OIDs.
    oracle.judge("relations", &["--exclude-table-data=app.by_mood_*"]).await;
    let stock = tempfile::tempdir().unwrap();
    let stock = stock.path().join("archive");
    oracle.dump("relations", &["-Fd", "-f", stock.to_str().unwrap()]);
    oracle.restore(&stock, "relations_stock", &[]);
    for copy in ["relations_serial", "relations_parallel"] {
        let rows = oracle.server.psql(copy, "SELECT count(*), sum(v) FROM app.by_mood").unwrap();
        assert_eq!(rows, "3|6");
        oracle::assert_same(&oracle.facts("relations_stock"), &oracle.facts(copy));
    }
}

#[tokio::test]
async fn every_feature_of_relations_survives_postgres_13() {
    survives(13).await;
}

#[tokio::test]
async fn every_feature_of_relations_survives_postgres_14() {
    survives(14).await;
}

#[tokio::test]
async fn every_feature_of_relations_survives_postgres_15() {
    survives(15).await;
}

#[tokio::test]
async fn every_feature_of_relations_survives_postgres_16() {
    survives(16).await;
}

#[tokio::test]
async fn every_feature_of_relations_survives_postgres_17() {
    survives(17).await;
}

#[tokio::test]
async fn every_feature_of_relations_survives_postgres_18() {
    survives(18).await;
}

/// Stock pg_dump up to 18.6 forgets to quote this name, so only ours goes through pg_restore.
#[tokio::test]
async fn not_null_that_a_child_adds_keeps_its_odd_name() {
    let oracle = Oracle::start(18);
    oracle.server.createdb("odd").unwrap();
    let sql = "CREATE TABLE parent (a integer); \
               CREATE TABLE child (CONSTRAINT \"Child's own\" NOT NULL a) INHERITS (parent)";
    oracle.server.psql("odd", sql).unwrap();
    oracle.judge("odd", &[]).await;
}
