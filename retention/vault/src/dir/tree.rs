//! The folders of a store, walked without ever following a symbolic link below its root.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::durability::{self, Durable, SMALL};
use crate::Key;

/// Where unfinished files are, below the root: one file system, so that a rename moves them.
pub(super) const TEMPORARY: &str = ".tmp";

/// Whether taking a free name was one step of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placing {
    Atomic,
    CheckedBefore,
}

/// The root, and what is known of the folders below.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    /// Folders whose own names are known to be on disk.
    durable: Mutex<HashSet<String>>,
    /// Whether one call can make everything durable; found out once.
    syncs_whole: OnceLock<bool>,
    /// Whether something was placed that is to be made durable by such a call.
    owes_sync: AtomicBool,
}

/// A key as the folders on the way and the file's name.
pub(super) fn split(key: &Key) -> (&str, &str) {
    key.as_str().rsplit_once('/').unwrap_or(("", key.as_str()))
}

fn segments(folder: &str) -> impl Iterator<Item = &str> {
    folder.split('/').filter(|segment| !segment.is_empty())
}

fn open_below(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match fs::openat(parent, name, flags, Mode::empty()) {
        // A link is reported as what it is, not as the file it seems to be.
        Err(Errno::NOTDIR) => {
            let stat = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
            Err(if link { Errno::LOOP } else { Errno::NOTDIR }.into())
        }
        other => Ok(other?),
    }
}

/// Makes the names in a folder durable. File systems that cannot are taken to need no such
/// step.
pub(super) fn sync_folder(folder: impl AsFd) -> io::Result<()> {
    match fs::fsync(folder) {
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        other => Ok(other?),
    }
}

impl Tree {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            durable: Mutex::default(),
            syncs_whole: OnceLock::new(),
            owes_sync: AtomicBool::new(false),
        }
    }

    /// When a file of so many bytes is made durable: large ones at once, while others are still
    /// being filled; of small ones it is the syncing that takes the time.
    pub(super) fn when_durable(&self, bytes: u64) -> Durable {
        let whole = || self.root().is_ok_and(|root| durability::syncs_whole(&root));
        let later = bytes <= SMALL && *self.syncs_whole.get_or_init(whole);
        if later { Durable::Later } else { Durable::Now }
    }

    /// From now on something is to be made durable by [`sync_owed`](Self::sync_owed).
    pub(super) fn owe_sync(&self) {
        self.owes_sync.store(true, Ordering::SeqCst);
    }

    /// Makes durable whatever was placed without being so.
    pub(super) fn sync_owed(&self) -> io::Result<()> {
        if !self.owes_sync.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let synced = self.root().and_then(|root| Ok(fs::syncfs(root)?));
        if synced.is_err() {
            self.owe_sync();
        }
        synced
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<String>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The root. It may itself be reached through links: that is the operator's choice.
    pub(super) fn root(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(fs::open(&self.root, flags, Mode::empty())?)
    }

    /// An existing folder. Where a file lies on the way, there is none.
    pub(super) fn folder(&self, path: &str) -> io::Result<OwnedFd> {
        segments(path).try_fold(self.root()?, |parent, name| match open_below(&parent, name) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(Errno::NOENT.into()),
            other => other,
        })
    }

    /// Whether the root could be created. Where it could not, something is not mounted or not
    /// spelt right; where it could, the store is empty.
    pub(super) fn may_exist(&self) -> bool {
        self.root().is_ok() || self.above_root().is_dir()
    }

    /// The folder that holds the root.
    fn above_root(&self) -> &Path {
        match self.root.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => &self.root,
        }
    }

    /// The root, created when its parent exists: an absent volume is not replaced by a deep
    /// path on another disk.
    fn make_root(&self) -> io::Result<OwnedFd> {
        match fs::mkdir(&self.root, Mode::RWXU) {
            Ok(()) => {
                if let Some(parent) = self.root.parent() {
                    let parent = if parent.as_os_str().is_empty() { ".".as_ref() } else { parent };
                    sync_folder(fs::open(
                        parent,
                        OFlags::RDONLY | OFlags::CLOEXEC,
                        Mode::empty(),
                    )?)?;
                }
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.root()
    }

    /// A folder, created with those above it, every name on the way durable.
    pub(super) fn make_folder(&self, path: &str) -> io::Result<OwnedFd> {
        let mut folder = match self.root() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_root()?,
            other => other?,
        };
        let mut walked = String::with_capacity(path.len());
        for name in segments(path) {
            if !walked.is_empty() {
                walked.push('/');
            }
            walked.push_str(name);
            let created = match fs::mkdirat(&folder, name, Mode::RWXU) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(error.into()),
            };
            let child = open_below(&folder, name)?;
            // A folder found here may be another process's, created but not yet synced.
            if created || !self.durable().contains(&walked) {
                sync_folder(&folder)?;
                self.durable().insert(walked.clone());
            }
            folder = child;
        }
        Ok(folder)
    }

    /// Removes `path` and the folders above it, up to the first that is not empty.
    pub(super) fn remove_empty(&self, path: &str) -> io::Result<()> {
        let mut path = path;
        while !path.is_empty() {
            let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
            let parent = match self.folder(above) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => other?,
            };
            self.durable().remove(path);
            match fs::unlinkat(&parent, name, AtFlags::REMOVEDIR) {
                Ok(()) => sync_folder(&parent)?,
                Err(Errno::NOENT) => {}
                Err(_) => return Ok(()),
            }
            path = above;
        }
        Ok(())
    }
}

/// Moves `from` onto `to`, replacing it.
pub(super) fn replace(from: (&OwnedFd, &str), to: (&OwnedFd, &str)) -> io::Result<()> {
    Ok(fs::renameat(from.0, from.1, to.0, to.1)?)
}

/// Gives the file `from` the name `to` unless that is taken (`EEXIST`), with the best the
/// file system has: a rename that does not replace, or else a second link (NFS), or else a
/// look before a rename. `from` may be left for the caller to remove.
pub(super) fn place_if_absent(from: (&OwnedFd, &str), to: (&OwnedFd, &str)) -> io::Result<Placing> {
    match fs::renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(Placing::Atomic),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    match fs::linkat(from.0, from.1, to.0, to.1, AtFlags::empty()) {
        Ok(()) => return Ok(Placing::Atomic),
        // A repeated request of NFS may report its own first success as a failure.
        Err(Errno::EXIST) => {
            let linked = fs::statat(from.0, from.1, AtFlags::SYMLINK_NOFOLLOW)?.st_nlink == 2;
            return if linked { Ok(Placing::Atomic) } else { Err(Errno::EXIST.into()) };
        }
        Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP | Errno::MLINK) => {}
        Err(error) => return Err(error.into()),
    }
    match fs::statat(to.0, to.1, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => replace(from, to).map(|()| Placing::CheckedBefore),
        Ok(_) => Err(Errno::EXIST.into()),
        Err(error) => Err(error.into()),
    }
}
