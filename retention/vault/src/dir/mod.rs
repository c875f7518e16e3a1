//! A directory as a store.
//!
//! An object is a file. It is written in the hidden folder `.tmp` at the root, synced, and
//! then renamed to its place, and the folders on the way are synced too; small uploads may be
//! synced all together by the next put ([`durability`]). What is acknowledged survives a power
//! cut, and no reader ever sees half a file. Files belong to their owner
//! alone (0600, folders 0700). Symbolic links below the root are never followed.

mod durability;
mod error;
mod read;
mod temporary;
mod tree;
mod upload;
mod walk;

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use rustix::fs::{self, AtFlags, FileType};
use rustix::io::Errno;
use tokio::sync::OnceCell;

use crate::{
    ByteStream, Capabilities, Key, ObjectInfo, PutMode, Store, StoreError, StoreErrorKind, Upload,
};
use durability::Durable;
use error::Context;
use temporary::Temporary;
use tree::{Placing, TEMPORARY, Tree};
use upload::DirUpload;

/// A store in a directory of the local machine, or of a file server it has mounted.
#[derive(Debug)]
pub struct DirStore {
    tree: Arc<Tree>,
    context: Context,
    capabilities: OnceCell<Capabilities>,
}

impl DirStore {
    /// The store at `root`. Nothing is touched yet: the folder is created by the first write,
    /// provided that the folder above it exists.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let context = Context::new(&root);
        Self { tree: Arc::new(Tree::new(root)), context, capabilities: OnceCell::new() }
    }

    /// Runs `work` on the tree in a blocking thread; `action` says what fails.
    async fn run<T: Send + 'static>(
        &self,
        action: String,
        work: impl FnOnce(&Tree) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tree, context) = (Arc::clone(&self.tree), self.context.clone());
        self.context
            .blocking(move || {
                work(&tree).map_err(|error| {
                    if error.kind() != io::ErrorKind::NotFound || tree.may_exist() {
                        return context.error(action, error);
                    }
                    let mut error = context.error(action, error);
                    error.kind = StoreErrorKind::Invalid;
                    error.with_hint(
                        "the folder above the store does not exist; mount it, create it, or \
                         correct --store",
                    )
                })
            })
            .await
    }

    fn check_key(&self, key: &Key, action: &str) -> Result<(), StoreError> {
        if key.as_str().split('/').next() != Some(TEMPORARY) {
            return Ok(());
        }
        let action = format!("cannot {action} {key}: that folder is for unfinished files");
        Err(StoreError::new(StoreErrorKind::Invalid, action, &self.context.store))
    }
}

#[async_trait]
impl Store for DirStore {
    fn describe(&self) -> String {
        self.context.store.clone()
    }

    async fn capabilities(&self) -> Result<Capabilities, StoreError> {
        let action = || "cannot try out what the file system can do".to_owned();
        let probe = || async {
            let conditional_put = self.run(action(), probe_placing).await?;
            Ok(Capabilities { conditional_put, checksums: false })
        };
        self.capabilities.get_or_try_init(probe).await.cloned()
    }

    async fn put(&self, key: &Key, content: Bytes, mode: PutMode) -> Result<(), StoreError> {
        self.check_key(key, "write")?;
        let named = key.clone();
        self.run(format!("cannot write {key}"), move |tree| {
            let mut file = Temporary::create(tree)?;
            file.append(&[content])?;
            tree.sync_owed()?;
            file.publish(tree, &named, mode, Durable::Now).map(drop)
        })
        .await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>, StoreError> {
        self.check_key(key, "write")?;
        let file = self.run(format!("cannot begin to write {key}"), Temporary::create).await?;
        let (tree, context) = (Arc::clone(&self.tree), self.context.clone());
        Ok(Box::new(DirUpload::new(tree, context, key.clone(), file)))
    }

    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<ByteStream, StoreError> {
        self.check_key(key, "read")?;
        let named = key.clone();
        let file =
            self.run(format!("cannot read {key}"), move |tree| read::open(tree, &named)).await?;
        Ok(read::stream(file, key, range, self.context.clone()))
    }

    async fn head(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        self.check_key(key, "look at")?;
        let key = key.clone();
        self.run(format!("cannot look at {key}"), move |tree| {
            let (folder, name) = tree::split(&key);
            let stat = fs::statat(tree.folder(folder)?, name, AtFlags::SYMLINK_NOFOLLOW)?;
            read::require_file(FileType::from_raw_mode(stat.st_mode))?;
            Ok(ObjectInfo { size: walk::size(&stat), modified: walk::modified(&stat), key })
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let owned = prefix.to_owned();
        self.run(format!("cannot list {prefix:?}"), move |tree| walk::list(tree, &owned)).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<(), StoreError> {
        for key in keys {
            self.check_key(key, "delete")?;
        }
        let action = match keys {
            [] => return Ok(()),
            [key] => format!("cannot delete {key}"),
            [key, ..] => format!("cannot delete {key} and {} more", keys.len() - 1),
        };
        let keys = keys.to_vec();
        self.run(action, move |tree| delete(tree, &keys)).await
    }

    async fn abort_uploads(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let action = "cannot remove unfinished files".to_owned();
        self.run(action, move |tree| remove_temporaries(tree, before)).await
    }
}

/// Removes files; then syncs their folders, so that an acknowledged removal survives a crash
/// and one removed first cannot come back without one removed after; then removes the folders
/// that are left empty.
fn delete(tree: &Tree, keys: &[Key]) -> io::Result<()> {
    let mut touched = BTreeSet::new();
    let mut outcome = Ok(());
    for key in keys {
        let (path, name) = tree::split(key);
        let removed = match tree.folder(path) {
            Ok(folder) => fs::unlinkat(&folder, name, AtFlags::empty()).map_err(io::Error::from),
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => _ = touched.insert(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    for path in &touched {
        match tree.folder(path) {
            Ok(folder) => tree::sync_folder(folder)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    for path in touched {
        tree.remove_empty(path)?;
    }
    outcome
}

/// Removes temporary files last written to before `before`; a file still being written to is
/// younger than that, however long ago it was begun.
fn remove_temporaries(tree: &Tree, before: DateTime<Utc>) -> io::Result<u64> {
    let folder = match tree.folder(TEMPORARY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && tree.may_exist() => return Ok(0),
        other => other?,
    };
    let mut removed = 0;
    for entry in fs::Dir::read_from(&folder)? {
        let entry = entry?;
        let stat = match fs::statat(&folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        let file = FileType::from_raw_mode(stat.st_mode) != FileType::Directory;
        if file && walk::modified(&stat) < before {
            match fs::unlinkat(&folder, entry.file_name(), AtFlags::empty()) {
                Ok(()) => removed += 1,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    tree.remove_empty(TEMPORARY)?;
    Ok(removed)
}

/// Whether this file system refuses to take a taken name, in one step.
fn probe_placing(tree: &Tree) -> io::Result<bool> {
    let name = format!("{TEMPORARY}/probe-{:016x}", rand::random::<u64>());
    let key = Key::new(name).map_err(io::Error::other)?;
    let first = Temporary::create(tree)?.publish(tree, &key, PutMode::IfAbsent, Durable::Now)?;
    let second = Temporary::create(tree)?.publish(tree, &key, PutMode::IfAbsent, Durable::Now);
    delete(tree, &[key])?;
    match second {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(first == Placing::Atomic),
        Err(error) => Err(error),
        Ok(_) => Ok(false),
    }
}
