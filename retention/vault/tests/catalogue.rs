//! Publishing, finding, removing and sweeping backups.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use vault::faults::{Call, Fault, Faults};
use vault::lease::{self, Guard, Holder, Timing};
use vault::manifest::{Database, FORMAT_VERSION, Kind, MAX_BYTES, Manifest, Object, Selection};
use vault::{Catalogue, Error, Key, MemoryStore, PutMode, Store, StoreErrorKind, hex};

struct Fixture {
    memory: MemoryStore,
    faults: Faults,
    catalogue: Catalogue,
    lease: Guard,
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn start() -> DateTime<Utc> {
    "2026-11-23T02:00:00Z".parse().unwrap()
}

async fn take_lease(store: Arc<dyn Store>, holder: Holder) -> Result<Guard, Error> {
    lease::acquire(store, "export", holder, Timing::default(), &CancellationToken::new()).await
}

async fn fixture() -> Fixture {
    let memory = MemoryStore::new();
    let lease = take_lease(Arc::new(memory.clone()), Holder::this_process()).await.unwrap();
    let faults = Faults::new(Arc::new(memory.clone()));
    let catalogue = Catalogue::new(Arc::new(faults.clone()));
    Fixture { memory, faults, catalogue, lease }
}

/// A backup of one small database, `files` beside its table of contents.
fn manifest(id: &str, shared: &[&str]) -> Manifest {
    let location = format!("exports/{id}/app/");
    let keys = [format!("{location}1.dat"), format!("{location}toc.dat")];
    let mut objects: Vec<_> = keys
        .iter()
        .map(String::as_str)
        .chain(shared.iter().copied())
        .map(|name| Object {
            key: key(name),
            size: 4,
            sha256: hex::encode(&Sha256::digest("data")),
        })
        .collect();
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    Manifest {
        format_version: FORMAT_VERSION,
        id: id.into(),
        kind: Kind::Export,
        group: "g".into(),
        program_version: "0".into(),
        host: "h".into(),
        selection: Selection::default(),
        started: start(),
        finished: start(),
        failed: vec![],
        databases: vec![Database {
            name: "app".into(),
            format: "directory".into(),
            compression: "none".into(),
            location,
            server_version: "17.2".into(),
            server_version_num: 170_002,
            system_identifier: None,
            encoding: "UTF8".into(),
            snapshot_time: start(),
            snapshot_lsn: "0/0".into(),
            object_counts: Default::default(),
            tables: vec![],
            large_objects: 0,
            data_bytes: 0,
            left_out: vec![],
        }],
        snapshot_skew_ms: 0,
        objects,
    }
}

impl Fixture {
    async fn store_objects(&self, manifest: &Manifest) {
        for object in &manifest.objects {
            self.memory.put(&object.key, "data".into(), PutMode::Overwrite).await.unwrap();
        }
    }

