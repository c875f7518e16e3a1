//! Archives that stock `pg_dump` makes of a real database are read whole, and the script made
//! of them brings the database back.

use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt;
use harness::postgres::{Client, Server, client};
use pgarchive::check::{Check, Problem};
use pgarchive::script::{Piece, Script, ScriptOptions};
use pgarchive::{
    ArchiveSource, Compression, CopySummary, DirSource, Entry, RowCounter, SourceFile,
    TEXT_COPY_TRAILER, TOC_FILE, Toc, decode_stream, large_object_list, large_objects,
};

fn fixture() -> String {
    format!("{}/tests/golden/fixture.sql", env!("CARGO_MANIFEST_DIR"))
}

fn dump(client: &Client, server: &Server, database: &str, args: &[&str]) -> Vec<u8> {
    let mut command = client.command("pg_dump");
    let output = server.env(&mut command).args(args).arg(database).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// An archive in memory.
struct Archive {
    toc: Toc,
    files: Vec<SourceFile>,
    source: DirSource,
}

impl Archive {
    async fn open(folder: &Path) -> Self {
        let source = DirSource::new(folder);
        let files = source.list().await.unwrap();
        let bytes = std::fs::read(folder.join(TOC_FILE)).unwrap();
        let toc = Toc::decode(&bytes).unwrap();
        assert!(toc.encode().unwrap() == bytes, "the table of contents changed");
        Self { toc, files, source }
    }

    /// The content of a file, named without its suffix.
    async fn read(&self, name: &str) -> Vec<u8> {
        let stored = self.files.iter().find(|file| Compression::of_file(&file.name).0 == name);
        let stored = &stored.unwrap_or_else(|| panic!("{name} is missing")).name;
        let raw = self.source.open(stored).await.unwrap();
        let decoded = decode_stream(Compression::of_file(stored).1, raw);
        decoded.try_collect::<Vec<Bytes>>().await.unwrap().concat()
    }

    async fn assert_sound(&self) {
        let mut check = Check::new(&self.toc, &self.files);
        for list in check.large_object_lists() {
            let content = self.read(&list).await;
            check.large_objects(&list, &content);
        }
        let damage: Vec<_> = check.finish().into_iter().filter(Problem::is_damage).collect();
        assert_eq!(damage, []);
    }

    fn tables(&self) -> impl Iterator<Item = &Entry> {
        self.toc.entries.iter().filter(|entry| entry.desc == "TABLE DATA")
    }

    /// What each table's rows add up to.
    async fn rows(&self) -> Vec<(String, CopySummary)> {
        let mut summaries = Vec::new();
        for entry in self.tables() {
            let content = self.read(entry.file_name.as_deref().unwrap()).await;
            let mut counter = RowCounter::new(entry.copy_format().unwrap());
            content.chunks(1000).for_each(|piece| counter.feed(piece).unwrap());
            assert!(counter.saw_end());
            summaries.push((entry.tag.clone(), counter.finish().unwrap()));
        }
        summaries
    }

    async fn script(&self) -> Vec<u8> {
        let script = Script::new(&self.toc, ScriptOptions::default()).unwrap();
        let mut out = Vec::new();
        for piece in script.pieces() {
            match piece {
                Piece::Sql(sql) => out.extend_from_slice(sql.as_bytes()),
                Piece::Statements(entry) => {
                    out.extend(self.read(entry.file_name.as_deref().unwrap()).await);
                }
                Piece::Rows(entry) => {
                    let content = self.read(entry.file_name.as_deref().unwrap()).await;
                    out.extend_from_slice(content.strip_suffix(TEXT_COPY_TRAILER).unwrap());
                }
                Piece::LargeObjects(entry) => {
                    let list = large_object_list(self.toc.header.version, entry).unwrap();
                    for object in large_objects(&self.read(list).await) {
                        let object = object.unwrap();
                        let statements = script.large_object(object.oid);
                        statements.open(&mut out);
                        statements.write(&self.read(object.file_name).await, &mut out);
                        statements.close(&mut out);
                    }
                }
            }
        }
        out
    }
}

/// Everything `pg_dump` says of a database but its random key.
fn state(client: &Client, server: &Server, database: &str) -> String {
    let script = String::from_utf8(dump(client, server, database, &[])).unwrap();
    let lines = script.lines().filter(|line| !line.contains("restrict "));
    lines.collect::<Vec<_>>().join("\n")
}

async fn reads_and_restores(major: u16, compressions: &[&str]) {
    let client = client(major).unwrap();
    let server = Server::start(major).unwrap();
    server.createdb("fix").unwrap();
    server.psql_file("fix", Path::new(&fixture())).unwrap();
    let expected = state(&client, &server, "fix");
    let folder = tempfile::tempdir().unwrap();
    let mut first = None;
    for (at, compression) in compressions.iter().enumerate() {
        let target = folder.path().join(compression);
        let path = target.to_str().unwrap();
        dump(&client, &server, "fix", &["-Fd", "-Z", compression, "-f", path]);
        let archive = Archive::open(&target).await;
        archive.assert_sound().await;
        let rows = archive.rows().await;
        assert_eq!(rows.iter().find(|(tag, _)| tag == "item").unwrap().1.rows, 500);
        assert_eq!(rows.iter().find(|(tag, _)| tag == "empty").unwrap().1.rows, 2);
        assert_eq!(*first.get_or_insert(rows.clone()), rows, "{compression}");

        let file = folder.path().join("script.sql");
        std::fs::write(&file, archive.script().await).unwrap();
        let copy = format!("copy{at}");
        server.createdb(&copy).unwrap();
        server.psql_file(&copy, &file).unwrap();
        assert!(state(&client, &server, &copy) == expected, "{major} {compression}");
    }
}

#[tokio::test]
async fn archives_of_pg_dump_15_are_read_and_come_back_as_scripts() {
    reads_and_restores(15, &["0", "1", "9"]).await;
}

#[tokio::test]
async fn archives_of_pg_dump_17_are_read_and_come_back_as_scripts() {
    reads_and_restores(17, &["none", "gzip:1", "lz4", "lz4:9", "zstd", "zstd:19"]).await;
}

#[tokio::test]
async fn archives_of_inserts_come_back_as_scripts() {
    let client = client(17).unwrap();
    let server = Server::start(17).unwrap();
    server.createdb("fix").unwrap();
    server
        .psql("fix", "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, 'y');")
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("archive");
    dump(&client, &server, "fix", &["-Fd", "--inserts", "-f", target.to_str().unwrap()]);
    let archive = Archive::open(&target).await;
    assert!(archive.tables().all(|entry| entry.copy_format().is_none()));
    let file = folder.path().join("script.sql");
    std::fs::write(&file, archive.script().await).unwrap();
    server.createdb("copy").unwrap();
    server.psql_file("copy", &file).unwrap();
    assert_eq!(server.psql("copy", "SELECT count(*), sum(a) FROM t").unwrap(), "2|3");
}
