//! What cannot work is said by name before anything is changed.

use harness::postgres::Server;
use postgres::Error;
use postgres::restore::{Prepare, RestoreOptions};

use crate::fixture::{FIFTEEN, ROLES, chain, dump, restore_from};

/// Nothing was changed in `database`.
fn untouched(server: &Server, database: &str) {
    let made = "SELECT count(*) FROM pg_class WHERE oid >= 16384";
    assert_eq!(server.psql(database, made).unwrap(), "0");
}

#[track_caller]
fn refused(error: &Error, what: &str, hint: &str) {
    assert!(matches!(error, Error::Refused { .. }), "{}", chain(error));
    assert!(error.to_string().contains(what), "{error}");
    assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_not_empty_is_refused_with_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(&FIFTEEN, 15, "rich", &archive, &["-s"]);
    let server = &*FIFTEEN;
    for (name, sql, held) in [
        ("held_table", "CREATE TABLE public.live (a int)", "table public.live"),
        ("held_schema", "CREATE SCHEMA live", "schema live"),
        (
            "held_function",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "function public.f()",
        ),
        ("held_type", "CREATE TYPE mood AS ENUM ('a')", "type public.mood"),
        ("held_object", "SELECT lo_create(55)", "large object 55"),
    ] {
        server.createdb(name).unwrap();
        server.psql(name, sql).unwrap();
        let error = restore_from(&archive, &server.url(name), &RestoreOptions::default(), &[])
            .await
            .unwrap_err();
        refused(&error, held, "--clean");
    }
    server.createdb("held_extension").unwrap();
    server.psql("held_extension", "CREATE EXTENSION btree_gin").unwrap();
    restore_from(&archive, &server.url("held_extension"), &RestoreOptions::default(), &[])
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_roles_are_named_before_anything_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(&FIFTEEN, 15, "rich", &archive, &[]);
    let server = Server::start(15).unwrap();
    server.createdb("copy").unwrap();
    let error = restore_from(&archive, &server.url("copy"), &RestoreOptions::default(), &[])
        .await
        .unwrap_err();
    refused(
        &error,
        "the server lacks roles \"Odd; Role\", \"app_owner\", \"app_reader\"",
        "CREATE ROLE",
    );
    server.psql("postgres", "CREATE ROLE \"Odd; Role\"; CREATE ROLE app_reader").unwrap();
    let error = restore_from(&archive, &server.url("copy"), &RestoreOptions::default(), &[])
        .await
        .unwrap_err();
    refused(&error, "role \"app_owner\"", "--no-owner");
    untouched(&server, "copy");

    server.psql("postgres", "CREATE ROLE app_owner; CREATE ROLE plain LOGIN PASSWORD 'plain'; ALTER DATABASE copy OWNER TO plain").unwrap();
    let url = server.url("copy").replace("postgres:harness@", "plain:plain@");
    let error = restore_from(&archive, &url, &RestoreOptions::default(), &[]).await.unwrap_err();
    refused(
        &error,
        "role \"plain\" may not give objects to roles \"app_owner\", \"postgres\"",
        "--no-owner",
    );
    untouched(&server, "copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_extensions_tablespaces_and_older_servers_are_refused() {
    let server = Server::start(15).unwrap();
    server.psql("postgres", ROLES).unwrap();
    let folder = tempfile::tempdir().unwrap();
    server.createdb("spaced").unwrap();
    let space = server.data_dir().with_file_name("space");
    std::fs::create_dir(&space).unwrap();
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(server.data_dir()).unwrap());
    std::os::unix::fs::chown(&space, Some(owner), None).unwrap();
    server
        .psql("postgres", &format!("CREATE TABLESPACE fast LOCATION '{}'", space.display()))
        .unwrap();
    server.psql("spaced", "CREATE TABLE t (a int) TABLESPACE fast").unwrap();
    let spaced = folder.path().join("spaced");
    dump(&server, 15, "spaced", &spaced, &[]);
    let rich = folder.path().join("rich");
    dump(&FIFTEEN, 15, "rich", &rich, &[]);

    let other = Server::start(15).unwrap();
    other.createdb("copy").unwrap();
    let error = restore_from(&spaced, &other.url("copy"), &RestoreOptions::default(), &[])
        .await
        .unwrap_err();
    refused(&error, "tablespace \"fast\"", "--no-tablespaces");
    untouched(&other, "copy");
    let without = RestoreOptions { no_tablespaces: true, ..RestoreOptions::default() };
    restore_from(&spaced, &other.url("copy"), &without, &[]).await.unwrap();

    // An extension that no server has: the name is changed in the archive, length kept.
    let mut toc = std::fs::read(rich.join("toc.dat")).unwrap();
    let (name, other_name) = (b"btree_gin", b"btree_gim");
    while let Some(at) = toc.windows(name.len()).position(|window| window == name) {
        toc[at..at + name.len()].copy_from_slice(other_name);
    }
    std::fs::write(rich.join("toc.dat"), toc).unwrap();
    server.createdb("copy").unwrap();
    let error = restore_from(&rich, &server.url("copy"), &RestoreOptions::default(), &[])
        .await
        .unwrap_err();
    refused(&error, "extension \"btree_gim\"", "install");
    untouched(&server, "copy");

    let old = Server::start(14).unwrap();
    old.createdb("copy").unwrap();
    let error = restore_from(&spaced, &old.url("copy"), &without, &[]).await.unwrap_err();
    refused(&error, "older 14", "--unsafe-older-server");
    untouched(&old, "copy");
    let bold = RestoreOptions { unsafe_older_server: true, ..without };
    restore_from(&spaced, &old.url("copy"), &bold, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_data_file_is_named_before_anything_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(&FIFTEEN, 15, "rich", &archive, &[]);
    let file = std::fs::read_dir(&archive)
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| {
            path.to_string_lossy().ends_with(".dat.gz") && !path.to_string_lossy().contains("blob")
        })
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    FIFTEEN.createdb("missing_file").unwrap();
    let error =
        restore_from(&archive, &FIFTEEN.url("missing_file"), &RestoreOptions::default(), &[])
            .await
            .unwrap_err();
    let name = file.file_name().unwrap().to_string_lossy().replace(".gz", "");
    assert_eq!(error.to_string(), format!("cannot find {name}"));
    assert!(error.hint().unwrap().contains("verify"));
    untouched(&FIFTEEN, "missing_file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_missing_database_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(&FIFTEEN, 15, "rich", &archive, &["-s"]);
    let wrong = FIFTEEN.url("rich").replace(":harness@", ":wrong@");
    let error = restore_from(&archive, &wrong, &RestoreOptions::default(), &[]).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{}", chain(&error));
    assert!(!chain(&error).contains("wrong@"));
    let create = RestoreOptions { prepare: Prepare::Create, ..RestoreOptions::default() };
    let error = restore_from(&archive, &wrong, &create, &[]).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{}", chain(&error));
    let absent = FIFTEEN.url("no_such_database");
    let error = restore_from(&archive, &absent, &RestoreOptions::default(), &[]).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{}", chain(&error));
    assert!(chain(&error).contains("no_such_database"), "{}", chain(&error));
}
