//! Exports of real servers, restored by stock `pg_restore`.

use crate::support::{export_all, fingerprint, options, pg_restore};
use futures::StreamExt;
use harness::postgres::{Server, client, clients};
use pgarchive::{Compression, decode_stream};
use postgres::export::{DataFormat, ExportOptions, Format};

/// Tables of every size and kind that matters here.
const TABLES: &str = "
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE big (id bigint PRIMARY KEY, payload bytea NOT NULL, note text);
INSERT INTO big SELECT i, decode(repeat(md5(i::text), 20), 'hex'), CASE WHEN i % 3 > 0 THEN E'a\\tb\\\\' || i END
  FROM generate_series(1, 12000) i;
CREATE INDEX big_note ON big (note);
CREATE TABLE \"Odd Name\" (\"select\" int, \"a\"\"b\" text[], d date, n numeric, j jsonb, u uuid);
INSERT INTO \"Odd Name\" SELECT i, ARRAY['x', NULL, '\\.'], date '2020-01-01' + i, i / 7.0, '{\"a\": [1]}', gen_random_uuid()
  FROM generate_series(1, 500) i;
CREATE TABLE child (id int, big_id bigint REFERENCES big, m money);
INSERT INTO child SELECT i, i, i FROM generate_series(1, 3000) i;
CREATE TABLE empty (a int);
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 7);
CREATE TABLE wide (id int, b bytea, t text);
INSERT INTO wide SELECT i, decode(string_agg(md5((i * 100000 + k)::text), ''), 'hex'), repeat('long ', 500000)
  FROM generate_series(1, 2) i, generate_series(1, 150000) k GROUP BY i;
SELECT lo_from_bytea(4711, decode(repeat('00ff', 1500000), 'hex')), lo_from_bytea(4712, ''), lo_from_bytea(4713, 'a');
";

fn small_chunks() -> ExportOptions {
    ExportOptions { chunk_bytes: 256 << 10, ..options() }
}

/// The fill above minus the enum, which the tests' plan cannot create.
fn filled(server: &Server) {
    server.createdb("source").unwrap();
    server.psql("source", &TABLES.replace("CREATE TYPE mood AS ENUM ('sad', 'ok');", "")).unwrap();
}

