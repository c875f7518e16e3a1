//! What only a directory can get wrong.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use chrono::{TimeDelta, Utc};
use tempfile::TempDir;
use vault::{DirStore, Key, PutMode, Store, StoreErrorKind};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn store() -> (DirStore, TempDir) {
    let folder = TempDir::new().unwrap();
    (DirStore::new(folder.path()), folder)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Every path below `folder`, sorted.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn files_and_folders_belong_to_their_owner_alone() {
    let folder = TempDir::new().unwrap();
    let store = DirStore::new(folder.path().join("store"));
    store.put(&key("a/b"), "x".into(), PutMode::IfAbsent).await.unwrap();
    store.begin(&key("a/c")).await.unwrap().finish().await.unwrap();
    for file in ["store/a/b", "store/a/c"] {
        assert_eq!(mode(&folder.path().join(file)), 0o600, "{file}");
    }
    for name in ["store", "store/a", "store/.tmp"] {
        assert_eq!(mode(&folder.path().join(name)), 0o700, "{name}");
    }
}

#[tokio::test]
async fn what_is_being_written_is_a_hidden_file_until_it_is_given_up() {
    let (store, folder) = store();
    let mut upload = store.begin(&key("a/b")).await.unwrap();
    upload.write(vec![7; 3 << 20].into()).await.unwrap();
    let files = tree(folder.path());
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files[1].starts_with(".tmp/"), "{files:?}");
    std::mem::forget(upload);
    assert_eq!(store.abort_uploads(Utc::now() - TimeDelta::hours(1)).await.unwrap(), 0);
    assert_eq!(store.abort_uploads(Utc::now() + TimeDelta::hours(1)).await.unwrap(), 1);
    assert!(tree(folder.path()).is_empty());
}

#[tokio::test]
async fn an_upload_given_up_by_another_run_fails_at_its_end() {
    let (store, folder) = store();
    let mut upload = store.begin(&key("a/b")).await.unwrap();
    upload.write("x".into()).await.unwrap();
    assert_eq!(store.abort_uploads(Utc::now() + TimeDelta::hours(1)).await.unwrap(), 1);
    let error = upload.finish().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Other, "{error:?}");
    assert!(store.list("").await.unwrap().is_empty());
    store.delete(&[key("a/none")]).await.unwrap();
    assert!(!tree(folder.path()).iter().any(|name| name == "a/b"));
}

#[tokio::test]
async fn folders_left_empty_are_removed() {
    let (store, folder) = store();
    for name in ["exports/1/db/toc.dat", "exports/1/db/5.dat", "exports/2/db/toc.dat"] {
        store.put(&key(name), "x".into(), PutMode::Overwrite).await.unwrap();
    }
    store.delete(&[key("exports/1/db/toc.dat"), key("exports/1/db/5.dat")]).await.unwrap();
    store.abort_uploads(Utc::now()).await.unwrap();
    assert_eq!(
        tree(folder.path()),
        ["exports", "exports/2", "exports/2/db", "exports/2/db/toc.dat"]
    );
    store.delete(&[key("exports/2/db/toc.dat")]).await.unwrap();
    assert!(tree(folder.path()).is_empty());
    store.put(&key("exports/3/db/toc.dat"), "x".into(), PutMode::Overwrite).await.unwrap();
}

#[tokio::test]
async fn links_out_of_the_store_are_not_followed() {
    let (store, folder) = store();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "s").unwrap();
    fs::create_dir(folder.path().join("exports")).unwrap();
    symlink(outside.path(), folder.path().join("exports/out")).unwrap();
    symlink(outside.path().join("secret"), folder.path().join("exports/file")).unwrap();

    for name in ["exports/out/secret", "exports/file"] {
        let read = store.read(&key(name), None).await.err().unwrap();
        assert_eq!(read.kind, StoreErrorKind::Invalid, "{name}: {read:?}");
        assert!(read.hint().is_some());
        let head = store.head(&key(name)).await.unwrap_err();
        assert_eq!(head.kind, StoreErrorKind::Invalid, "{name}: {head:?}");
    }
    let put = store.put(&key("exports/out/new"), "x".into(), PutMode::Overwrite).await.unwrap_err();
    assert_eq!(put.kind, StoreErrorKind::Invalid);
    let delete = store.delete(&[key("exports/out/secret")]).await.unwrap_err();
    assert_eq!(delete.kind, StoreErrorKind::Invalid);
    assert!(store.list("").await.unwrap().is_empty());
    assert_eq!(store.list("exports/out/").await.unwrap_err().kind, StoreErrorKind::Invalid);
    assert_eq!(tree(outside.path()), ["secret"]);
    // An object put where a link lies replaces the link, not what it points at.
    store.put(&key("exports/file"), "x".into(), PutMode::Overwrite).await.unwrap();
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "s");
}

