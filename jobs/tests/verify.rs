//! Whatever happens to a stored object, `verify` names it.

mod fixture;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use fixture::{World, manifest, part_done};
use jobs::verify::{Verified, Verify, Which};
use jobs::{Error, Verdict};
use vault::faults::{Call, Fault, Faults};
use vault::manifest::Manifest;
use vault::{
    ByteStream, Capabilities, Key, ObjectInfo, PutMode, Store, StoreError, StoreErrorKind, Upload,
};

async fn verify(world: &World, which: Which) -> Result<Verified, Error> {
    jobs::run(&Verify { which, jobs: 2 }, &world.context).await.result
}

/// The damage of the only backup, and that it is judged as damage.
async fn damage(world: &World) -> Vec<(String, String)> {
    let outcome = jobs::run(&Verify { which: Which::All, jobs: 2 }, &world.context).await;
    let verdict = outcome.verdict();
    let verified = outcome.result.unwrap();
    let all = verified.backups.iter().flat_map(|backup| &backup.damage).chain(&verified.unreadable);
    let all: Vec<_> = all.map(|damage| (damage.key.to_string(), damage.what.clone())).collect();
    assert_eq!(verdict == Verdict::Damaged, !all.is_empty());
    all
}

fn key(manifest: &Manifest, file: &str) -> Key {
    Key::new(format!("{}{file}", manifest.databases[0].location)).unwrap()
}

#[tokio::test]
async fn a_sound_backup_is_good_and_its_rows_are_counted() {
    let world = World::new();
    world.backup("2027-01-09T02:00:00Z", 101).await;
    let verified = verify(&world, Which::Newest).await.unwrap();
    let backup = &verified.backups[0];
    assert!(backup.good, "{:?}", backup.damage);
    assert_eq!((backup.rows, backup.objects), (202, 6));
}

#[tokio::test]
async fn any_byte_flipped_names_its_object() {
    let world = World::new();
    let manifest = world.backup("2027-01-09T02:00:00Z", 3).await;
    for object in &manifest.objects {
        for at in 0..object.size as usize {
            assert!(world.memory.tamper(&object.key, |bytes| bytes[at] ^= 0x20));
            let found = damage(&world).await;
            assert!(!found.is_empty(), "byte {at} of {}", object.key);
            assert!(found.iter().any(|(key, _)| *key == object.key.to_string()), "{found:?}");
            assert!(found.iter().all(|(key, _)| *key == object.key.to_string()), "{found:?}");
            world.memory.tamper(&object.key, |bytes| bytes[at] ^= 0x20);
        }
    }
    assert!(damage(&world).await.is_empty());
}

#[tokio::test]
async fn any_byte_of_the_manifest_flipped_makes_it_unreadable() {
    let world = World::new();
    let manifest = world.backup("2027-01-09T02:00:00Z", 1).await;
    let key = Manifest::key(&manifest.id).unwrap();
    let size = world.memory.head(&key).await.unwrap().size as usize;
    for at in 0..size {
        world.memory.tamper(&key, |bytes| bytes[at] ^= 1);
        let found = damage(&world).await;
        assert_eq!(found.len(), 1, "byte {at}: {found:?}");
        assert_eq!(found[0].0, key.to_string());
        world.memory.tamper(&key, |bytes| bytes[at] ^= 1);
    }
}

#[tokio::test]
async fn truncated_extended_and_missing_objects_are_told_apart() {
    let world = World::new();
    let manifest = world.backup("2027-01-09T02:00:00Z", 50).await;
    let (cut, long, gone) =
        (key(&manifest, "11.dat.gz"), key(&manifest, "21.dat.zst"), key(&manifest, "22.dat.zst"));
    world.memory.tamper(&cut, |bytes| bytes.truncate(bytes.len() - 5));
    world.memory.tamper(&long, |bytes| bytes.push(0));
    world.memory.delete(std::slice::from_ref(&gone)).await.unwrap();
    let found = damage(&world).await;
    let of = |key: &Key| found.iter().find(|(k, _)| *k == key.to_string()).unwrap().1.clone();
    assert!(of(&cut).starts_with("has "), "{}", of(&cut));
    assert!(of(&long).starts_with("has more than its "), "{}", of(&long));
    assert_eq!(of(&gone), "is missing");
    assert_eq!(found.len(), 3);
}

#[tokio::test]
async fn two_objects_swapped_are_both_named() {
    let world = World::new();
    let manifest = world.backup("2027-01-09T02:00:00Z", 50).await;
    let (one, other) = (key(&manifest, "21.dat.zst"), key(&manifest, "11.dat.gz"));
    let mut first = Vec::new();
    world.memory.tamper(&one, |bytes| first = bytes.clone());
    world.memory.tamper(&other, |bytes| std::mem::swap(bytes, &mut first));
    world.memory.tamper(&one, |bytes| std::mem::swap(bytes, &mut first));
    assert_eq!(damage(&world).await.len(), 2);
}

