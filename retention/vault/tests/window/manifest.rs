//! The manifest's format: what is written, and what is refused.

use std::path::Path;

use chrono::TimeDelta;
use sha2::{Digest, Sha256};
use vault::manifest::ManifestError;
use vault::window::{Window, WindowId};
use vault::{Key, hex};

use crate::fixture::{empty_window, gone, joined, key, window, window_of};

/// Every field in use.
fn sample() -> Window {
    let (a, b) = (window_of("default", 3, 0xa), window_of("default", 5, 0xb));
    let mut sample = joined(&a, &b, 0xabcd_ef01);
    sample.filter = "WorkflowType = 'Merge'".into();
    sample.vanished = vec![gone("r1", "2026-11-23T03:30:00.5Z")];
    sample
}

fn document(manifest: &str) -> Vec<u8> {
    let digest = hex::encode(&Sha256::digest(manifest));
    format!("{{\"manifest\":{manifest},\"sha256\":\"{digest}\"}}\n").into_bytes()
}

fn json(window: &Window) -> String {
    serde_json::to_string(window).unwrap()
}

#[test]
fn version_1_is_written_and_read_as_the_golden_file_has_it() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/window-v1.json");
    let stored = std::fs::read(&golden).unwrap();
    assert_eq!(
        String::from_utf8(sample().encode().unwrap()).unwrap(),
        String::from_utf8_lossy(&stored)
    );
    assert_eq!(Window::decode(&stored).unwrap(), sample());
}

#[test]
fn a_flip_of_any_bit_of_any_byte_is_noticed() {
    let stored = sample().encode().unwrap();
    for at in 0..stored.len() {
        for bit in 0..8 {
            let mut flipped = stored.clone();
            flipped[at] ^= 1 << bit;
            let error = Window::decode(&flipped).expect_err("a flipped bit");
            assert!(matches!(error, ManifestError::Damaged { .. }), "byte {at} bit {bit}: {error}");
        }
        assert!(Window::decode(&stored[..at]).is_err(), "{at} bytes");
    }
}

#[test]
fn what_is_changed_below_the_digest_is_refused_or_is_another_window() {
    let stored = json(&sample());
    let mut accepted = 0;
    for at in 0..stored.len() {
        for bit in 0..7 {
            let mut flipped = stored.clone().into_bytes();
            flipped[at] ^= 1 << bit;
            let Ok(flipped) = String::from_utf8(flipped) else { continue };
            if let Ok(window) = Window::decode(&document(&flipped)) {
                accepted += 1;
                assert_ne!(window, sample(), "two documents mean the same");
                assert_eq!(json(&window), flipped);
            }
        }
    }
    assert!(accepted > 100, "{accepted}");
}

#[test]
fn a_newer_version_is_refused_by_number() {
    let newer =
        json(&sample()).replacen("\"formatVersion\":1", "\"formatVersion\":3,\"new\":[]", 1);
    let error = Window::decode(&document(&newer)).unwrap_err();
    assert!(matches!(error, ManifestError::Newer { found: 3, supported: 1 }), "{error}");
    assert!(error.hint().is_some());
    let zero = json(&sample()).replacen("\"formatVersion\":1", "\"formatVersion\":0", 1);
    assert!(Window::decode(&document(&zero)).is_err());
}

#[test]
fn a_backups_manifest_is_no_windows() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/manifest-v1.json");
    let error = Window::decode(&std::fs::read(golden).unwrap()).unwrap_err();
    assert!(matches!(error, ManifestError::Malformed { version: 1, .. }), "{error}");
}

#[test]
fn unknown_fields_and_other_spellings_are_refused() {
    let proper = json(&sample());
    let wrong = [
        proper.replacen("\"filter\":", "\"colour\":\"red\",\"filter\":", 1),
        proper.replacen("\"host\":", "\"host\": ", 1),
        proper.replacen("03:30:00.500Z", "03:30:00.5Z", 1),
        proper.replacen("\"filter\":\"WorkflowType = 'Merge'\",", "", 1),
        proper.replacen("\"runs\":20", "\"runs\":2e1", 1),
        "{}".into(),
        "[".repeat(100_000),
    ];
    for manifest in wrong {
        assert_ne!(manifest, proper);
        assert!(Window::decode(&document(&manifest)).is_err(), "{manifest:.300}");
    }
}