#[tokio::test]
async fn the_root_itself_may_be_a_link() {
    let target = TempDir::new().unwrap();
    let folder = TempDir::new().unwrap();
    symlink(target.path(), folder.path().join("link")).unwrap();
    let store = DirStore::new(folder.path().join("link"));
    store.put(&key("a"), "x".into(), PutMode::IfAbsent).await.unwrap();
    assert!(target.path().join("a").exists());
}

#[tokio::test]
async fn what_is_no_object_is_not_listed() {
    let (store, folder) = store();
    store.put(&key("a/b"), "x".into(), PutMode::Overwrite).await.unwrap();
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    fs::write(folder.path().join("lost+found/x"), "x").unwrap();
    fs::write(folder.path().join("a/notes (1).txt"), "x").unwrap();
    fs::write(folder.path().join(".tmp/left"), "x").unwrap();
    let listed: Vec<_> =
        store.list("").await.unwrap().into_iter().map(|info| info.key.to_string()).collect();
    assert_eq!(listed, ["a/b"]);
    assert_eq!(
        store.put(&key(".tmp/x"), "x".into(), PutMode::Overwrite).await.unwrap_err().kind,
        StoreErrorKind::Invalid
    );
}

#[tokio::test]
async fn a_store_that_is_not_mounted_is_no_empty_store() {
    let folder = TempDir::new().unwrap();
    let store = DirStore::new(folder.path().join("mount/point"));
    for error in [
        store.list("").await.unwrap_err(),
        store.head(&key("a")).await.unwrap_err(),
        store.put(&key("a"), "x".into(), PutMode::Overwrite).await.unwrap_err(),
        store.begin(&key("a")).await.err().unwrap(),
        store.capabilities().await.unwrap_err(),
    ] {
        assert_eq!(error.kind, StoreErrorKind::Invalid, "{error:?}");
        assert!(error.hint().unwrap().contains("--store"));
    }
    assert!(tree(folder.path()).is_empty());
}

#[tokio::test]
async fn a_store_that_does_not_exist_yet_is_empty_and_can_be_leased() {
    use std::sync::Arc;
    use vault::lease::{Holder, Timing, acquire};
    let folder = TempDir::new().unwrap();
    let store: Arc<dyn Store> = Arc::new(DirStore::new(folder.path().join("new")));
    assert!(store.list("").await.unwrap().is_empty());
    assert_eq!(store.head(&key("a")).await.unwrap_err().kind, StoreErrorKind::NotFound);
    store.delete(&[key("a")]).await.unwrap();
    assert_eq!(store.abort_uploads(Utc::now()).await.unwrap(), 0);
    assert!(tree(folder.path()).is_empty(), "nothing is created by looking");
    let cancel = tokio_util::sync::CancellationToken::new();
    let holder = Holder::this_process();
    let lease = acquire(store.clone(), "export", holder, Timing::default(), &cancel).await.unwrap();
    lease.check().await.unwrap();
    lease.release().await;
}

#[tokio::test]
async fn a_file_cut_short_while_it_is_read_is_corrupt() {
    use futures::TryStreamExt;
    let (store, folder) = store();
    store.put(&key("a"), vec![1; 3 << 20].into(), PutMode::Overwrite).await.unwrap();
    let mut pieces = store.read(&key("a"), None).await.unwrap();
    let first = pieces.try_next().await.unwrap().unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(folder.path().join("a"))
        .unwrap()
        .set_len(first.len() as u64)
        .unwrap();
    assert_eq!(pieces.try_next().await.unwrap_err().kind, StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_directory_refuses_taken_names_in_one_step() {
    let (store, folder) = store();
    let found = store.capabilities().await.unwrap();
    assert!(found.conditional_put);
    assert!(!found.checksums);
    assert!(tree(folder.path()).is_empty());
}
