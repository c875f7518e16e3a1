//! Stock `pg_restore` reads what we write, and prints the script that we print.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use harness::postgres::{Client, client};
use pgarchive::script::{Piece, Script, ScriptOptions};
use pgarchive::{
    Codec, Compression, Entry, FrameEncoder, Header, LARGE_OBJECTS, TEXT_COPY_TRAILER, Toc,
    Version, large_object_file, large_object_list, put_large_object,
};

fn golden(name: &str) -> Toc {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    Toc::decode(&std::fs::read(path).unwrap()).unwrap()
}

/// Rows that tell by themselves which entry they belong to; enough for several frames.
fn rows(entry: &Entry) -> String {
    let mut rows = String::new();
    for n in 0..10_000 {
        writeln!(rows, "{n}\trow {n} of {}\t\\\\x{:08x}\t\\N", entry.dump_id, n * 7919).unwrap();
    }
    rows
}

/// The large objects of a list: one with content, one without.
fn large_objects(entry: &Entry) -> BTreeMap<u32, Vec<u8>> {
    let first = entry.dump_id.unsigned_abs() * 10;
    BTreeMap::from([(first, (0..=255).cycle().take(40_000).collect()), (first + 1, Vec::new())])
}

/// Writes `content` in several frames.
fn write_file(folder: &Path, name: &str, codec: Codec, content: &[u8]) {
    let mut encoder = FrameEncoder::new(codec).unwrap();
    let mut out = Vec::new();
    for buffer in content.chunks(100_000) {
        encoder.encode(buffer, &mut out).unwrap();
    }
    if content.is_empty() {
        encoder.encode(content, &mut out).unwrap();
    }
    std::fs::write(folder.join(format!("{name}{}", codec.compression().suffix())), out).unwrap();
}

/// An archive of `toc` with invented data.
fn write_archive(folder: &Path, toc: &Toc, codec: Codec) {
    std::fs::write(folder.join("toc.dat"), toc.encode().unwrap()).unwrap();
    for entry in toc.entries.iter().filter(|entry| entry.had_dumper) {
        if let Some(list) = large_object_list(toc.header.version, entry) {
            let mut lines = Vec::new();
            for (oid, content) in large_objects(entry) {
                put_large_object(&mut lines, oid);
                write_file(folder, &large_object_file(oid), codec, &content);
            }
            std::fs::write(folder.join(list), lines).unwrap();
        } else {
            let content = [rows(entry).as_bytes(), TEXT_COPY_TRAILER].concat();
            write_file(folder, entry.file_name.as_deref().unwrap(), codec, &content);
        }
    }
}

/// Our script of the same archive.
fn our_script(toc: &Toc, options: ScriptOptions) -> String {
    let script = Script::new(toc, options).unwrap();
    let mut out = String::new();
    for piece in script.pieces() {
        match piece {
            Piece::Sql(sql) => out.push_str(&sql),
            Piece::Rows(entry) => out.push_str(&rows(entry)),
            Piece::LargeObjects(entry) => {
                for (oid, content) in large_objects(entry) {
                    let object = script.large_object(oid);
                    let mut sql = Vec::new();
                    object.open(&mut sql);
                    object.write(&content, &mut sql);
                    object.close(&mut sql);
                    out.push_str(std::str::from_utf8(&sql).unwrap());
                }
            }
            Piece::Statements(entry) => panic!("{entry:?}"),
        }
    }
    out
}

fn stock_script(client: &Client, folder: &Path, options: &[&str]) -> String {
    let output =
        client.command("pg_restore").args(["-f", "-"]).args(options).arg(folder).output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && messages.is_empty(), "{}: {messages}", client.version);
    String::from_utf8(output.stdout).unwrap()
}

/// Leaves out what we leave out on purpose.
fn without_restrict(script: &str) -> String {
    let is_guard =
        |line: &str| line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ");
    let guards = script.lines().filter(|line| is_guard(line)).count();
    let mut out = String::new();
    let (mut seen, mut skip_blank) = (0, false);
    for line in script.split_inclusive('\n') {
        if is_guard(line) {
            seen += 1;
            // Those at both ends have a blank line of their own.
            skip_blank = seen == 1 || seen == guards;
        } else if !(std::mem::take(&mut skip_blank) && line == "\n") {
            out.push_str(line);
        }
    }
    out
}

