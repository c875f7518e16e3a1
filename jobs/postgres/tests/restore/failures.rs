//! What goes wrong half way stops everything and says in what state the target is.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::postgres::Server;
use harness::proxy::{Direction, Proxy};
use postgres::Error;
use postgres::restore::RestoreOptions;
use tokio_util::sync::CancellationToken;

use crate::fixture::{FIFTEEN, chain, dump, restore_from, restore_until};

/// The largest data file of an archive.
fn largest(archive: &Path) -> PathBuf {
    std::fs::read_dir(archive)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| !path.ends_with("toc.dat") && !path.to_string_lossy().contains("blob"))
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap()
}

#[track_caller]
fn partly(error: &Error, database: &str, cause: &str) {
    assert!(matches!(error, Error::PartlyRestored { .. }), "{}", chain(error));
    assert!(
        error.to_string().contains(&format!("{database:?} is left partly restored")),
        "{error}"
    );
    assert!(chain(error).contains(cause), "{}", chain(error));
    assert!(error.hint().unwrap().contains("--clean"), "{:?}", error.hint());
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_data_names_its_file() {
    for (kind, codec) in [("gzip", "-Z6"), ("none", "-Z0")] {
        for damage in ["truncated", "flipped", "cut_between_rows"] {
            let folder = tempfile::tempdir().unwrap();
            let archive = folder.path().join("archive");
            dump(&FIFTEEN, 15, "rich", &archive, &[codec]);
            let file = largest(&archive);
            let mut bytes = std::fs::read(&file).unwrap();
            match (kind, damage) {
                (_, "truncated") => bytes.truncate(bytes.len() * 2 / 3),
                ("gzip", "flipped") => {
                    let at = bytes.len() / 2;
                    bytes[at] ^= 0x10;
                }
                // Plain text has no checksum: a store's digest finds such a byte, or the
                // server where it breaks the format.
                (_, "flipped") => {
                    let at = bytes.iter().position(|&byte| byte == b'\t').unwrap();
                    bytes[at] = b' ';
                }
                (_, _) => {
                    let at =
                        bytes.iter().rposition(|&byte| byte == b'\t').unwrap_or(bytes.len() / 2);
                    let end = bytes[..at].iter().rposition(|&byte| byte == b'\n').unwrap_or(at);
                    bytes.truncate(end + 1);
                }
            }
            std::fs::write(&file, bytes).unwrap();
            let name = format!("damaged_{kind}_{damage}");
            FIFTEEN.createdb(&name).unwrap();
            let error =
                restore_from(&archive, &FIFTEEN.url(&name), &RestoreOptions::default(), &[])
                    .await
                    .unwrap_err();
            let text = chain(&error);
            let named = text.contains(&file.file_name().unwrap().to_string_lossy().into_owned());
            let told = text.contains("TABLE DATA app.people") && text.contains("line ");
            assert!(named || told, "{name}: {text}");
            partly(&error, &name, "");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_statement_is_told_with_its_object() {
    let server = Server::start(15).unwrap();
    server.createdb("source").unwrap();
    server
        .psql(
            "source",
            "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (p int);
             INSERT INTO child VALUES (7);
             ALTER TABLE child ADD CONSTRAINT belongs FOREIGN KEY (p) REFERENCES parent NOT VALID",
        )
        .unwrap();
    // A dump with a valid constraint that its rows break, as damage elsewhere leaves it.
    server
        .psql("source", "UPDATE pg_constraint SET convalidated = true WHERE conname = 'belongs'")
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(&server, 15, "source", &archive, &[]);
    server.createdb("copy").unwrap();
    let error = restore_from(&archive, &server.url("copy"), &RestoreOptions::default(), &[])
        .await
        .unwrap_err();
    partly(
        &error,
        "copy",
        "cannot restore FK CONSTRAINT public.child belongs: statement failed: ALTER TABLE ONLY public.child ADD CONSTRAINT belongs",
    );
}

/// An archive of one table that takes a while to restore.
fn slow_archive(server: &Server, folder: &Path) -> PathBuf {
    server.createdb("slow").unwrap();
    server
        .psql(
            "slow",
            "CREATE TABLE t (a text); INSERT INTO t SELECT repeat(md5(i::text), 20) FROM generate_series(1, 200000) AS i;
             CREATE FUNCTION slow(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN x; END $$;
             CREATE TABLE u AS SELECT i AS a FROM generate_series(1, 2000) AS i",
        )
        .unwrap();
    let archive = folder.join("archive");
    dump(server, 15, "slow", &archive, &["-Z1"]);
    archive
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_reported() {
    let server = Server::start(15).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = slow_archive(&server, folder.path());
    server.createdb("copy").unwrap();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port())).unwrap();
    proxy.cut_after(Direction::Up, 20_000_000);
    let url = server.url_at("127.0.0.1", proxy.port(), "copy");
    let error = restore_from(&archive, &url, &RestoreOptions::default(), &[]).await.unwrap_err();
    partly(&error, "copy", "cannot restore TABLE DATA public.t: statement failed: COPY public.t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_reported() {
    let mut server = Server::start(15).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = slow_archive(&server, folder.path());
    server.createdb("copy").unwrap();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port())).unwrap();
    // The rows never come through: the restore is surely under way when the server dies.
    proxy.throttle(2_000_000);
    let url = server.url_at("127.0.0.1", proxy.port(), "copy");
    let running =
        tokio::spawn(
            async move { restore_from(&archive, &url, &RestoreOptions::default(), &[]).await },
        );
    while server.psql("copy", "SELECT to_regclass('t') IS NOT NULL").unwrap() != "t" {}
    server.kill9().unwrap();
    let error = running.await.unwrap().unwrap_err();
    partly(&error, "copy", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_restore_ends_at_once_and_leaves_nothing_running() {
    let server = Server::start(15).unwrap();
    server.createdb("source").unwrap();
    // The check takes hours on these rows; the table's own rows are few.
    server
        .psql(
            "source",
            "CREATE FUNCTION slow(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN x; END $$;
             CREATE TABLE t (a int); INSERT INTO t VALUES (1);
             CREATE INDEX sleepy ON t (slow(a));
             CREATE OR REPLACE FUNCTION slow(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(3600); RETURN x; END $$",
        )
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(&server, 15, "source", &archive, &[]);
    server.createdb("copy").unwrap();
    let cancel = CancellationToken::new();
    let (url, token) = (server.url("copy"), cancel.clone());
    let running = tokio::spawn(async move {
        restore_until(&archive, &url, &RestoreOptions::default(), &[], token).await
    });
    let building = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'copy' AND query LIKE 'CREATE INDEX sleepy%' AND state = 'active'";
    while server.psql("postgres", building).unwrap() != "1" {}
    let asked = Instant::now();
    cancel.cancel();
    let error = running.await.unwrap().unwrap_err();
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(error.is_cancelled(), "{}", chain(&error));
    partly(&error, "copy", "stopped on request");
    let left = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'copy'";
    let waited = Instant::now();
    while server.psql("postgres", left).unwrap() != "0" {
        assert!(waited.elapsed() < Duration::from_secs(5), "a session of the restore still runs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_cancelled_before_it_began_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    dump(&FIFTEEN, 15, "rich", &archive, &["-s"]);
    FIFTEEN.createdb("never_begun").unwrap();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let url = FIFTEEN.url("never_begun");
    let error =
        restore_until(&archive, &url, &RestoreOptions::default(), &[], cancel).await.unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{}", chain(&error));
    let made = FIFTEEN.psql("never_begun", "SELECT count(*) FROM pg_class WHERE oid >= 16384");
    assert_eq!(made.unwrap(), "0");
}
