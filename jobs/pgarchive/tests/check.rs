//! The structure of archives: sound ones pass, and each fault is named.

use pgarchive::check::{Check, Problem};
use pgarchive::{Compression, Entry, Header, Section, SourceFile, Toc, Version, WallClock};

fn file(name: &str) -> SourceFile {
    SourceFile { name: name.into(), size: 100 }
}

fn special(dump_id: i32, desc: &str) -> Entry {
    Entry { defn: "SET x = 'y';\n".into(), ..Entry::new(dump_id, desc, desc, Section::PreData) }
}

fn chunk(dump_id: i32) -> Entry {
    Entry {
        had_dumper: true,
        copy_stmt: "COPY app.item (id) FROM stdin;\n".into(),
        namespace: Some("app".into()),
        file_name: Some(format!("{dump_id}.dat")),
        ..Entry::new(dump_id, "TABLE DATA", "item", Section::Data)
    }
}

/// A table in two chunks, its index, large objects, and the files of all that.
fn sample() -> (Toc, Vec<SourceFile>) {
    let created = WallClock {
        second: 0,
        minute: 0,
        hour: 0,
        day: 1,
        month0: 0,
        years_since_1900: 126,
        is_dst: 0,
    };
    let header = Header::new(Compression::Zstd, created, "fix", "17.6", "17.6");
    let entries = vec![
        special(1, "ENCODING"),
        special(2, "STDSTRINGS"),
        special(3, "SEARCHPATH"),
        Entry {
            namespace: Some("app".into()),
            defn: "CREATE TABLE app.item (id int);\n".into(),
            ..Entry::new(4, "TABLE", "item", Section::PreData)
        },
        chunk(7),
        chunk(8),
        Entry {
            had_dumper: true,
            file_name: Some("blobs.toc".into()),
            ..Entry::new(5, "BLOBS", "BLOBS", Section::Data)
        },
        Entry {
            namespace: Some("app".into()),
            dependencies: vec![4, 7, 8],
            ..Entry::new(9, "INDEX", "item_id", Section::PostData)
        },
    ];
    let files =
        ["toc.dat", "7.dat.zst", "8.dat.zst", "blobs.toc", "blob_42.dat.zst"].map(file).to_vec();
    (Toc { header, entries }, files)
}

fn check(toc: &Toc, files: &[SourceFile]) -> Vec<Problem> {
    let mut check = Check::new(toc, files);
    for list in check.large_object_lists() {
        assert_eq!(list, "blobs.toc");
        check.large_objects(&list, b"42 blob_42.dat\n");
    }
    check.finish()
}

