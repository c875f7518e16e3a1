//! The folder where installed parts are kept between runs.
//!
//! A part lives in `NAME-KEY`, where the key is a digest of everything that pins it: a changed
//! lock file gives a new folder, and an old checkout finds its own. A folder appears under that
//! name only when it is whole, and a lock beside it makes parallel processes install once.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::progress::Step;

/// The variable that names the cache folder.
pub const CACHE_VARIABLE: &str = "AIDP_BACKUP_HARNESS_CACHE";

/// The folder's name below a user's cache.
const FOLDER: &str = "aidp-backup-harness";

/// Something to install: a name, what pins it, and how.
pub(crate) struct Part<'a> {
    /// Short name, the beginning of its folder's name.
    pub(crate) name: &'a str,
    /// What a person reads while it is installed.
    pub(crate) title: String,
    /// Everything that decides what gets installed; its digest is the key.
    pub(crate) pins: &'a [&'a str],
}

impl Part<'_> {
    /// The folder of the installed part; installs it first where it is missing.
    ///
    /// # Errors
    /// When the cache cannot be written or `install` fails; nothing is left under the part's name.
    pub(crate) fn ensure(
        &self,
        install: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<PathBuf, Error> {
        let home = self.home()?;
        if home.is_dir() {
            return Ok(home);
        }
        let _lock = self.lock(&home)?;
        if home.is_dir() {
            return Ok(home);
        }
        let partial = home.with_extension("partial");
        remove_dir(&partial)?;
        fs::create_dir(&partial)
            .map_err(Error::io(format!("cannot create {}", partial.display())))?;
        let step = Step::start(&self.title);
        install(&partial).map_err(|source| self.failed(source))?;
        fs::rename(&partial, &home)
            .map_err(Error::io(format!("cannot rename {}", partial.display())))?;
        step.done();
        Ok(home)
    }

    /// Runs an installation that leaves its result elsewhere than in the cache, one process at a
    /// time.
    ///
    /// # Errors
    /// When the cache cannot be written or `install` fails.
    pub(crate) fn elsewhere(
        &self,
        installed: impl Fn() -> bool,
        install: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _lock = self.lock(&self.home()?)?;
        if installed() {
            return Ok(());
        }
        let step = Step::start(&self.title);
        install().map_err(|source| self.failed(source))?;
        step.done();
        Ok(())
    }

    fn failed(&self, source: Error) -> Error {
        Error::Install { title: self.title.clone(), source: Box::new(source) }
    }

    fn home(&self) -> Result<PathBuf, Error> {
        Ok(folder()?.join(format!("{}-{}", self.name, self.key())))
    }

    /// Waits for other processes that install the same part; released when the file closes.
    fn lock(&self, home: &Path) -> Result<File, Error> {
        let path = home.with_extension("lock");
        if let Some(cache) = path.parent() {
            fs::create_dir_all(cache)
                .map_err(Error::io(format!("cannot create cache folder {}", cache.display())))?;
        }
        let lock =
            File::create(&path).map_err(Error::io(format!("cannot create {}", path.display())))?;
        lock.lock().map_err(Error::io(format!("cannot lock {}", path.display())))?;
        Ok(lock)
    }

    fn key(&self) -> String {
        let mut digest = Sha256::new();
        for pin in self.pins {
            digest.update((pin.len() as u64).to_be_bytes());
            digest.update(pin.as_bytes());
        }
        digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The cache folder: `$AIDP_BACKUP_HARNESS_CACHE`, else `aidp-backup-harness` below
/// `$XDG_CACHE_HOME` or `~/.cache`.
///
/// PostgreSQL refuses to run as root and is then started as another user, who must be able to
/// reach its programs. Root's own home is usually closed to others, so that root's cache is
/// `/var/cache/aidp-backup-harness` where that is so.
///
/// # Errors
/// When no folder can be derived, or a folder named explicitly is out of that user's reach.
pub fn folder() -> Result<PathBuf, Error> {
    let root = rustix::process::geteuid().is_root();
    if let Some(named) = std::env::var_os(CACHE_VARIABLE).filter(|value| !value.is_empty()) {
        let path = std::path::absolute(PathBuf::from(named))
            .map_err(Error::io(format!("cannot resolve {CACHE_VARIABLE}")))?;
        if root && !open_to_all(&path) {
            return Err(Error::Cache {
                path,
                what: "is below a folder that only root may enter, and PostgreSQL does not run \
                       as root"
                    .to_owned(),
            });
        }
        return Ok(path);
    }
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    match base.map(|base| base.join(FOLDER)) {
        Some(path) if !root || open_to_all(&path) => Ok(path),
        _ if root => Ok(Path::new("/var/cache").join(FOLDER)),
        _ => Err(Error::Missing {
            program: "HOME".to_owned(),
            purpose: "the cache folder".to_owned(),
            hint: format!("set {CACHE_VARIABLE}"),
        }),
    }
}

/// Whether every user may walk down to `path`, as far as it exists.
fn open_to_all(path: &Path) -> bool {
    path.ancestors()
        .filter_map(|folder| fs::metadata(folder).ok())
        .all(|metadata| metadata.permissions().mode() & 0o001 != 0)
}

/// Removes a folder and all below it; it may be missing.
pub(crate) fn remove_dir(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Io { doing: format!("cannot remove {}", path.display()), source: error })
        }
        _ => Ok(()),
    }
}