#[test]
fn a_window_that_contradicts_itself_is_neither_written_nor_read() {
    let mut wrong: Vec<(&str, Window)> = Vec::new();
    let mut add = |name, change: fn(&mut Window)| {
        let mut window = sample();
        change(&mut window);
        wrong.push((name, window));
    };
    add("version", |w| w.format_version = 0);
    add("namespace", |w| w.namespace.id.clear());
    add("time", |w| w.finished = w.started - TimeDelta::seconds(1));
    add("covers nothing", |w| w.covers.clear());
    add("covers backwards", |w| w.covers[0].to = w.covers[0].from);
    add("covers out of order", |w| w.covers.swap(0, 1));
    add("covers that touch", |w| w.covers[1].from = w.covers[0].to);
    add("covers of nanoseconds", |w| w.covers[0].from += TimeDelta::nanoseconds(1));
    add("replaces itself", |w| w.replaces.push(w.id.clone()));
    add("replaces twice", |w| w.replaces.push(w.replaces[0].clone()));
    add("runs", |w| w.runs += 1);
    add("runs beyond counting", |w| {
        w.segments.push(w.segments[0].clone());
        w.segments[1].runs = u64::MAX;
    });
    add("statuses", |w| _ = w.statuses.insert("Failed".into(), 1));
    add("statuses of none", |w| _ = w.statuses.insert("Failed".into(), 0));
    add("no day", |w| w.day = None);
    add("another day", |w| w.day = w.day.unwrap().succ_opt());
    add("no segment", |w| w.segments.clear());
    add("closes after its identity", |w| w.segments[0].last_close += TimeDelta::seconds(1));
    add("closes before its identity", |w| w.segments[0].first_close -= TimeDelta::seconds(1));
    add("closes backwards", |w| {
        w.segments[0].first_close = w.segments[0].last_close + TimeDelta::microseconds(1)
    });
    add("segment twice", |w| {
        let (mut a, mut b) = (w.segments[0].clone(), w.segments[0].clone());
        (a.runs, b.runs) = (10, 10);
        w.segments = vec![a, b];
    });
    add("digest", |w| w.segments[0].data.sha256 = "AB".repeat(32));
    add("index digest", |w| w.segments[0].index.sha256.truncate(63));
    add("filter", |w| w.segments[0].bloom = "B/89fg".into());
    add("no filter", |w| w.segments[0].bloom.clear());
    add("elsewhere", |w| w.segments[0].data.key = key("exports/x/a.jsonl.zst"));
    add("another namespace's", |w| {
        w.segments[0].data.key = key("histories/other/2026-11-23/x-00.jsonl.zst");
        w.segments[0].index.key = key("histories/other/2026-11-23/x-00.index.jsonl.zst");
    });
    add("no pair", |w| {
        w.segments[0].index.key = key("histories/default/2026-11-23/y.index.jsonl.zst")
    });
    add("gone twice", |w| w.vanished.push(w.vanished[0].clone()));
    for (name, window) in wrong {
        assert!(window.encode().is_err(), "{name} is written");
        assert!(Window::decode(&document(&json(&window))).is_err(), "{name} is read");
    }
    assert!(empty_window(4, 1).encode().is_ok());
    assert!(window(4, 1).encode().is_ok());
}

#[test]
fn a_manifests_key_tells_between_which_closes_its_runs_lie() {
    let key = Window::key("a b/ä", &window(3, 0xff).id).unwrap();
    assert_eq!(
        key.as_str(),
        "manifests/histories/a=20b=2F=C3=A4/\
         20261123T031000000001Z-20261123T035000000000Z-000000ff.json"
    );
    assert!(Window::key(&"ä".repeat(70), &window(3, 0).id).is_err());
    assert!(Key::new("manifests/histories/x").is_ok());
    let id: WindowId = "20261123T031000000001Z-20261123T035000000000Z-000000ff".parse().unwrap();
    assert_eq!(id.closes(), window(3, 0xff).id.closes());
}

#[test]
fn sums_cover_all_objects() {
    let window = sample();
    assert_eq!(window.objects().count(), 2);
    assert_eq!(window.stored_bytes(), window.objects().map(|object| object.size).sum::<u64>());
}

#[test]
fn manifests_written_after_the_description_by_other_code_are_read() {
    let store = tempfile::tempdir().unwrap();
    harness::history_fixture::Histories::new(1_000, 4).write(store.path()).unwrap();
    let folder = store.path().join("manifests/histories/default");
    let mut runs = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let window = Window::decode(&std::fs::read(&path).unwrap()).unwrap();
        assert!(path.ends_with(Window::key("default", &window.id).unwrap().as_str()));
        for object in window.objects() {
            let content = std::fs::read(store.path().join(object.key.as_str())).unwrap();
            assert_eq!(hex::encode(&Sha256::digest(content)), object.sha256);
        }
        runs += window.runs;
    }
    assert_eq!(runs, 1_000);
}
