//! Stored objects that are not what they were: found by name, and never restored.

mod stage;

use std::fs;
use std::path::Path;

use stage::Stage;

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_byte_flipped_in_any_object_is_found_and_named() {
    let stage = Stage::new();
    let id = stage.export(&[]);
    let objects = stage.objects(&format!("exports/{id}"));
    assert!(objects.len() >= 4, "{objects:?}");
    for path in objects {
        let size = path.metadata().unwrap().len() as usize;
        for at in [0, size / 3, size / 2, size - 1] {
            change(&path, |bytes| bytes[at] ^= 0x10);
            let ran = stage.run(&["verify", &id]);
            assert_eq!(ran.code, Some(4), "byte {at} of {}: {ran:?}", path.display());
            let key = path.strip_prefix(stage.store()).unwrap().to_str().unwrap();
            assert!(ran.stdout.contains(key), "{ran:?}");
            change(&path, |bytes| bytes[at] ^= 0x10);
        }
    }
    stage.json(&["verify", &id]);
}

#[test]
fn a_damaged_data_file_is_named_and_stops_a_restore() {
    let stage = Stage::new();
    let id = stage.export(&[]);
    let mut files = stage.objects(&format!("exports/{id}"));
    files.sort_by_key(|path| path.metadata().unwrap().len());
    let largest = files.pop().unwrap();
    for (number, way) in ["flipped", "truncated", "missing"].into_iter().enumerate() {
        let whole = fs::read(&largest).unwrap();
        match way {
            "flipped" => change(&largest, |bytes| bytes[whole.len() / 2] ^= 1),
            "truncated" => change(&largest, |bytes| bytes.truncate(whole.len() / 2)),
            _ => fs::remove_file(&largest).unwrap(),
        }
        let verified = stage.run(&["verify", &id]);
        assert_eq!(verified.code, Some(4), "{way}: {verified:?}");
        let key = largest.strip_prefix(stage.store()).unwrap().to_str().unwrap();
        assert!(verified.stdout.contains(key), "{way}: {verified:?}");
        let copy = stage.url(&format!("copy{number}"));
        let ran = stage.run(&["restore", &id, "--into", &copy, "--create"]);
        let name = largest.file_name().unwrap().to_str().unwrap();
        ran.assert_fails(4, &[name, "hint: "]);
        fs::write(&largest, whole).unwrap();
    }
    stage.json(&["restore", &id, "--into", &stage.url("whole"), "--create"]);
}

#[test]
fn a_damaged_table_of_contents_stops_a_restore_before_it_begins() {
    let stage = Stage::new();
    let id = stage.export(&[]);
    let toc = stage.store().join(format!("exports/{id}/shop/toc.dat"));
    change(&toc, |bytes| bytes[100] ^= 1);
    let ran = stage.run(&["restore", &id, "--into", &stage.url("copy"), "--create"]);
    ran.assert_fails(4, &["toc.dat", "hint: "]);
    let databases =
        stage.stock("psql", &["-d", "postgres", "-Atc", "SELECT datname FROM pg_database"]);
    assert!(!databases.lines().any(|name| name == "copy"));
}

#[test]
fn a_damaged_manifest_is_named_and_hides_no_other_backup() {
    let stage = Stage::new();
    let first = stage.export(&["--keep-last", "9"]);
    let second = stage.export(&["--keep-last", "9"]);
    let manifest = stage.store().join(format!("manifests/exports/{first}.json"));
    change(&manifest, |bytes| bytes[30] ^= 1);
    let list = stage.run(&["list", "--json"]);
    assert_eq!(list.code, Some(4), "{list:?}");
    assert!(list.stdout.contains(&second));
    assert!(list.stderr.contains(&first));
    stage.run(&["show", &first]).assert_fails(4, &[&first, "hint: "]);
    // Nobody knows what it needs, so nothing goes.
    let third = stage.run(&["now", "export", "-d", "shop", "--keep-last", "1", "--json"]);
    assert_eq!(third.code, Some(3), "{third:?}");
    assert!(third.stderr.contains("nothing is removed"), "{third:?}");
    let pruned: serde_json::Value = serde_json::from_str(&third.stdout).unwrap();
    assert_eq!(pruned["pruned"]["unreadable"].as_array().map(Vec::len), Some(1), "{pruned:#}");
    assert_eq!(stage.objects("manifests").len(), 3);
    let prune = stage.run(&["prune", "--apply", "--keep-last", "1"]);
    assert_eq!(prune.code, Some(4));
    assert_eq!(stage.objects("manifests").len(), 3);
}

#[test]
fn a_whole_backup_is_not_removed_in_favour_of_a_damaged_one() {
    let stage = Stage::new();
    let whole = stage.export(&["--no-prune"]);
    let newest = stage.export(&["--no-prune"]);
    let mut files = stage.objects(&format!("exports/{newest}"));
    files.sort_by_key(|path| path.metadata().unwrap().len());
    let largest = files.pop().unwrap();
    let content = fs::read(&largest).unwrap();
    fs::remove_file(&largest).unwrap();
    let prune = ["prune", "--apply", "--keep-last", "1", "--json"];
    let ran = stage.run(&prune);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let name = largest.file_name().unwrap().to_str().unwrap();
    assert!(ran.stderr.contains(name) && ran.stderr.contains(&newest), "{ran:?}");
    assert_eq!(stage.ids(), [whole, newest.clone()]);
    // What the damaged one lacks is back: now the other may go.
    fs::write(&largest, content).unwrap();
    assert_eq!(stage.run(&prune).code, Some(0));
    assert_eq!(stage.ids(), [newest]);
}