/// The one setting we make in another way.
fn with_stock_timeout(script: &str) -> String {
    script.replace(
        "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings \
         WHERE name = 'transaction_timeout';\n",
        "SET transaction_timeout = 0;\n",
    )
}

/// Before 16, `pg_restore` altered views and sequences as if they were tables.
fn with_old_alter(script: &str) -> String {
    script
        .replace("SET transaction_timeout = 0;\n", "")
        .replace("\nALTER VIEW ", "\nALTER TABLE ")
        .replace("\nALTER MATERIALIZED VIEW ", "\nALTER TABLE ")
        .replace("\nALTER SEQUENCE ", "\nALTER TABLE ")
}

#[track_caller]
fn assert_same(ours: &str, stock: &str, what: &str) {
    if ours == stock {
        return;
    }
    let differing = ours.lines().zip(stock.lines()).enumerate().find(|(_, (a, b))| a != b);
    panic!("{what}: {differing:?}, {} and {} bytes", ours.len(), stock.len());
}

const MODES: [(&[&str], ScriptOptions); 3] = [
    (&[], ScriptOptions { create_database: false, owners: true, privileges: true }),
    (&["-O", "-x"], ScriptOptions { create_database: false, owners: false, privileges: false }),
    (&["-C"], ScriptOptions { create_database: true, owners: true, privileges: true }),
];

fn compare(client: &Client, toc: &Toc, codec: &str) {
    let folder = tempfile::tempdir().unwrap();
    write_archive(folder.path(), toc, codec.parse().unwrap());
    for (flags, options) in MODES {
        let stock = without_restrict(&stock_script(client, folder.path(), flags));
        let mut ours = with_stock_timeout(&our_script(toc, options));
        if client.major < 16 {
            ours = with_old_alter(&ours);
        }
        assert_same(&ours, &stock, &format!("{} {codec} {flags:?}", client.version));
    }
}

#[test]
fn our_script_is_that_of_pg_restore_15() {
    let client = client(15).unwrap();
    for codec in ["none", "gzip", "gzip:9"] {
        compare(&client, &golden("pg_dump-15.toc.dat"), codec);
    }
}

#[test]
fn our_script_is_that_of_pg_restore_17_in_every_compression() {
    let client = client(17).unwrap();
    for codec in ["none", "gzip", "lz4", "lz4:9", "zstd", "zstd:9"] {
        compare(&client, &golden("pg_dump-15.toc.dat"), codec);
        compare(&client, &golden("pg_dump-17.toc.dat"), codec);
    }
}

#[test]
fn our_script_is_that_of_pg_restore_18() {
    let client = client(18).unwrap();
    for codec in ["none", "gzip"] {
        compare(&client, &golden("pg_dump-15.toc.dat"), codec);
        let mut toc = golden("pg_dump-17.toc.dat");
        toc.header.compression = codec.parse::<Compression>().unwrap();
        compare(&client, &toc, codec);
    }
}

#[test]
fn archives_of_version_1_12_follow_schemas() {
    let mut toc = golden("pg_dump-15.toc.dat");
    toc.header.version = Version::V1_12;
    toc.entries.retain(|entry| entry.desc != "SEARCHPATH");
    toc.entries.iter_mut().for_each(|entry| entry.table_am = None);
    compare(&client(17).unwrap(), &toc, "gzip");
}

#[test]
fn pg_restore_lists_what_we_wrote() {
    let client = client(15).unwrap();
    let stock = golden("pg_dump-15.toc.dat");
    let header = Header::new(Compression::Gzip, stock.header.created, "fix", "15.18", "15.18");
    let toc = Toc { header, entries: stock.entries };
    let folder = tempfile::tempdir().unwrap();
    write_archive(folder.path(), &toc, Compression::Gzip.into());
    let output = client.command("pg_restore").arg("-l").arg(folder.path()).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(list.contains(";     dbname: fix\n"), "{list}");
    assert!(list.contains(";     Dump Version: 1.14-0\n"), "{list}");
    for entry in toc.entries.iter().filter(|entry| entry.desc == "TABLE") {
        assert!(list.contains(&format!("{}; 1259 ", entry.dump_id)), "{}", entry.tag);
    }
    assert!(toc.entries.iter().any(|entry| entry.desc == LARGE_OBJECTS));
}