#[tokio::test]
async fn rows_other_than_the_manifest_says_are_damage() {
    let world = World::new();
    let mut made = manifest(&world.memory, "2027-01-09T02:00:00Z", "g", 50).await;
    let table = &mut made.databases[0].tables[0];
    table.rows = 51;
    table.chunks[0].rows = 51;
    world.publish(made).await;
    let found = damage(&world).await;
    assert_eq!(found[0].1, "holds 50 rows where the manifest has 51");
}

#[tokio::test]
async fn a_file_that_the_archive_does_not_know_is_named() {
    let world = World::new();
    let mut made = manifest(&world.memory, "2027-01-09T02:00:00Z", "g", 5).await;
    let mut stray = made.objects[0].clone();
    let location = made.databases[0].location.clone();
    let text = world.memory.read(&stray.key, None).await.unwrap();
    let content: Vec<_> = futures::TryStreamExt::try_collect(text).await.unwrap();
    stray.key = Key::new(format!("{location}99.dat.gz")).unwrap();
    world.memory.put(&stray.key, content.concat().into(), vault::PutMode::Overwrite).await.unwrap();
    made.objects.push(stray);
    made.objects.sort_by(|a, b| a.key.cmp(&b.key));
    world.publish(made).await;
    let found = damage(&world).await;
    assert_eq!(found.len(), 1);
    assert!(found[0].1.contains("99.dat.gz"), "{found:?}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_no_damage() {
    let world = World::new();
    world.backup("2027-01-09T02:00:00Z", 5).await;
    let faults = Faults::new(world.memory.clone());
    let context = world.through(Arc::new(faults.clone()));
    // The manifest reads, the objects do not.
    faults.on(Call::Read, 2..=u64::MAX, Fault::Fail(StoreErrorKind::Unavailable));
    let job = Verify { which: Which::Named(vec!["latest".into()]), jobs: 2 };
    let outcome = jobs::run(&job, &context).await;
    assert_eq!(outcome.verdict(), Verdict::Failed);
}

#[tokio::test]
async fn without_words_the_newest_of_each_group_is_verified() {
    let world = World::new();
    world.backup("2027-01-08T02:00:00Z", 5).await;
    let newest = world.backup("2027-01-09T02:00:00Z", 5).await;
    let other = manifest(&world.memory, "2027-01-07T02:00:00Z", "other", 5).await;
    let other = world.publish(part_done(other)).await;
    let verified = verify(&world, Which::Newest).await.unwrap();
    let ids: Vec<_> = verified.backups.iter().map(|backup| backup.id.as_str()).collect();
    assert_eq!(ids, [other.id, newest.id]);
}

#[tokio::test]
async fn an_empty_store_is_not_verified_as_good() {
    let error = verify(&World::new(), Which::All).await.unwrap_err();
    assert!(error.to_string().starts_with("there is no backup in"), "{error}");
    assert_eq!(error.verdict(), Verdict::Failed);
}

#[tokio::test]
async fn a_request_to_stop_ends_verification() {
    let world = World::new();
    world.backup("2027-01-09T02:00:00Z", 5).await;
    world.context.cancel.cancel();
    assert!(matches!(verify(&world, Which::All).await, Err(Error::Cancelled)));
}

/// Removes a backup as retention does, when the first of its objects is read.
#[derive(Debug)]
struct Pruning {
    inner: Arc<vault::MemoryStore>,
    backup: Manifest,
}

#[async_trait]
impl Store for Pruning {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn capabilities(&self) -> Result<Capabilities, StoreError> {
        self.inner.capabilities().await
    }

    async fn put(&self, key: &Key, content: Bytes, mode: PutMode) -> Result<(), StoreError> {
        self.inner.put(key, content, mode).await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>, StoreError> {
        self.inner.begin(key).await
    }

    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream, StoreError> {
        if self.backup.objects.iter().any(|object| object.key == *key) {
            let manifest = Manifest::key(&self.backup.id).unwrap();
            let objects = self.backup.objects.iter().map(|object| object.key.clone());
            self.inner
                .delete(&std::iter::once(manifest).chain(objects).collect::<Vec<_>>())
                .await?;
        }
        self.inner.read(key, range).await
    }

    async fn head(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        self.inner.delete(keys).await
    }

    async fn abort_uploads(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        self.inner.abort_uploads(before).await
    }
}

#[tokio::test]
async fn a_backup_that_retention_removes_meanwhile_is_no_damage() {
    let world = World::new();
    let old = world.backup("2027-01-08T02:00:00Z", 5).await;
    let new = world.backup("2027-01-09T02:00:00Z", 5).await;
    let pruning = Pruning { inner: world.memory.clone(), backup: old };
    let context = world.through(Arc::new(pruning));
    let outcome = jobs::run(&Verify { which: Which::All, jobs: 2 }, &context).await;
    assert_eq!(outcome.verdict(), Verdict::Done);
    let verified = outcome.result.unwrap();
    let ids: Vec<_> = verified.backups.iter().map(|backup| backup.id.as_str()).collect();
    assert_eq!(ids, [new.id]);
}
