//! The files of a folder.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Error, MAX_BYTES};

/// Folders below folders: workflow ids with slashes make some.
const MAX_DEPTH: usize = 64;

/// Every file below a folder, in order of path, but those whose names begin with a dot. Links are
/// not followed.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) files: Vec<PathBuf>,
    /// What is there and is not read: links, and folders that lie too deep.
    pub(super) others: Vec<PathBuf>,
}

impl Folder {
    /// Lists it; a single file is a folder of one.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let mut found = Self::default();
        let metadata = fs::metadata(path).map_err(io(path))?;
        if metadata.is_dir() {
            found.walk(path, 0)?;
        } else {
            found.files.push(path.to_owned());
        }
        found.files.sort();
        found.others.sort();
        Ok(found)
    }

    fn walk(&mut self, folder: &Path, depth: usize) -> Result<(), Error> {
        for entry in fs::read_dir(folder).map_err(io(folder))? {
            let entry = entry.map_err(io(folder))?;
            let kind = entry.file_type().map_err(io(folder))?;
            let path = entry.path();
            if kind.is_dir() && depth < MAX_DEPTH {
                self.walk(&path, depth + 1)?;
            } else if !kind.is_file() {
                self.others.push(path);
            } else if !name(&path).starts_with('.') {
                self.files.push(path);
            }
        }
        Ok(())
    }
}

/// The first bytes of a file, which tell most forms apart.
pub(super) fn beginning(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(io(path))?;
    file.take(256).read_to_end(&mut bytes).map_err(io(path))?;
    Ok(bytes)
}

/// A whole file; one of more than 1 GiB is refused.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    let file = fs::File::open(path).map_err(io(path))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(io(path))?;
    if content.len() as u64 > MAX_BYTES {
        return Err(Error::History { path: path.to_owned(), problem: "is larger than 1 GiB" });
    }
    Ok(content)
}

pub(super) fn io(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    |source| Error::Io { path: path.to_owned(), source }
}

/// Name of a file or folder, where it is Unicode.
pub(super) fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