    async fn publish(&self, id: &str, shared: &[&str]) -> Manifest {
        let manifest = manifest(id, shared);
        self.store_objects(&manifest).await;
        self.catalogue.publish(&manifest, &self.lease).await.unwrap();
        manifest
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.memory.list(prefix).await.unwrap();
        listed.into_iter().map(|info| info.key.to_string()).collect()
    }
}

const A: &str = "20261121T020000Z-aaaaaa";
const B: &str = "20261122T020000Z-bbbbbb";
const C: &str = "20261123T020000Z-cccccc";

#[tokio::test]
async fn a_published_backup_is_found_again() {
    let at = fixture().await;
    let published = at.publish(A, &[]).await;
    assert_eq!(at.catalogue.ids().await.unwrap(), [A]);
    for wanted in [A, "20261121", "2", "latest"] {
        assert_eq!(at.catalogue.load(wanted).await.unwrap(), published, "{wanted}");
    }
    let listing = at.catalogue.all().await.unwrap();
    assert_eq!(listing.manifests, [published]);
    assert!(listing.damaged.is_empty());
}

#[tokio::test]
async fn what_cannot_be_found_is_said_to_be_so() {
    let at = fixture().await;
    let none = at.catalogue.load("latest").await.unwrap_err();
    assert!(matches!(none, Error::NoBackup { .. }) && none.hint().is_some(), "{none}");
    at.publish(A, &[]).await;
    at.publish(B, &[]).await;
    let both = at.catalogue.load("202611").await.unwrap_err();
    assert_eq!(both.to_string(), format!("\"202611\" fits 2 backups: {A}, {B}"));
    for unknown in ["", "2027", "exports", "../x"] {
        let error = at.catalogue.load(unknown).await.unwrap_err();
        assert!(
            matches!(error, Error::UnknownBackup { .. } | Error::AmbiguousBackup { .. }),
            "{error}"
        );
    }
    assert_eq!(at.catalogue.load("latest").await.unwrap().id, B);
}

#[tokio::test]
async fn an_identity_is_published_once() {
    let at = fixture().await;
    let first = at.publish(A, &[]).await;
    let mut second = first.clone();
    second.host = "another".into();
    let error = at.catalogue.publish(&second, &at.lease).await.unwrap_err();
    assert!(
        matches!(&error, Error::Store(e) if e.kind == StoreErrorKind::AlreadyExists),
        "{error}"
    );
    assert_eq!(at.catalogue.load(A).await.unwrap(), first);
}

#[tokio::test]
async fn a_manifest_that_was_not_stored_whole_is_no_backup() {
    let at = fixture().await;
    let manifest = manifest(A, &[]);
    at.faults.on(Call::Read, 1..=1, Fault::Cut(100));
    at.catalogue.publish(&manifest, &at.lease).await.unwrap_err();
    assert!(at.keys("manifests/").await.is_empty());
    at.faults.on(Call::Put, 2..=2, Fault::FailAfter(StoreErrorKind::Unavailable));
    at.catalogue.publish(&manifest, &at.lease).await.unwrap_err();
    assert!(at.keys("manifests/").await.is_empty());
}

#[tokio::test]
async fn a_failed_run_takes_its_objects_along_but_never_those_of_a_listed_backup() {
    let at = fixture().await;
    at.publish(B, &[]).await;
    at.store_objects(&manifest(A, &[])).await;
    at.catalogue.discard(A, &at.lease).await.unwrap();
    assert_eq!(at.keys("exports/").await.len(), 2);

    // The answer to the manifest was lost, and so was its removal: the backup is listed.
    let whole = manifest(A, &[]);
    at.store_objects(&whole).await;
    at.faults.on(Call::Put, 2..=2, Fault::FailAfter(StoreErrorKind::Unavailable));
    let deletions = at.faults.made(Call::Delete) + 1;
    let fails = Fault::Fail(StoreErrorKind::Unavailable);
    at.faults.on(Call::Delete, deletions..=deletions, fails);
    at.catalogue.publish(&whole, &at.lease).await.unwrap_err();
    assert_eq!(at.catalogue.ids().await.unwrap(), [A, B]);
    at.catalogue.discard(A, &at.lease).await.unwrap();
    for object in &whole.objects {
        at.memory.head(&object.key).await.unwrap();
    }
}

#[tokio::test]
async fn a_run_that_lost_its_lease_publishes_nothing() {
    let at = fixture().await;
    let me = Holder::this_process();
    // The record of our lease, seen by a later holder as a dead process's.
    let dead = Holder { process_start: Some(1), ..me.clone() };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = take_lease(store.clone(), dead).await.unwrap();
    let second = take_lease(store.clone(), me).await.unwrap();
    let catalogue = Catalogue::new(store.clone());
    let error = catalogue.publish(&manifest(A, &[]), &first).await.unwrap_err();
    assert!(matches!(error, Error::LeaseLost { .. }), "{error}");
    assert!(first.lost().is_cancelled());
    assert!(store.list("manifests/").await.unwrap().is_empty());
    catalogue.publish(&manifest(A, &[]), &second).await.unwrap();
    let error = catalogue.remove(&[A.into()], &first).await.unwrap_err();
    assert!(matches!(error, Error::LeaseLost { .. }), "{error}");
    assert_eq!(catalogue.ids().await.unwrap(), [A]);
    drop(at);
}

#[tokio::test]
async fn a_damaged_manifest_hides_no_other() {
    let at = fixture().await;
    for id in [A, B, C] {
        at.publish(id, &[]).await;
    }
    at.memory.tamper(&Manifest::key(B).unwrap(), |bytes| bytes[200] ^= 1);
    let listing = at.catalogue.all().await.unwrap();
    let ids: Vec<_> = listing.manifests.iter().map(|manifest| manifest.id.as_str()).collect();
    assert_eq!(ids, [A, C]);
    assert_eq!(listing.damaged.len(), 1);
    assert_eq!(listing.damaged[0].key, Manifest::key(B).unwrap());
    assert!(listing.damaged[0].error.to_string().contains(B));
    assert_eq!(at.catalogue.ids().await.unwrap(), [A, B, C]);
    at.catalogue.load(B).await.unwrap_err();
}

#[tokio::test]
async fn a_manifest_that_is_too_large_hides_no_other() {
    let at = fixture().await;
    for id in [A, B, C] {
        at.publish(id, &[]).await;
    }
    let large = Manifest::key(B).unwrap();
    at.memory.tamper(&large, |bytes| bytes.resize(MAX_BYTES + 1, 0));
    let listing = at.catalogue.all().await.unwrap();
    let ids: Vec<_> = listing.manifests.iter().map(|manifest| manifest.id.as_str()).collect();
    assert_eq!(ids, [A, C]);
    let [damaged] = &listing.damaged[..] else { panic!("{listing:?}") };
    assert_eq!(damaged.key, large);
    assert!(matches!(damaged.error, Error::Manifest { .. }), "{:?}", damaged.error);
    assert!(damaged.error.hint().is_some());
    // What it needs is unknown, so nothing is removed.
    let error = at.catalogue.remove(&[A.into()], &at.lease).await.unwrap_err();
    assert!(matches!(error, Error::NeedUnknown { .. }), "{error}");
}

#[tokio::test]
async fn the_latest_is_never_replaced_by_an_older_one() {
    let at = fixture().await;
    at.publish(A, &[]).await;
    at.publish(B, &[]).await;
    at.memory.tamper(&Manifest::key(B).unwrap(), |bytes| bytes.truncate(10));
    assert!(matches!(at.catalogue.load("latest").await, Err(Error::Manifest { .. })));
}

#[tokio::test]
async fn a_manifest_under_anothers_name_is_damaged() {
    let at = fixture().await;
    let document = at.publish(A, &[]).await.encode().unwrap();
    for name in [format!("manifests/exports/{B}.json"), "manifests/exports/copy.json".into()] {
        at.memory.put(&key(&name), document.clone().into(), PutMode::Overwrite).await.unwrap();
    }
    let listing = at.catalogue.all().await.unwrap();
    assert_eq!((listing.manifests.len(), listing.damaged.len()), (1, 2));
}

#[tokio::test]
async fn removing_takes_the_manifest_first_and_shared_objects_never() {
    let at = fixture().await;
    let shared = format!("exports/{A}/app/1.dat");
    at.publish(A, &[]).await;
    at.publish(B, &[&shared]).await;
    at.publish(C, &[]).await;

    at.faults.on(Call::Delete, 2..=2, Fault::Fail(StoreErrorKind::Denied));
    at.catalogue.remove(&[A.into()], &at.lease).await.unwrap_err();
    assert_eq!(at.catalogue.ids().await.unwrap(), [B, C], "the manifest is gone first");
    assert_eq!(at.keys(&format!("exports/{A}/")).await.len(), 2, "its objects are still there");

    let removed = at.catalogue.remove(&[C.into()], &at.lease).await.unwrap();
    assert_eq!((removed.ids, removed.objects, removed.bytes), (vec![C.to_owned()], 2, 8));
    assert!(at.keys(&format!("exports/{C}/")).await.is_empty());

    // What the failed removal left is swept, but not what B shares.
    let later = Utc::now() + TimeDelta::hours(1);
    let swept = at.catalogue.sweep(TimeDelta::minutes(1), later, &at.lease).await.unwrap();
    assert_eq!((swept.objects, swept.bytes), (1, 4));
    assert_eq!(at.keys(&format!("exports/{A}/")).await, [shared]);
    let removed = at.catalogue.remove(&[B.into()], &at.lease).await.unwrap();
    assert_eq!(removed.objects, 3);
    assert!(at.keys("exports/").await.is_empty());
}

#[tokio::test]
async fn several_are_removed_together_with_what_they_share() {
    let at = fixture().await;
    let shared = format!("exports/{A}/app/1.dat");
    at.publish(A, &[]).await;
    at.publish(B, &[&shared]).await;
    let ids = [B.to_owned(), A.to_owned()];
    assert_eq!(at.catalogue.remove(&ids, &at.lease).await.unwrap().objects, 4);
    assert!(at.keys("exports/").await.is_empty() && at.keys("manifests/").await.is_empty());
    let error = at.catalogue.remove(&ids, &at.lease).await.unwrap_err();
    assert!(matches!(error, Error::UnknownBackup { .. }), "{error}");
}

#[tokio::test]
async fn nothing_is_removed_while_a_manifest_is_unreadable() {
    let at = fixture().await;
    at.publish(A, &[]).await;
    at.publish(B, &[]).await;
    at.memory.tamper(&Manifest::key(B).unwrap(), |bytes| bytes[50] ^= 0x20);
    let later = Utc::now() + TimeDelta::hours(1);
    let errors = [
        at.catalogue.remove(&[A.into()], &at.lease).await.unwrap_err(),
        at.catalogue.sweep(TimeDelta::zero(), later, &at.lease).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::NeedUnknown { .. }), "{error}");
        assert!(error.to_string().contains(B), "{error}");
        assert!(error.hint().is_some());
    }
    assert_eq!(at.keys("exports/").await.len(), 4);

    at.catalogue.remove_unreadable(B, &at.lease).await.unwrap();
    let swept = at.catalogue.sweep(TimeDelta::zero(), later, &at.lease).await.unwrap();
    assert_eq!(swept.objects, 2);
    assert_eq!(at.catalogue.ids().await.unwrap(), [A]);
}

