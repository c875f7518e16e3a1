//! Listing a directory as a store lists its objects.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use chrono::{DateTime, Utc};
use rustix::fs::{self, AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::tree::{TEMPORARY, Tree};
use crate::{Key, ObjectInfo};

/// What lies at the root of a store and is no object: our own temporary files, and the
/// folder every ext4 volume begins with, which only root may read.
const NO_OBJECTS: [&str; 2] = [TEMPORARY, "lost+found"];

/// Modification time of a file.
pub(super) fn modified(stat: &Stat) -> DateTime<Utc> {
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    DateTime::from_timestamp(stat.st_mtime, nanoseconds).unwrap_or_default()
}

/// Size of a file.
pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Every object whose key begins with `prefix`, by key.
pub(super) fn list(tree: &Tree, prefix: &str) -> io::Result<Vec<ObjectInfo>> {
    let (folder, name) = prefix.rsplit_once('/').unwrap_or(("", prefix));
    let mut found = Vec::new();
    if !Key::may_begin_with(prefix) {
        return Ok(found);
    }
    match tree.folder(folder) {
        Ok(open) => {
            let path = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            walk(&open, &path, name, &mut found)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && tree.may_exist() => {}
        Err(error) => return Err(error),
    }
    found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// Files vanish and appear while we walk: what is gone when looked at is not listed.
fn walk(folder: &OwnedFd, path: &str, begins: &str, found: &mut Vec<ObjectInfo>) -> io::Result<()> {
    for entry in fs::Dir::read_from(folder)? {
        let entry = entry?;
        let Some(name) = own_name(path, entry.file_name(), begins) else { continue };
        let stat = match fs::statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error.into()),
        };
        let Ok(key) = Key::new(format!("{path}{name}")) else {
            tracing::warn!(folder = path, name, "not an object of ours, passed over");
            continue;
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                found.push(ObjectInfo { key, size: size(&stat), modified: modified(&stat) });
            }
            FileType::Directory => {
                let flags = fs::OFlags::RDONLY
                    | fs::OFlags::DIRECTORY
                    | fs::OFlags::NOFOLLOW
                    | fs::OFlags::CLOEXEC;
                match fs::openat(folder, name.as_str(), flags, fs::Mode::empty()) {
                    Ok(child) => walk(&child, &format!("{key}/"), "", found)?,
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            _ => tracing::warn!(%key, "neither a file nor a folder, passed over"),
        }
    }
    Ok(())
}

/// The name, when it begins as asked and may be an object's or a folder of objects.
fn own_name(path: &str, name: &CStr, begins: &str) -> Option<String> {
    let name = name.to_string_lossy();
    let ours = name != "." && name != ".." && !(path.is_empty() && NO_OBJECTS.contains(&&*name));
    (ours && name.starts_with(begins)).then(|| name.into_owned())
}
