//! Where the servers of this process keep their data, and the ports they listen on.
//!
//! Everything is below `TMPDIR/aidp-harness-UID`. Each process has a folder of its own there and
//! holds a lock in it as long as it lives; the kernel drops the lock whatever way the process
//! dies, so that a folder whose lock can be had is a dead process's and is swept by the next one.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use rand::Rng as _;
use rustix::process::{Pid, Signal};

use crate::cache::remove_dir;
use crate::error::Error;

/// Ports handed out: below Linux's range for outgoing connections, so that no client happens to
/// sit on the port of a server that is being restarted.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How many ports are tried before giving up.
const PORT_ATTEMPTS: usize = 200;

/// The folder of this process, with the lock that marks it as alive.
struct Run {
    folder: PathBuf,
    _lock: File,
}

/// A new, empty folder for one server, which every user may enter.
///
/// # Errors
/// When it cannot be created.
pub(crate) fn new_folder(name: &str) -> Result<PathBuf, Error> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let path = run_folder()?.join(format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    create_open(&path)?;
    Ok(path)
}

/// A free TCP port of 127.0.0.1 that no other user of this harness will be given while this
/// value lives, even while its server is down.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Picks one.
    ///
    /// # Errors
    /// When none of many is free.
    pub(crate) fn pick() -> Result<Self, Error> {
        let folder = root()?.join("ports");
        create_open(&folder)?;
        for _ in 0..PORT_ATTEMPTS {
            let number = rand::rng().random_range(PORTS);
            let path = folder.join(number.to_string());
            let lock = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(Error::io(format!("cannot open {}", path.display())))?;
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(Error::Server {
            server: "the harness".to_owned(),
            what: format!("found no free port in {PORTS:?}"),
            log: String::new(),
        })
    }

    /// Its number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

fn run_folder() -> Result<PathBuf, Error> {
    static RUN: Mutex<Option<Run>> = Mutex::new(None);
    // The lock only guards the one assignment: a panic elsewhere leaves nothing half-done.
    let mut run = RUN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(run) = run.as_ref() {
        return Ok(run.folder.clone());
    }
    let started = Run::start()?;
    let folder = started.folder.clone();
    *run = Some(started);
    Ok(folder)
}

impl Run {
    fn start() -> Result<Self, Error> {
        let root = root()?;
        sweep(&root)?;
        let folder = root.join(format!("{}-{:04x}", std::process::id(), rand::random::<u16>()));
        // The file gets its name when it is locked, and the folder comes after it: a sweeper
        // never sees either without the lock.
        let unnamed = folder.with_extension("starting");
        let lock = File::create(&unnamed)
            .map_err(Error::io(format!("cannot create {}", unnamed.display())))?;
        lock.lock().map_err(Error::io(format!("cannot lock {}", unnamed.display())))?;
        fs::rename(&unnamed, folder.with_extension("lock"))
            .map_err(Error::io(format!("cannot rename {}", unnamed.display())))?;
        create_open(&folder)?;
        Ok(Self { folder, _lock: lock })
    }
}

/// The folder of all processes of this user.
fn root() -> Result<PathBuf, Error> {
    let uid = rustix::process::geteuid().as_raw();
    let root = std::env::temp_dir().join(format!("aidp-harness-{uid}"));
    create_open(&root)?;
    Ok(root)
}

/// Creates a folder that other users may enter but not list or change.
fn create_open(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o711)))
        .map_err(Error::io(format!("cannot create {}", path.display())))
}

/// Removes what processes that are gone have left.
fn sweep(root: &Path) -> Result<(), Error> {
    let entries =
        fs::read_dir(root).map_err(Error::io(format!("cannot list {}", root.display())))?;
    for entry in entries.flatten() {
        let lock_path = entry.path();
        if lock_path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Ok(lock) = File::open(&lock_path) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        let folder = lock_path.with_extension("");
        for server in fs::read_dir(&folder).into_iter().flatten().flatten() {
            clear_postmaster(&server.path().join("data/postmaster.pid"));
        }
        remove_dir(&folder)?;
        let _ = fs::remove_file(&lock_path);
    }
    Ok(())
}

/// Frees what a killed PostgreSQL leaves in the kernel: a postmaster that outlived its owner
/// (it should not have) and its shared memory segment, both named in `postmaster.pid`.
///
/// Format of that file: PostgreSQL's `src/include/utils/pidfile.h`; line 1 is the process id,
/// line 7 the key and the id of the segment.
fn clear_postmaster(pid_file: &Path) {
    let Ok(text) = fs::read_to_string(pid_file) else { return };
    let data = pid_file.parent().map(Path::to_path_buf).unwrap_or_default();
    let pid = postmaster_pid(&text);
    if let Some(pid) = pid
        && fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok_and(|cwd| cwd == data)
    {
        // The process runs in that very data directory: it is the stale server, not a namesake.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    if let Some(segment) = text.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
        // Refused while somebody is attached, and without effect when it is gone: both are fine.
        let _ = std::process::Command::new("ipcrm")
            .args(["-m", segment])
            .stderr(std::process::Stdio::null())
            .status();
    }
}

/// The process that a `postmaster.pid` names. A single-user server, which `initdb` runs, writes
/// its own with a minus sign.
fn postmaster_pid(text: &str) -> Option<Pid> {
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    Pid::from_raw(pid.checked_abs()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_of_either_kind_of_server_names_its_process() {
        let found = |text| postmaster_pid(text).map(|pid| Pid::as_raw_nonzero(pid).get());
        assert_eq!(found("4711\n/data\n"), Some(4711));
        assert_eq!(found("-4711\n/data\n"), Some(4711), "a single-user server's");
        for broken in ["", "\n", "0\n", "x\n", "-2147483648\n", "99999999999\n"] {
            assert_eq!(found(broken), None, "{broken:?}");
        }
    }
}
