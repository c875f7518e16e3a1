//! Backups as plain files.

mod fixture;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fixture::World;
use jobs::Verdict;
use jobs::fetch::Fetch;

fn fetch(dir: &Path) -> Fetch {
    Fetch { id: "latest".into(), dir: dir.to_owned(), jobs: 2 }
}

#[tokio::test]
async fn every_object_becomes_a_file_of_the_same_content() {
    let world = World::new();
    let manifest = world.backup("2027-01-09T02:00:00Z", 50).await;
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("new/folder");
    let fetched = jobs::run(&fetch(&dir), &world.context).await.result.unwrap();
    assert_eq!(fetched.files, manifest.objects.len() as u64);
    for object in &manifest.objects {
        let name = object.key.as_str().rsplit('/').next().unwrap();
        let path = dir.join("shop").join(name);
        let content = std::fs::read(&path).unwrap();
        let stored = vault::read_small(&*world.memory, &object.key, 1 << 20).await.unwrap();
        assert_eq!(content, stored);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(dir.join("shop").metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(fetched.databases[0].command.starts_with("pg_restore "));
}

#[tokio::test]
async fn a_folder_that_is_not_empty_is_refused_and_left_alone() {
    let world = World::new();
    world.backup("2027-01-09T02:00:00Z", 5).await;
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("mine"), "precious").unwrap();
    let outcome = jobs::run(&fetch(scratch.path()), &world.context).await;
    assert_eq!(outcome.verdict(), Verdict::Refused);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_damaged_object_leaves_nothing_behind() {
    let world = World::new();
    let manifest = world.backup("2027-01-09T02:00:00Z", 50).await;
    let last = manifest.objects.last().unwrap().key.clone();
    world.memory.tamper(&last, |bytes| bytes[3] ^= 1);
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("out");
    let outcome = jobs::run(&fetch(&dir), &world.context).await;
    assert_eq!(outcome.verdict(), Verdict::Damaged);
    let text = jobs::chain(&outcome.result.unwrap_err());
    assert!(text.contains(last.as_str()), "{text}");
    assert!(!dir.exists());
}

#[tokio::test]
async fn an_unknown_backup_is_a_usage_error() {
    let world = World::new();
    world.backup("2027-01-09T02:00:00Z", 5).await;
    let scratch = tempfile::tempdir().unwrap();
    let job = Fetch { id: "1999".into(), ..fetch(scratch.path()) };
    assert_eq!(jobs::run(&job, &world.context).await.verdict(), Verdict::Refused);
}
