//! Server processes: they die with their owner, whatever way the owner dies.
//!
//! `setpriv --pdeathsig` asks the kernel to kill the server when its parent dies. The kernel means
//! the parent *thread*, and a test runner gives each test a thread of its own; therefore all
//! servers are started by one thread that lives as long as the process.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::command::{end_of_log, find, output};
use crate::error::Error;

/// Between two looks at a condition that a server has no way to announce.
const LOOK: Duration = Duration::from_millis(10);

/// The user that servers run as when the harness itself runs as root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    uid: String,
    gid: String,
}

impl Account {
    /// `postgres` where there is such a user, else `nobody`; none when not root.
    ///
    /// # Errors
    /// When root and neither exists.
    pub(crate) fn unprivileged() -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd =
            std::fs::read_to_string("/etc/passwd").map_err(Error::io("cannot read /etc/passwd"))?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|wanted| {
                passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find_map(|fields| {
                    match fields.as_slice() {
                        [name, _, uid, gid, ..] if name == wanted => {
                            Some(Self { uid: (*uid).to_owned(), gid: (*gid).to_owned() })
                        }
                        _ => None,
                    }
                })
            })
            .map(Some)
            .ok_or_else(|| Error::Missing {
                program: "a user postgres or nobody".to_owned(),
                purpose: "running PostgreSQL, which refuses to run as root".to_owned(),
                hint: "useradd --system postgres".to_owned(),
            })
    }

    /// Makes this user the owner of a file or folder and of all below it.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        output(
            "handing a folder to the server's user",
            Command::new("chown")
                .arg("-R")
                .arg(format!("{}:{}", self.uid, self.gid))
                .arg("--")
                .arg(path),
        )
        .map(drop)
    }
}

/// A command that runs as `account` and is killed when its owner dies.
///
/// # Errors
/// When `setpriv` is missing.
pub(crate) fn owned_command(
    account: Option<&Account>,
    program: impl AsRef<OsStr>,
) -> Result<Command, Error> {
    let setpriv =
        find("setpriv", "tying servers to their owner's life", "install util-linux 2.33 or newer")?;
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL"]);
    if let Some(Account { uid, gid }) = account {
        command.args(["--reuid", uid, "--regid", gid, "--clear-groups"]);
    }
    command.arg("--").arg(program);
    Ok(command)
}

/// A running server process, or what is left of it.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Daemon {
    /// Starts `command`; its output is appended to `log`.
    ///
    /// It becomes the leader of a process group of its own: a Ctrl-C on the terminal is for its
    /// owner alone, who then stops it in order.
    pub(crate) fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self, Error> {
        let doing = format!("cannot start {name}");
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(Error::io(format!("cannot open {}", log.display())))?;
        let again = file.try_clone().map_err(Error::io(doing.clone()))?;
        command.stdin(Stdio::null()).stdout(file).stderr(again).process_group(0);
        let child = spawn_from_lasting_thread(command).map_err(Error::io(doing))?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), child })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// When the process ends first or `limit` passes; the error carries the end of the log.
    pub(crate) fn wait_until(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            if ready() {
                return Ok(());
            }
            if let Some(status) = self.try_wait()? {
                return Err(self.failure(format!("ended with {status} instead of getting ready")));
            }
            if started.elapsed() > limit {
                return Err(self.failure(format!("was not ready within {limit:?}")));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Sends a signal and waits for the end, at most `limit`.
    ///
    /// # Errors
    /// When it is still running after that.
    pub(crate) fn end(&mut self, signal: Signal, limit: Duration) -> Result<ExitStatus, Error> {
        let started = Instant::now();
        self.signal(signal)?;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            if started.elapsed() > limit {
                return Err(self.failure(format!("still runs {limit:?} after {signal:?}")));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Kills it and, first frozen so that it cannot make more of them, all its children.
    pub(crate) fn kill_tree(&mut self) -> Result<(), Error> {
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        self.signal(Signal::STOP)?;
        let pid = self.pid();
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        self.signal(Signal::KILL)?;
        for child in children.split_whitespace().filter_map(|text| text.parse().ok()) {
            if let Some(child) = Pid::from_raw(child) {
                // It may be gone already.
                let _ = kill_process(child, Signal::KILL);
            }
        }
        self.child.wait().map_err(Error::io(format!("cannot wait for {}", self.name)))?;
        Ok(())
    }

    /// Sends a signal; without effect once the process has been waited for.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        let doing = format!("cannot signal {}", self.name);
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(io::Error::from)
            .map_err(Error::io(doing))
    }

    /// Its exit status, once it has ended.
    pub(crate) fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(Error::io(format!("cannot wait for {}", self.name)))
    }

    /// An error about this server with the end of its log.
    pub(crate) fn failure(&self, what: impl Into<String>) -> Error {
        Error::Server { server: self.name.clone(), what: what.into(), log: end_of_log(&self.log) }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A destructor has nobody to report to, and the kernel sees to the rest.
        let _ = self.kill_tree();
    }
}

type Request = (Command, Sender<io::Result<Child>>);

fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (requests, queue) = mpsc::channel::<Request>();
        std::thread::spawn(move || {
            // The sender is in a static: this loop ends with the process.
            for (mut command, answer) in queue {
                let _ = answer.send(command.spawn());
            }
        });
        requests
    });
    let gone = || io::Error::other("the thread that starts servers is gone");
    let (answer, child) = mpsc::channel();
    spawner.send((command, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}
