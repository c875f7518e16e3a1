//! The manifest's format: what is written, and what is refused.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use vault::manifest::{
    Chunk, Database, FORMAT_VERSION, FailedSource, Kind, MAX_BYTES, Manifest, ManifestError,
    Object, Selection, Table, is_id,
};
use vault::{Key, hex};

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn object(key: &str, size: u64) -> Object {
    let sha256 = hex::encode(&Sha256::digest(key));
    Object { key: Key::new(key).unwrap(), size, sha256 }
}

/// Every field in use, and every form that a field may take.
fn sample() -> Manifest {
    let folder = "exports/20261123T020000Z-3fa9c1/temporal/";
    let plain = "exports/20261123T020000Z-3fa9c1/app=20db_20261123_020000.sql.gz";
    let chunk = |file: &str, rows, digest: Option<&str>| Chunk {
        file: file.into(),
        rows,
        bytes: rows * 100,
        digest: digest.map(Into::into),
    };
    let history = Table {
        schema: "public".into(),
        name: "history_node".into(),
        data: "binary".into(),
        rows: 300,
        bytes: 30_000,
        digest: Some("xxh3-128-sum:00ff00ff00ff00ff00ff00ff00ff00ff".into()),
        chunks: vec![
            chunk("12.dat.zst", 200, Some("xxh3-128-sum:0123456789abcdef0123456789abcdef")),
            chunk("13.dat.zst", 100, None),
        ],
    };
    let unsplit = Table {
        schema: "we\"ird".into(),
        name: "tä\nble".into(),
        data: "text".into(),
        rows: 3,
        bytes: 70,
        digest: None,
        chunks: vec![],
    };
    Manifest {
        format_version: FORMAT_VERSION,
        id: "20261123T020000Z-3fa9c1".into(),
        kind: Kind::Export,
        group: "production".into(),
        program_version: "0.1.0".into(),
        host: "worker-0".into(),
        selection: Selection {
            schema_only: false,
            tables: vec![],
            exclude_tables: vec!["public.old_*".into()],
            exclude_table_data: vec!["audit.log".into()],
        },
        started: time("2026-11-23T02:00:00Z"),
        finished: time("2026-11-23T02:03:04.567890Z"),
        failed: vec![FailedSource { name: "broken".into(), error: "connection refused".into() }],
        databases: vec![
            Database {
                name: "temporal".into(),
                format: "directory".into(),
                compression: "zstd".into(),
                location: folder.into(),
                server_version: "17.2 (Debian 17.2-1)".into(),
                server_version_num: 170_002,
                system_identifier: Some("7440000000000000001".into()),
                encoding: "UTF8".into(),
                snapshot_time: time("2026-11-23T02:00:00.250Z"),
                snapshot_lsn: "0/1A2B3C4D".into(),
                object_counts: BTreeMap::from([("TABLE".into(), 38), ("INDEX".into(), 60)]),
                tables: vec![history],
                large_objects: 0,
                data_bytes: 30_000,
                left_out: vec!["public.scratch (unlogged)".into()],
            },
            Database {
                name: "app db".into(),
                format: "plain".into(),
                compression: "gzip".into(),
                location: plain.into(),
                server_version: "15.14".into(),
                server_version_num: 150_014,
                system_identifier: None,
                encoding: "LATIN1".into(),
                snapshot_time: time("2026-11-23T02:00:00.255Z"),
                snapshot_lsn: "2/0".into(),
                object_counts: BTreeMap::new(),
                tables: vec![unsplit],
                large_objects: 2,
                data_bytes: 70,
                left_out: vec![],
            },
        ],
        snapshot_skew_ms: 5,
        objects: vec![
            object(plain, 1_234),
            object(&format!("{folder}12.dat.zst"), 9_000),
            object(&format!("{folder}13.dat.zst"), 4_000),
            object(&format!("{folder}toc.dat"), 70_000),
        ],
    }
}

/// A stored document around any JSON, its digest right.
fn document(manifest: &str) -> Vec<u8> {
    let digest = hex::encode(&Sha256::digest(manifest));
    format!("{{\"manifest\":{manifest},\"sha256\":\"{digest}\"}}\n").into_bytes()
}

fn json(manifest: &Manifest) -> String {
    serde_json::to_string(manifest).unwrap()
}

#[test]
fn version_1_is_written_and_read_as_the_golden_file_has_it() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/manifest-v1.json");
    let stored = std::fs::read(&golden).unwrap();
    assert_eq!(
        String::from_utf8(sample().encode().unwrap()).unwrap(),
        String::from_utf8_lossy(&stored)
    );
    assert_eq!(Manifest::decode(&stored).unwrap(), sample());
}

#[test]
fn a_flip_of_any_bit_of_any_byte_is_noticed() {
    let stored = sample().encode().unwrap();
    for at in 0..stored.len() {
        for bit in 0..8 {
            let mut flipped = stored.clone();
            flipped[at] ^= 1 << bit;
            let error = Manifest::decode(&flipped).expect_err("a flipped bit");
            assert!(matches!(error, ManifestError::Damaged { .. }), "byte {at} bit {bit}: {error}");
        }
    }
}

