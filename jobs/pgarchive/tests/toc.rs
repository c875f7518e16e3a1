//! Tables of contents: stock ones are written back byte for byte, ours never change.

use std::path::PathBuf;

use chrono::{TimeZone, Utc};
use pgarchive::{
    Blank, Blanks, CatalogId, Compression, Entry, Error, Header, Section, Toc, Version,
};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read_golden(name: &str) -> Vec<u8> {
    std::fs::read(golden(name)).unwrap()
}

/// A small archive as an export writes it: a table in two chunks, its index, a large object.
fn sample(compression: Compression) -> Toc {
    let created = Utc.with_ymd_and_hms(2026, 11, 24, 0, 30, 5).unwrap();
    let mut header = Header::new(compression, created, "fix", "17.6", "17.6 (aidp-backup 0.1.0)");
    header.gzip_level = (compression == Compression::Gzip).then_some(1);
    let copy = "COPY app.item (id, name) FROM stdin;\n";
    let chunk = |id| Entry {
        had_dumper: true,
        copy_stmt: copy.into(),
        namespace: Some("app".into()),
        owner: Some("owner one".into()),
        file_name: Some(format!("{id}.dat")),
        ..Entry::new(id, "TABLE DATA", "item", Section::Data)
    };
    let entries = vec![
        Entry {
            defn: "SET client_encoding = 'UTF8';\n".into(),
            ..Entry::new(1, "ENCODING", "ENCODING", Section::PreData)
        },
        Entry {
            catalog_id: CatalogId { catalog: 1259, oid: 16400 },
            defn: "CREATE TABLE app.item (\n    id bigint,\n    name text\n);\n".into(),
            drop_stmt: "DROP TABLE app.item;\n".into(),
            namespace: Some("app".into()),
            tablespace: Some(String::new()),
            table_am: Some("heap".into()),
            relkind: Some('r'),
            owner: Some("owner one".into()),
            blanks: Blanks { copy_stmt: Blank::Empty, ..Blanks::default() },
            ..Entry::new(4, "TABLE", "item", Section::PreData)
        },
        chunk(7),
        chunk(8),
        Entry {
            catalog_id: CatalogId { catalog: 1259, oid: 16410 },
            defn: "CREATE INDEX item_name ON app.item USING btree (name);\n".into(),
            drop_stmt: "DROP INDEX app.item_name;\n".into(),
            namespace: Some("app".into()),
            tablespace: Some("fast disk".into()),
            owner: Some("größe".into()),
            dependencies: vec![4, 7, 8],
            ..Entry::new(9, "INDEX", "item_name", Section::PostData)
        },
    ];
    Toc { header, entries }
}

#[test]
fn stock_tables_of_contents_are_written_back_byte_for_byte() {
    for name in ["pg_dump-15.toc.dat", "pg_dump-17.toc.dat"] {
        let bytes = read_golden(name);
        let toc = Toc::decode(&bytes).unwrap();
        assert!(toc.encode().unwrap() == bytes, "{name} changed");
    }
}

#[test]
fn a_stock_archive_of_15_has_the_fields_that_pg_restore_lists() {
    let toc = Toc::decode(&read_golden("pg_dump-15.toc.dat")).unwrap();
    assert_eq!(toc.header.version, Version::V1_14);
    assert_eq!(toc.header.compression, Compression::None);
    assert_eq!(toc.header.database, "fix");
    assert!(toc.header.server_version.starts_with("15."));
    assert!(toc.header.created.to_naive().is_some());
    let item = toc.entries.iter().find(|e| e.desc == "TABLE" && e.tag == "item").unwrap();
    assert_eq!(item.owner.as_deref(), Some("owner one"));
    assert_eq!(item.table_am.as_deref(), Some("heap"));
    assert_eq!(item.catalog_id.catalog, 1259);
    let data = toc.entries.iter().find(|e| e.desc == "TABLE DATA" && e.tag == "item").unwrap();
    assert!(data.had_dumper);
    assert_eq!(data.dependencies, [item.dump_id]);
    assert_eq!(data.file_name.as_deref(), Some(format!("{}.dat", data.dump_id).as_str()));
    assert!(data.copy_stmt.starts_with("COPY app.item (id, name"));
    assert_eq!(toc.entry(data.dump_id), Some(data));
}

#[test]
fn a_stock_archive_of_17_has_relkinds_and_a_compression_method() {
    let toc = Toc::decode(&read_golden("pg_dump-17.toc.dat")).unwrap();
    assert_eq!(toc.header.version, Version::V1_16);
    assert_eq!(toc.header.compression, Compression::Lz4);
    let kind =
        |tag| toc.entries.iter().find(|e| e.desc == "TABLE" && e.tag == tag).unwrap().relkind;
    assert_eq!(kind("item"), Some('r'));
    assert_eq!(kind("measure"), Some('p'));
}