/// The only problem after `spoil`.
fn problem(spoil: impl FnOnce(&mut Toc, &mut Vec<SourceFile>)) -> String {
    let (mut toc, mut files) = sample();
    spoil(&mut toc, &mut files);
    match check(&toc, &files).as_slice() {
        [one] => one.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sound_archive_has_no_problem() {
    let (toc, mut files) = sample();
    assert_eq!(check(&toc, &files), []);
    files.remove(0);
    assert_eq!(check(&toc, &files), [], "without toc.dat in the listing");
}

#[test]
fn stock_archives_are_sound() {
    for (golden, suffix) in [("pg_dump-15.toc.dat", ""), ("pg_dump-17.toc.dat", ".lz4")] {
        let path = format!("{}/tests/golden/{golden}", env!("CARGO_MANIFEST_DIR"));
        let toc = Toc::decode(&std::fs::read(path).unwrap()).unwrap();
        let mut files = Vec::new();
        for entry in toc.entries.iter().filter(|entry| entry.had_dumper) {
            let name = entry.file_name.as_deref().unwrap();
            let suffix = if name.ends_with(".toc") { "" } else { suffix };
            files.push(file(&format!("{name}{suffix}")));
        }
        let mut lists = 0;
        let mut check = Check::new(&toc, &files);
        for list in check.large_object_lists() {
            assert!(list.starts_with("blobs"));
            lists += 1;
            check.large_objects(&list, b"");
        }
        let damage: Vec<_> = check.finish().into_iter().filter(Problem::is_damage).collect();
        assert_eq!(damage, [], "{golden}");
        assert!(lists > 0, "{golden} has large objects");
    }
}

#[test]
fn every_file_has_an_entry_and_every_entry_its_file() {
    assert_eq!(
        problem(|_, files| files.retain(|file| file.name != "7.dat.zst")),
        "file \"7.dat\" of 7 TABLE DATA app.item is missing"
    );
    assert_eq!(
        problem(|_, files| files.retain(|file| file.name != "blob_42.dat.zst")),
        "file \"blob_42.dat\" of large object 42 is missing"
    );
    assert_eq!(
        problem(|_, files| files.push(file("9.dat.zst"))),
        "file \"9.dat.zst\" belongs to no entry"
    );
    assert_eq!(
        problem(|_, files| files.push(file("7.dat.gz"))),
        "one file is stored several times: 7.dat.gz, 7.dat.zst"
    );
    assert_eq!(problem(|_, files| files[1].size = 0), "file \"7.dat.zst\" is empty");
    assert_eq!(
        problem(|_, files| files[4] = SourceFile { name: "blob_42.dat.gz".into(), size: 0 }),
        "file \"blob_42.dat.gz\" is empty"
    );
    assert_eq!(
        problem(|toc, files| {
            toc.entries[4].file_name = None;
            files.remove(1);
        }),
        "entry 7 TABLE DATA app.item has data but no file"
    );
    assert_eq!(
        problem(|toc, _| toc.entries[7].file_name = Some("7.dat".into())),
        "entry 9 INDEX app.item_id has no data but names file \"7.dat\""
    );
    assert_eq!(
        problem(|toc, files| {
            toc.entries[5].file_name = Some("7.dat".into());
            files.remove(2);
        }),
        "8 TABLE DATA app.item names file \"7.dat\", which belongs to another entry"
    );
}

#[test]
fn a_file_name_stays_in_its_folder() {
    for name in ["../7.dat", "a/7.dat", ".hidden", "toc.dat"] {
        let message = problem(|toc, files| {
            toc.entries[4].file_name = Some(name.into());
            files.remove(1);
        });
        assert_eq!(
            message,
            format!("7 TABLE DATA app.item names file {name:?}, which is not a plain name")
        );
    }
}

#[test]
fn numbers_and_dependencies_hold() {
    assert_eq!(
        problem(|toc, _| toc.entries[7].dependencies.push(99)),
        "entry 9 INDEX app.item_id depends on entry 99, which is missing"
    );
    assert_eq!(
        problem(|toc, _| toc.entries[2].dump_id = 2),
        "entry 2 SEARCHPATH SEARCHPATH has the number of another entry"
    );
    assert_eq!(
        problem(|toc, _| toc.entries[3].dependencies.push(9)),
        "entry 4 TABLE app.item depends on itself, by way of 1 others"
    );
    assert_eq!(
        problem(|toc, _| {
            toc.entries.remove(1);
        }),
        "entry STDSTRINGS is missing"
    );
}

#[test]
fn a_chunk_that_a_parallel_restore_would_lose_is_named() {
    assert_eq!(
        problem(|toc, _| toc.entries[4].dependencies.push(4)),
        "entry 7 TABLE DATA app.item holds a part of a table's rows but depends on other entries"
    );
    assert_eq!(
        problem(|toc, _| toc.entries[7].dependencies = vec![4, 7]),
        "entry 9 INDEX app.item_id needs all rows of a table but does not wait for entry 8"
    );
    // A table in one piece is as pg_dump has it.
    let (mut toc, mut files) = sample();
    toc.entries.remove(5);
    files.remove(2);
    toc.entries[4].dependencies.push(4);
    toc.entries[6].dependencies = vec![4];
    assert_eq!(check(&toc, &files), []);
}

#[test]
fn damaged_lists_of_large_objects_are_named() {
    let (toc, files) = sample();
    let mut check = Check::new(&toc, &files);
    check.large_objects("blobs.toc", b"42 blob_42.dat\nx\n");
    let problems = check.finish();
    assert_eq!(problems, [Problem::ListDamaged { list: "blobs.toc".into(), line: 2 }]);

    let mut check = Check::new(&toc, &files);
    check.large_objects("blobs.toc", b"42 blob_42.dat\n43 blob_42.dat\n");
    assert_eq!(
        check.finish()[0].to_string(),
        "large object 43 names file \"blob_42.dat\", which belongs to another entry"
    );
}

#[test]
fn since_1_16_each_entry_has_its_own_list() {
    let (mut toc, mut files) = sample();
    toc.header.version = Version::V1_16;
    toc.entries[6].file_name = Some("blobs_5.toc".into());
    files[3].name = "blobs_5.toc".into();
    let check = Check::new(&toc, &files);
    assert_eq!(check.large_object_lists(), ["blobs_5.toc"]);
}