#[test]
fn a_cut_or_grown_document_is_noticed() {
    let stored = sample().encode().unwrap();
    for length in 0..stored.len() {
        assert!(Manifest::decode(&stored[..length]).is_err(), "{length} bytes");
        assert!(Manifest::decode(&stored[length + 1..]).is_err(), "from {length}");
    }
    assert!(Manifest::decode(&[&stored[..], b"\n"].concat()).is_err());
    assert!(Manifest::decode(&[b" ", &stored[..]].concat()).is_err());
    let huge = vec![b' '; MAX_BYTES + 1];
    assert!(matches!(Manifest::decode(&huge), Err(ManifestError::TooLarge { .. })));
}

#[test]
fn a_newer_version_is_refused_by_number() {
    let newer =
        json(&sample()).replacen("\"formatVersion\":1", "\"formatVersion\":7,\"new\":[]", 1);
    let error = Manifest::decode(&document(&newer)).unwrap_err();
    assert!(matches!(error, ManifestError::Newer { found: 7, supported: 1 }), "{error}");
    assert_eq!(
        error.to_string(),
        "the manifest has format version 7, and this program reads up to 1"
    );
    assert!(error.hint().is_some());
    let zero = json(&sample()).replacen("\"formatVersion\":1", "\"formatVersion\":0", 1);
    assert!(Manifest::decode(&document(&zero)).is_err());
}

#[test]
fn unknown_fields_and_other_spellings_are_refused() {
    let proper = json(&sample());
    let wrong = [
        proper.replacen("\"group\":", "\"colour\":\"red\",\"group\":", 1),
        proper.replacen("\"host\":", "\"host\": ", 1),
        proper.replacen("2026-11-23T02:00:00Z", "2026-11-23T02:00:00.000Z", 1),
        proper.replacen("\"group\":\"production\",", "", 1),
        proper.replacen("\"rows\":300", "\"rows\":3e2", 1),
        proper.replacen("\"rows\":300", "\"rows\":-1", 1),
        "{}".into(),
        "[".repeat(100_000),
        String::new(),
    ];
    for manifest in wrong {
        assert_ne!(manifest, proper);
        assert!(Manifest::decode(&document(&manifest)).is_err(), "{manifest:.300}");
    }
}

#[test]
fn a_manifest_that_contradicts_itself_is_neither_written_nor_read() {
    let mut wrong: Vec<(&str, Manifest)> = Vec::new();
    let mut add = |name, change: fn(&mut Manifest)| {
        let mut manifest = sample();
        change(&mut manifest);
        wrong.push((name, manifest));
    };
    add("identity", |m| m.id = "latest".into());
    add("time", |m| m.finished = m.started - chrono::TimeDelta::seconds(1));
    add("order of objects", |m| m.objects.swap(0, 1));
    add("object twice", |m| m.objects.insert(0, m.objects[0].clone()));
    add("digest in upper case", |m| m.objects[0].sha256 = m.objects[0].sha256.to_uppercase());
    add("short digest", |m| m.objects[0].sha256.truncate(63));
    add("object elsewhere", |m| m.objects[0].key = Key::new("aaa/toc.dat").unwrap());
    add("no toc", |m| m.objects.truncate(3));
    add("no chunk", |m| _ = m.objects.remove(1));
    add("no plain file", |m| _ = m.objects.remove(0));
    add("location", |m| m.databases[0].location.truncate(10));
    add("location without slash", |m| _ = m.databases[0].location.pop());
    add("format", |m| m.databases[0].format = "custom".into());
    add("database twice", |m| m.databases[1].name = m.databases[0].name.clone());
    add("rows", |m| m.databases[0].tables[0].rows += 1);
    add("rows beyond counting", |m| m.databases[0].tables[0].chunks[0].rows = u64::MAX);
    add("form of data", |m| m.databases[0].tables[0].data = "csv".into());
    add("table digest", |m| m.databases[0].tables[0].digest = Some("0123".into()));
    add("chunk digest", |m| m.databases[0].tables[0].chunks[0].digest = Some("a:XY".into()));
    add("chunk's name", |m| m.databases[0].tables[0].chunks[0].file = "../12.dat.zst".into());
    add("version", |m| m.format_version = 0);
    for (name, manifest) in wrong {
        assert!(manifest.encode().is_err(), "{name} is written");
        assert!(Manifest::decode(&document(&json(&manifest))).is_err(), "{name} is read");
    }
}

#[test]
fn identities_sort_by_time() {
    let id = Manifest::new_id(time("2026-11-23T02:00:00.999Z"), 0xab3f_a9c1);
    assert_eq!(id, "20261123T020000Z-ffb9c1");
    assert!(is_id(&id));
    assert!(id < Manifest::new_id(time("2026-11-23T02:00:01Z"), 0));
    assert!(Manifest::new_id(time("2026-11-23T02:00:00.500Z"), u32::MAX) < id);
    assert!(is_id(&Manifest::new_id(time("2026-11-23T02:00:01Z"), 0)));
    for wrong in ["", "20261123T020000Z", "20261123T020000Z-3FA9C1", "20261123T020000Z-3fa9c1x"] {
        assert!(!is_id(wrong), "{wrong}");
        assert!(Manifest::key(wrong).is_none());
    }
    assert_eq!(
        Manifest::key(&id).unwrap().as_str(),
        "manifests/exports/20261123T020000Z-ffb9c1.json"
    );
}

#[test]
fn sums_cover_all_databases() {
    assert_eq!(sample().rows(), 303);
    assert_eq!(sample().stored_bytes(), 84_234);
    assert!(!sample().selection.is_everything());
    assert!(Selection::default().is_everything());
}
