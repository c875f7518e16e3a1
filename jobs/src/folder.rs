//! Folders that people are given files in.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::Error;

/// What was made in a folder, to be removed when the rest fails.
#[derive(Debug)]
pub(crate) struct Made {
    /// Files.
    pub files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Made {
    /// Makes the folder, or takes an empty one.
    pub(crate) fn begin(dir: &Path) -> Result<Self, Error> {
        let mut made = Self { files: Vec::new(), folders: Vec::new() };
        match std::fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
            Ok(true) => Ok(made),
            Ok(false) => Err(Error::Refused {
                what: format!("{} is not empty", dir.display()),
                hint: "name a folder that is empty or does not exist".into(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                made.folder(dir)?;
                Ok(made)
            }
            Err(source) => Err(Error::Local { doing: "open", path: dir.to_owned(), source }),
        }
    }

    /// Makes a folder and those above it.
    pub(crate) fn folder(&mut self, path: &Path) -> Result<(), Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(local("create", path))?;
        self.folders.push(path.to_owned());
        Ok(())
    }

    /// Removes all of it.
    pub(crate) fn remove(&self) {
        let failures = self.files.iter().map(std::fs::remove_file);
        let failures = failures.chain(self.folders.iter().rev().map(std::fs::remove_dir));
        for error in failures.filter_map(Result::err) {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!("what was written so far could not be removed: {error}");
            }
        }
    }
}

/// Makes what a folder holds durable.
pub(crate) fn sync(folder: &Path) -> Result<(), Error> {
    let open = File::open(folder).map_err(local("open", folder))?;
    open.sync_all().map_err(local("sync", folder))
}

/// An error of a local file or folder.
pub(crate) fn local<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Local { doing, path: path.to_owned(), source }
}

/// A new file that nobody else may read.
pub(crate) fn create(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(local("create", path))
}
