//! What comes out is what went in.

use std::num::NonZeroUsize;

use harness::postgres::{Server, client};
use postgres::restore::{ExpectedTable, Prepare, RestoreOptions};

use crate::fixture::{FIFTEEN, ROLES, chain, contents, dump, restore_from, rich_server, schema};

fn jobs(jobs: usize) -> RestoreOptions {
    RestoreOptions { jobs: NonZeroUsize::new(jobs).unwrap(), ..RestoreOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_archives_of_every_kind_restore_to_the_same_database() {
    let server = &*FIFTEEN;
    let stock = client(15).unwrap();
    let wanted = (schema(server, &stock, "rich"), contents(server, "rich"));
    let kinds: [(&str, &[&str]); 4] = [
        ("gzip", &[]),
        ("plain", &["-Z0", "-j2"]),
        ("inserts", &["--inserts", "--rows-per-insert=7"]),
        ("root", &["--load-via-partition-root"]),
    ];
    for (kind, more) in kinds {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("archive");
        dump(server, 15, "rich", &archive, more);
        for workers in [1, 2, 4] {
            let name = format!("copy_{kind}_{workers}");
            server.createdb(&name).unwrap();
            let restored = restore_from(&archive, &server.url(&name), &jobs(workers), &[])
                .await
                .unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
            assert_eq!(restored.database, name);
            assert_eq!(restored.large_objects, 3);
            let people = restored.tables.iter().find(|table| table.name == "people").unwrap();
            assert_eq!((people.schema.as_str(), people.rows), ("app", 5002));
            assert_eq!(schema(server, &stock, &name), wanted.0, "{name}");
            assert_eq!(contents(server, &name), wanted.1, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_major_and_every_codec_of_stock_pg_dump_is_read() {
    for (major, codecs) in
        [(16, &["gzip", "none"][..]), (17, &["gzip", "lz4", "zstd", "none"]), (18, &["gzip"])]
    {
        let stock = client(major).unwrap();
        let server = rich_server(major);
        let wanted = (schema(&server, &stock, "rich"), contents(&server, "rich"));
        for codec in codecs {
            let folder = tempfile::tempdir().unwrap();
            let archive = folder.path().join("archive");
            dump(&server, major, "rich", &archive, &["-j2", &format!("--compress={codec}")]);
            let name = format!("copy_{codec}");
            server.createdb(&name).unwrap();
            restore_from(&archive, &server.url(&name), &jobs(2), &[])
                .await
                .unwrap_or_else(|error| panic!("{major} {codec}: {}", chain(&error)));
            assert_eq!(schema(&server, &stock, &name), wanted.0, "{major} {codec}");
            assert_eq!(contents(&server, &name), wanted.1, "{major} {codec}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_goes_into_a_newer_major() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(&FIFTEEN, 15, "rich", &archive, &[]);
    let newer = Server::start(18).unwrap();
    newer.psql("postgres", ROLES).unwrap();
    newer.createdb("copy").unwrap();
    restore_from(&archive, &newer.url("copy"), &jobs(2), &[])
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(contents(&newer, "copy"), contents(&FIFTEEN, "rich"));
}

#[tokio::test(flavor = "multi_thread")]
async fn create_makes_the_database_under_the_targets_name_with_all_its_properties() {
    let server = Server::start(15).unwrap();
    server.psql("postgres", ROLES).unwrap();
    server
        .psql(
            "postgres",
            "CREATE DATABASE \"Live db\" ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0 OWNER app_owner",
        )
        .unwrap();
    server
        .psql(
            "Live db",
            "ALTER DATABASE \"Live db\" SET work_mem = '12MB';
             ALTER ROLE app_reader IN DATABASE \"Live db\" SET search_path = 'Live db';
             ALTER DATABASE \"Live db\" CONNECTION LIMIT 77;
             COMMENT ON DATABASE \"Live db\" IS 'Live db it is';
             GRANT CONNECT ON DATABASE \"Live db\" TO app_reader;
             CREATE TABLE t (a int); INSERT INTO t VALUES (1)",
        )
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(&server, 15, "Live db", &archive, &[]);
    let create = RestoreOptions { prepare: Prepare::Create, ..jobs(2) };
    restore_from(&archive, &server.url("copy"), &create, &[])
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    let properties = |name: &str| {
        let sql = format!(
            "SELECT pg_get_userbyid(datdba), datconnlimit, datcollate, pg_encoding_to_char(encoding), \
             replace(datacl::text, '{name}', ''), shobj_description(oid, 'pg_database'), \
             (SELECT string_agg(setconfig::text, ';' ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid) \
             FROM pg_database AS d WHERE datname = '{name}'"
        );
        server.psql("postgres", &sql).unwrap()
    };
    assert_eq!(properties("copy"), properties("Live db"));
    assert!(properties("copy").contains("work_mem=12MB"));
    assert_eq!(server.psql("copy", "SELECT a FROM t").unwrap(), "1");

    let again = restore_from(&archive, &server.url("copy"), &create, &[]).await.unwrap_err();
    assert!(again.to_string().contains("\"copy\" exists already"), "{again}");
    server.psql("copy", "INSERT INTO t VALUES (2)").unwrap();
    let anew = RestoreOptions { prepare: Prepare::DropDatabaseAndCreate, ..jobs(2) };
    restore_from(&archive, &server.url("copy"), &anew, &[]).await.unwrap();
    assert_eq!(server.psql("copy", "SELECT a FROM t").unwrap(), "1");
    assert_eq!(properties("copy"), properties("Live db"));
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_replaces_what_the_archive_holds_and_leaves_the_rest() {
    let server = rich_server(15);
    let stock = client(15).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(&server, 15, "rich", &archive, &[]);
    let wanted = (schema(&server, &stock, "rich"), contents(&server, "rich"));
    server
        .psql("rich", "DROP TABLE app.orders; DELETE FROM app.people WHERE id < 100; CREATE TABLE public.mine (a int)")
        .unwrap();
    let clean = RestoreOptions { prepare: Prepare::DropArchived, ..jobs(2) };
    restore_from(&archive, &server.url("rich"), &clean, &[])
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    server.psql("rich", "DROP TABLE public.mine").unwrap();
    assert_eq!(schema(&server, &stock, "rich"), wanted.0);
    assert_eq!(contents(&server, "rich"), wanted.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_and_privileges_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(&FIFTEEN, 15, "rich", &archive, &[]);
    let server = Server::start(15).unwrap();
    // The policy's roles are neither owners nor grantees.
    server.psql("postgres", "CREATE ROLE app_reader; CREATE ROLE \"Odd; Role\"").unwrap();
    server.createdb("copy").unwrap();
    let bare = RestoreOptions { no_owner: true, no_privileges: true, ..jobs(2) };
    restore_from(&archive, &server.url("copy"), &bare, &[])
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(contents(&server, "copy"), contents(&FIFTEEN, "rich"));
    let foreign = "SELECT count(*) FROM pg_class WHERE relowner <> 10 OR (oid >= 16384 AND relacl IS NOT NULL)";
    assert_eq!(server.psql("copy", foreign).unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_compared_with_what_the_export_counted() {
    let server = &*FIFTEEN;
    server.createdb("counted").unwrap();
    server
        .psql("counted", "CREATE TABLE a (x int); INSERT INTO a VALUES (1), (2); CREATE TABLE b ()")
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(server, 15, "counted", &archive, &[]);
    let expect = |a, b| {
        [("a", a), ("b", b)].map(|(name, rows)| ExpectedTable {
            schema: "public".into(),
            name: name.into(),
            rows,
        })
    };
    server.createdb("counted_copy").unwrap();
    restore_from(&archive, &server.url("counted_copy"), &jobs(2), &expect(2, 0)).await.unwrap();
    server.createdb("counted_wrong").unwrap();
    let error = restore_from(&archive, &server.url("counted_wrong"), &jobs(2), &expect(3, 0))
        .await
        .unwrap_err();
    assert!(chain(&error).contains("public.a got 2 rows of 3"), "{}", chain(&error));
}