#[tokio::test]
async fn fresh_objects_without_a_manifest_are_a_live_runs() {
    let at = fixture().await;
    at.publish(A, &[]).await;
    at.store_objects(&manifest(B, &[])).await;
    let now = Utc::now();
    let grace = TimeDelta::hours(24);
    assert!(at.catalogue.orphans(grace, now).await.unwrap().is_empty());
    let orphans = at.catalogue.orphans(grace, now + TimeDelta::hours(25)).await.unwrap();
    let keys: Vec<_> = orphans.iter().map(|info| info.key.to_string()).collect();
    assert_eq!(keys, [format!("exports/{B}/app/1.dat"), format!("exports/{B}/app/toc.dat")]);
}

#[tokio::test]
async fn a_store_that_was_put_below_the_exports_of_another_is_not_swept() {
    let at = fixture().await;
    let nested = [
        "exports/exports/20261121T020000Z-aaaaaa/app/toc.dat".to_owned(),
        "exports/manifests/exports/20261121T020000Z-aaaaaa.json".to_owned(),
        "exports/readme".to_owned(),
    ];
    for name in &nested {
        at.memory.put(&key(name), "theirs".into(), PutMode::IfAbsent).await.unwrap();
    }
    at.store_objects(&manifest(B, &[])).await;
    let later = Utc::now() + TimeDelta::hours(2);
    let swept = at.catalogue.sweep(TimeDelta::hours(1), later, &at.lease).await.unwrap();
    assert_eq!(swept.objects, 2);
    assert_eq!(at.keys("exports/").await, nested);
}

#[tokio::test]
async fn a_sweep_gives_up_uploads_of_dead_runs() {
    let at = fixture().await;
    std::mem::forget(at.memory.begin(&key("exports/x/y")).await.unwrap());
    let grace = TimeDelta::hours(1);
    assert_eq!(at.catalogue.sweep(grace, Utc::now(), &at.lease).await.unwrap().uploads, 0);
    let later = Utc::now() + TimeDelta::hours(2);
    assert_eq!(at.catalogue.sweep(grace, later, &at.lease).await.unwrap().uploads, 1);
}
