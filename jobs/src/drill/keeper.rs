//! Servers that end with the drill, whatever way it ends.
//!
//! A drill starts its servers through this program itself, under the word [`WORD`]: it asks the
//! kernel to be killed when the drill's process dies, and then becomes the server. A drill that
//! is killed so leaves nothing running; its files are removed by the next one.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use crate::Error;

/// The word by which the program knows that it is to become a server.
pub const WORD: &str = "drill-server";

/// How often a server is looked at that is starting or stopping.
const LOOK: Duration = Duration::from_millis(20);

/// Bytes of a log that an error shows.
const LOG_END: usize = 4096;

/// Becomes the server that `arguments` name (the drill's process id, the program and its
/// arguments). Returns only when that fails.
#[must_use]
pub fn become_server(arguments: impl IntoIterator<Item = OsString>) -> io::Error {
    let mut arguments = arguments.into_iter();
    let parent = arguments.next().and_then(|text| text.to_str()?.parse::<i32>().ok());
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return io::Error::other("this word is for the program's own use");
    };
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // It may have died before it could be watched.
    if rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
        return io::Error::other("the drill has ended");
    }
    std::process::Command::new(program).args(arguments).exec()
}

/// Whom a server runs as, when the drill runs as root: PostgreSQL refuses that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// `postgres` where there is such a user, else `nobody`; none when not root.
    pub fn unprivileged() -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let path = Path::new("/etc/passwd");
        let text = std::fs::read_to_string(path).map_err(|source| Error::Local {
            doing: "read",
            path: path.to_owned(),
            source,
        })?;
        let account = |wanted: &str| {
            text.lines().find_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                let (uid, gid) = (fields.nth(1)?, fields.next()?);
                (name == wanted).then_some(Self { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
            })
        };
        account("postgres").or_else(|| account("nobody")).map(Some).ok_or_else(|| Error::Refused {
            what: "PostgreSQL does not run as root, and there is no user postgres or nobody".into(),
            hint: "run the drill as another user, or give it a server with --scratch".into(),
        })
    }
}

/// A server to start.
#[derive(Debug)]
pub(super) struct Spec<'a> {
    /// For people.
    pub name: &'static str,
    pub program: &'a Path,
    pub arguments: Vec<OsString>,
    pub account: Option<Account>,
    pub folder: &'a Path,
    pub log: PathBuf,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    log: PathBuf,
    child: Child,
}

impl Server {
    /// Starts it.
    pub fn start(spec: Spec<'_>) -> Result<Self, Error> {
        let local = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Local { doing, path, source }
        };
        let log = std::fs::File::options().create(true).append(true).open(&spec.log);
        let log = log.map_err(local("open", &spec.log))?;
        let again = log.try_clone().map_err(local("open", &spec.log))?;
        // Only what a program needs to find its way: no secrets of ours.
        let kept = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH"];
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(WORD)
            .arg(std::process::id().to_string())
            .arg(spec.program)
            .args(&spec.arguments)
            .env_clear()
            .envs(kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .current_dir(spec.folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(again)
            .process_group(0)
            .kill_on_drop(true);
        if let Some(Account { uid, gid }) = spec.account {
            command.uid(uid).gid(gid);
        }
        let child = command.spawn().map_err(local("start", spec.program))?;
        Ok(Self { name: spec.name, log: spec.log, child })
    }

    /// Waits until `ready` says so.
    pub async fn wait_until<F>(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut() -> F,
    ) -> Result<(), Error>
    where
        F: Future<Output = bool>,
    {
        let waiting = async {
            while !ready().await {
                if let Ok(Some(status)) = self.child.try_wait() {
                    return Err(self.failure(&format!("ended with {status} instead of starting")));
                }
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        match tokio::time::timeout(limit, waiting).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.failure(&format!("was not ready within {} s", limit.as_secs()))),
        }
    }

    /// Waits for a program that ends by itself.
    pub async fn wait_for_success(&mut self, limit: Duration) -> Result<(), Error> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.failure(&format!("ended with {status}"))),
            Ok(Err(error)) => Err(self.failure(&format!("cannot be waited for ({error})"))),
            Err(_) => Err(self.failure(&format!("did not end within {} s", limit.as_secs()))),
        }
    }

    /// Ends it with `signal`, and with SIGKILL when that takes too long.
    pub async fn stop(mut self, signal: Signal, limit: Duration) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, signal);
        }
        if tokio::time::timeout(limit, self.child.wait()).await.is_err() {
            // Nothing more can be done about one that does not even die.
            let _ = self.child.kill().await;
        }
    }

    fn failure(&self, what: &str) -> Error {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let end = log.get(log.len().saturating_sub(LOG_END)..).unwrap_or_default();
        let end = String::from_utf8_lossy(end);
        let lines: Vec<&str> = end.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last: Vec<String> = lines.iter().rev().take(3).rev().map(|line| told(line)).collect();
        let last = last.join(" / ");
        Error::Refused {
            what: format!("{} {what}; its log ends: {last}", self.name),
            hint: "see what it says, and that its version fits".into(),
        }
    }
}

/// What a line of a log says to people: of one in JSON, as Temporal writes them, the message and
/// the error.
fn told(line: &str) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(line) else {
        return line.to_owned();
    };
    let parts = ["msg", "error"].into_iter().filter_map(|name| fields.get(name)?.as_str());
    parts.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn a_line_of_a_log_is_told_in_words() {
        assert_eq!(told("FATAL:  no room"), "FATAL:  no room");
        let line = r#"{"level":"fatal","msg":"cannot start","error":"wrong version","stack":"x"}"#;
        assert_eq!(told(line), "cannot start: wrong version");
    }
}