fn large_objects(server: &Server, database: &str) -> String {
    server
        .psql(database, "SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1")
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_pg_restore_of_every_major_restores_all_rows_of_chunked_tables() {
    // Every client may restore into a server of its own age or newer.
    let server = Server::start(18).unwrap();
    filled(&server);
    let expected = (fingerprint(&server, "source"), large_objects(&server, "source"));
    for data in [DataFormat::Text, DataFormat::Auto] {
        for compression in ["gzip", "zstd", "lz4", "none"] {
            let folder = tempfile::tempdir().unwrap();
            let options =
                ExportOptions { data, codec: compression.parse().unwrap(), ..small_chunks() };
            let exported = export_all(&server, "source", &options, folder.path()).await.unwrap();
            let big = exported.tables.iter().find(|t| t.name == "big").unwrap();
            assert!(big.chunks.len() > 10, "{} chunks", big.chunks.len());
            assert_eq!(big.rows, 12_000);
            assert_eq!(exported.large_objects, 3);

            for client in clients().unwrap() {
                if !client.compressions().contains(&compression) {
                    continue;
                }
                let ways: &[&[&str]] = match compression {
                    "gzip" => &[&[], &["-j2"], &["-j4"]],
                    _ => &[&["-j2"]],
                };
                for args in ways {
                    server.createdb("target").unwrap();
                    let output = pg_restore(&client, &server, "target", folder.path(), args);
                    let case = format!("{data} {compression} {} {args:?}", client.version);
                    assert!(
                        output.status.success(),
                        "{case}: {}",
                        String::from_utf8_lossy(&output.stderr)
                    );
                    assert_eq!(fingerprint(&server, "target"), expected.0, "{case}");
                    assert_eq!(large_objects(&server, "target"), expected.1, "{case}");
                    let constraints = "SELECT count(*) FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'f')";
                    assert_eq!(server.psql("target", constraints).unwrap(), "2", "{case}");
                    server.dropdb("target").unwrap();
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_table_alone_is_restored_from_all_its_chunks() {
    let server = Server::start(17).unwrap();
    filled(&server);
    let folder = tempfile::tempdir().unwrap();
    export_all(&server, "source", &small_chunks(), folder.path()).await.unwrap();
    for args in [&["-t", "big"][..], &["-t", "big", "-j2"][..]] {
        server.createdb("target").unwrap();
        let output = pg_restore(&client(17).unwrap(), &server, "target", folder.path(), args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let source = fingerprint(&server, "source");
        let big = source.lines().find(|l| l.starts_with("big|")).unwrap();
        assert_eq!(fingerprint(&server, "target").trim_end(), big);
        server.dropdb("target").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_major_from_13_to_18_is_exported() {
    for major in harness::postgres::SERVER_MAJORS {
        let server = Server::start(major).unwrap();
        filled(&server);
        let folder = tempfile::tempdir().unwrap();
        let exported = export_all(&server, "source", &small_chunks(), folder.path()).await.unwrap();
        let big = exported.tables.iter().find(|t| t.name == "big").unwrap();
        // Before 14 a range of ctids would read the whole table each time.
        assert_eq!(big.chunks.len() > 1, major >= 14, "{major}");
        server.createdb("target").unwrap();
        let restorer = client(15).unwrap();
        let output = pg_restore(&restorer, &server, "target", folder.path(), &["-j2"]);
        assert!(output.status.success(), "{major}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fingerprint(&server, "target"), fingerprint(&server, "source"), "{major}");
        assert_eq!(large_objects(&server, "target"), large_objects(&server, "source"), "{major}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_restores_a_plain_script_whatever_its_compression() {
    let server = Server::start(17).unwrap();
    filled(&server);
    let expected = (fingerprint(&server, "source"), large_objects(&server, "source"));
    for compression in Compression::ALL {
        let folder = tempfile::tempdir().unwrap();
        let options =
            ExportOptions { format: Format::Plain, codec: compression.into(), ..small_chunks() };
        let exported = export_all(&server, "source", &options, folder.path()).await.unwrap();
        assert_eq!(exported.file, format!("source_20261118_110640.sql{}", compression.suffix()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let big = exported.tables.iter().find(|t| t.name == "big").unwrap();
        assert_eq!((big.rows, big.chunks.len()), (12_000, 0));

        let stored = std::fs::read(folder.path().join(&exported.file)).unwrap();
        let stored = futures::stream::iter([Ok(stored.into())]).boxed();
        let mut decoded = decode_stream(compression, stored);
        let mut script = Vec::new();
        while let Some(part) = decoded.next().await {
            script.extend_from_slice(&part.unwrap());
        }
        let path = folder.path().join("script.sql");
        std::fs::write(&path, script).unwrap();
        server.createdb("target").unwrap();
        server.psql_file("target", &path).unwrap();
        assert_eq!(fingerprint(&server, "target"), expected.0, "{compression}");
        assert_eq!(large_objects(&server, "target"), expected.1, "{compression}");
        server.dropdb("target").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_script_with_binary_data_is_refused() {
    let server = Server::start(17).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options =
        ExportOptions { format: Format::Plain, data: DataFormat::Binary, ..small_chunks() };
    let error = export_all(&server, "postgres", &options, folder.path()).await.unwrap_err();
    assert_eq!(error.to_string(), "a plain script cannot hold binary data");
    assert!(error.hint().unwrap().contains("--format directory"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_of_a_table_does_not_depend_on_its_chunks() {
    let server = Server::start(17).unwrap();
    filled(&server);
    let mut digests = Vec::new();
    for chunk_bytes in [64 << 10, 1 << 20, 1 << 40] {
        let folder = tempfile::tempdir().unwrap();
        let options = ExportOptions { chunk_bytes, ..options() };
        let exported = export_all(&server, "source", &options, folder.path()).await.unwrap();
        digests.push(exported.tables.iter().map(|t| (t.rows, t.digest)).collect::<Vec<_>>());
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}