#[test]
fn what_we_write_never_changes() {
    for (name, compression) in
        [("ours-1.14.toc.dat", Compression::Gzip), ("ours-1.15.toc.dat", Compression::Zstd)]
    {
        let mut toc = sample(compression);
        let bytes = toc.encode().unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden(name), &bytes).unwrap();
        }
        assert!(read_golden(name) == bytes, "{name} differs; UPDATE_GOLDEN=1 writes it anew");
        // Before 1.16 there is no place for it.
        toc.entries.iter_mut().for_each(|entry| entry.relkind = None);
        assert_eq!(Toc::decode(&bytes).unwrap(), toc);
    }
}

#[test]
fn every_version_reads_what_it_wrote() {
    for version in [Version::V1_12, Version::V1_13, Version::V1_14, Version::V1_15, Version::V1_16]
    {
        let mut toc = sample(Compression::Gzip);
        toc.header.version = version;
        if version >= Version::V1_15 {
            toc.header.gzip_level = None;
        }
        for entry in &mut toc.entries {
            entry.table_am = entry.table_am.take().filter(|_| version >= Version::V1_14);
            entry.relkind = entry.relkind.filter(|_| version >= Version::V1_16);
        }
        let bytes = toc.encode().unwrap();
        assert_eq!(Toc::decode(&bytes).unwrap(), toc, "version {version}");
    }
}

#[test]
fn every_truncation_is_an_error_that_says_so() {
    let bytes = sample(Compression::Zstd).encode().unwrap();
    for length in 0..bytes.len() {
        let error = Toc::decode(&bytes[..length]).unwrap_err();
        assert!(
            matches!(error, Error::TocTruncated { .. } | Error::NotAnArchive),
            "cut to {length}: {error}"
        );
        assert!(error.hint().is_some());
    }
}

#[test]
fn bytes_behind_the_last_entry_are_refused() {
    let mut bytes = sample(Compression::Zstd).encode().unwrap();
    bytes.push(0);
    assert!(matches!(Toc::decode(&bytes), Err(Error::TocTrailing { .. })));
}

#[test]
fn foreign_headers_are_refused_by_name() {
    let good = sample(Compression::Zstd).encode().unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Toc::decode(&bytes).unwrap_err()
    };
    assert!(matches!(with(0, b'p'), Error::NotAnArchive));
    assert!(matches!(with(5, 2), Error::ArchiveVersion { major: 2, .. }));
    assert!(matches!(with(6, 11), Error::ArchiveVersion { minor: 11, .. }));
    assert!(matches!(with(6, 17), Error::ArchiveVersion { minor: 17, .. }));
    assert!(matches!(with(8, 8), Error::IntegerSizes { int: 8, offset: 8 }));
    let custom = with(10, 1);
    assert_eq!(custom.to_string(), "archive format custom is not the directory format");
    assert!(matches!(with(11, 4), Error::CompressionCode { code: 4 }));
}

#[test]
fn a_length_that_exceeds_the_file_allocates_nothing() {
    let good = sample(Compression::Zstd).encode().unwrap();
    // The length of the database's name, and the number of entries: 2 GiB each.
    let name = 12 + 7 * 5;
    let mut bytes = good.clone();
    bytes[name + 1..name + 5].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f]);
    assert!(matches!(Toc::decode(&bytes), Err(Error::TocTruncated { .. })));
    let count = name + 5 + "fix".len() + 5 + "17.6".len() + 5 + "17.6 (aidp-backup 0.1.0)".len();
    let mut bytes = good;
    bytes[count + 1..count + 5].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f]);
    assert!(matches!(Toc::decode(&bytes), Err(Error::TocTruncated { .. })));
}

#[test]
fn what_the_format_cannot_hold_is_not_written() {
    let mut toc = sample(Compression::Zstd);
    toc.header.version = Version::V1_14;
    assert!(matches!(toc.encode(), Err(Error::CompressionNeedsVersion { .. })));

    type Spoil = fn(&mut Entry);
    let spoils: [(&str, Spoil); 4] = [
        ("dump id", |entry| entry.dump_id = 0),
        ("tag", |entry| entry.tag.push('\0')),
        ("owner", |entry| entry.owner = Some("a\0b".into())),
        ("dependency", |entry| entry.dependencies.push(-1)),
    ];
    for (expected, spoil) in spoils {
        let mut toc = sample(Compression::Gzip);
        spoil(&mut toc.entries[1]);
        match toc.encode() {
            Err(Error::Unwritable { field, .. }) => assert_eq!(field, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}
