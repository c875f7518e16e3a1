//! A file that is not yet an object.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::OwnedFd;

use bytes::Bytes;
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::durability::Durable;
use super::tree::{self, Placing, TEMPORARY, Tree};
use crate::{Key, PutMode};

/// How often a folder that vanishes under a file about to be placed in it is made again:
/// others remove the folders that their deletions leave empty.
const TRIES: u32 = 16;

/// A file in the store's temporary folder. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct Temporary {
    folder: OwnedFd,
    name: String,
    file: File,
}

impl Temporary {
    /// Creates it, readable by its owner alone.
    pub(super) fn create(tree: &Tree) -> io::Result<Self> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut tries = 0;
        loop {
            tries += 1;
            let folder = tree.make_folder(TEMPORARY)?;
            let name = format!("{}-{:016x}", std::process::id(), rand::random::<u64>());
            match fs::openat(&folder, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => return Ok(Self { folder, name, file: file.into() }),
                Err(Errno::NOENT) if tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Appends all of `pieces`.
    pub(super) fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut left = slices.as_mut_slice();
        // Leading empty slices would make a write of nothing look like a full disk.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match self.file.write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the content durable, then the file the object `key`, then its name durable; with
    /// [`Durable::Later`], only makes it the object.
    pub(super) fn publish(
        self,
        tree: &Tree,
        key: &Key,
        mode: PutMode,
        durable: Durable,
    ) -> io::Result<Placing> {
        match durable {
            Durable::Now => self.file.sync_all()?,
            Durable::Later => tree.owe_sync(),
        }
        let (path, name) = tree::split(key);
        let mut tries = 0;
        loop {
            tries += 1;
            let folder = tree.make_folder(path)?;
            let (from, to) = ((&self.folder, self.name.as_str()), (&folder, name));
            let placed = match mode {
                PutMode::Overwrite => tree::replace(from, to).map(|()| Placing::Atomic),
                PutMode::IfAbsent => tree::place_if_absent(from, to),
            };
            match placed {
                Ok(placing) => {
                    if durable == Durable::Now {
                        tree::sync_folder(&folder)?;
                    }
                    return Ok(placing);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < TRIES => {
                    if !self.exists()? {
                        return Err(io::Error::other("the upload was given up by another run"));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn exists(&self) -> io::Result<bool> {
        match fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already when it was renamed; what cannot be removed now is found by
        // `abort_uploads`.
        let _ = fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
    }
}
