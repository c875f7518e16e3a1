//! Folders of running drills: `TMPDIR/aidp-drill-UID/TOKEN`, each with a lock beside it that
//! the kernel drops with the process. One whose lock can be had is a dead drill's.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};

use super::keeper::Account;
use crate::Error;

/// A folder that is removed with everything in it when this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    lock: PathBuf,
    _held: File,
}

fn local(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Local { doing, path, source }
}

/// The folder of all drills of this user; made when it is not there.
fn root(account: Option<Account>) -> Result<PathBuf, Error> {
    let uid = rustix::process::geteuid();
    let root = std::env::temp_dir().join(format!("aidp-drill-{}", uid.as_raw()));
    if let Err(error) = fs::create_dir(&root)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(local("create", &root)(error));
    }
    let facts = fs::symlink_metadata(&root).map_err(local("look at", &root))?;
    if !facts.is_dir() || facts.uid() != uid.as_raw() {
        return Err(Error::Refused {
            what: format!("{} is not a folder of this user's own", root.display()),
            hint: "remove it, or point TMPDIR elsewhere".into(),
        });
    }
    // The server's user must get through to what is its own.
    let mode = if account.is_some() { 0o711 } else { 0o700 };
    fs::set_permissions(&root, Permissions::from_mode(mode)).map_err(local("protect", &root))?;
    Ok(root)
}

impl Folder {
    /// Removes what dead drills left, then makes a new folder for `token`, which `account` owns.
    pub fn new(token: &str, account: Option<Account>) -> Result<Self, Error> {
        let root = root(account)?;
        sweep(&root)?;
        let path = root.join(token);
        let lock = path.with_extension("lock");
        // The file gets its name when it is locked, and the folder comes after it: nobody ever
        // sees either without the lock.
        let unnamed = path.with_extension("starting");
        let held = File::create(&unnamed).map_err(local("create", &unnamed))?;
        held.lock().map_err(local("lock", &unnamed))?;
        fs::rename(&unnamed, &lock).map_err(local("rename", &unnamed))?;
        let folder = Self { path, lock, _held: held };
        fs::create_dir(&folder.path).map_err(local("create", &folder.path))?;
        let mode = Permissions::from_mode(0o700);
        fs::set_permissions(&folder.path, mode).map_err(local("protect", &folder.path))?;
        if let Some(Account { uid, gid }) = account {
            std::os::unix::fs::chown(&folder.path, Some(uid), Some(gid))
                .map_err(local("give away", &folder.path))?;
        }
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, and says whether it is gone.
    pub fn remove(self) -> bool {
        let path = self.path.clone();
        drop(self);
        !path.exists()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("{} is left for the next drill: {error}", self.path.display());
            return;
        }
        // Without a folder the lock means nothing, and the next drill removes it.
        let _ = fs::remove_file(&self.lock);
    }
}

/// Removes what drills that are gone have left.
fn sweep(root: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(root).map_err(local("list", root))?.flatten() {
        let path = entry.path();
        if !matches!(path.extension().and_then(|e| e.to_str()), Some("lock" | "starting")) {
            continue;
        }
        let Ok(lock) = File::open(&path) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        let folder = path.with_extension("");
        end_server(&folder.join("data"));
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(local("remove", &folder)(error));
            }
            removed => {
                if removed.is_ok() {
                    tracing::info!(
                        "removed what a drill left that was killed: {}",
                        folder.display()
                    );
                }
                // Another drill may be sweeping too.
                let _ = fs::remove_file(&path);
            }
        }
    }
    Ok(())
}

/// Kills a server that outlived its drill, which it should not have.
fn end_server(data: &Path) {
    // PostgreSQL's `pidfile.h`: the first line is the process id.
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else { return };
    let pid = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok());
    let Some(pid) = pid.and_then(|pid| pid.checked_abs()).and_then(Pid::from_raw) else { return };
    // Only what runs in that very folder is the stale server, and not a namesake.
    let cwd = fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero()));
    if cwd.is_ok_and(|cwd| cwd == data) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}
