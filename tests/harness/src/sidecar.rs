//! A running `aidp-backup serve`: what it says, what it answers, how much memory it takes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::error::Error;
use crate::s3::http::{self, Response};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The token by which jobs are started.
pub const TOKEN: &str = "a-token-of-some-length";

/// A running sidecar; it is killed when this is dropped.
#[derive(Debug)]
pub struct Sidecar {
    child: Child,
    lines: Receiver<String>,
    address: String,
    said: Vec<String>,
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Everything that is resident, program text included.
    pub resident: u64,
    /// What it has allocated of that.
    pub anonymous: u64,
}

impl Sidecar {
    /// Starts `serve` on a free port, and waits until it listens.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(mut command: Command) -> Result<Self, Error> {
        command.args(["--listen", "127.0.0.1:0"]).env("AIDP_BACKUP_TOKEN", TOKEN);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(Error::io("cannot start the sidecar"))?;
        let stderr = child.stderr.take();
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines());
            lines.map_while(Result::ok).for_each(|line| drop(send.send(line)));
        });
        let mut sidecar = Self { child, lines, address: String::new(), said: Vec::new() };
        let line = sidecar.says("listening on http://")?;
        let address = line.split("http://").nth(1).unwrap_or_default();
        sidecar.address = address.split('/').next().unwrap_or_default().to_owned();
        Ok(sidecar)
    }

    /// `HOST:PORT` that it listens on.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it has said until now.
    pub fn said(&mut self) -> &[String] {
        self.said.extend(self.lines.try_iter());
        &self.said
    }

    /// Waits for a message.
    ///
    /// # Errors
    /// When it does not come.
    pub fn says(&mut self, text: &str) -> Result<String, Error> {
        let until = Instant::now() + LIMIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                return Err(self.failure(format!("did not say {text:?}")));
            };
            self.said.push(line.clone());
            if line.contains(text) {
                return Ok(line);
            }
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it is not there any more.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(std::io::Error::from)
            .map_err(Error::io("cannot signal the sidecar"))
    }

    /// SIGTERM, and a good end; gives what it has said.
    ///
    /// # Errors
    /// When it ends otherwise.
    pub fn stop(mut self) -> Result<Vec<String>, Error> {
        self.signal(Signal::TERM)?;
        let status = self.child.wait().map_err(Error::io("cannot wait for the sidecar"))?;
        self.said.extend(self.lines.iter());
        if !status.success() {
            return Err(self.failure(format!("ended with {status}")));
        }
        Ok(std::mem::take(&mut self.said))
    }

    /// Asks for a page.
    ///
    /// # Errors
    /// When nothing is answered.
    pub fn get(&self, path: &str) -> Result<Response, Error> {
        let host = [("host".to_owned(), self.address.clone())];
        http::send(&self.address, "GET", path, &host, b"")
            .map_err(Error::io(format!("the sidecar does not answer {path}")))
    }

    /// Starts a job.
    ///
    /// # Errors
    /// When nothing is answered.
    pub fn begin(&self, job: &str) -> Result<Response, Error> {
        let headers = [
            ("host".to_owned(), self.address.clone()),
            ("authorization".to_owned(), format!("Bearer {TOKEN}")),
        ];
        http::send(&self.address, "POST", &format!("/api/v1/jobs/{job}"), &headers, b"")
            .map_err(Error::io("the sidecar does not answer"))
    }

    /// The state of its jobs.
    ///
    /// # Errors
    /// When nothing sensible is answered.
    pub fn status(&self) -> Result<Value, Error> {
        let body = self.get("/api/v1/status")?.body;
        serde_json::from_slice(&body)
            .map_err(std::io::Error::other)
            .map_err(Error::io("the sidecar's state is no JSON"))
    }

    /// Waits until the state of a job is as wanted.
    ///
    /// # Errors
    /// When it does not become so.
    pub fn job_when(&self, job: &str, is: impl Fn(&Value) -> bool) -> Result<Value, Error> {
        let until = Instant::now() + LIMIT;
        loop {
            let status = self.status()?;
            let jobs = status["jobs"].as_array().cloned().unwrap_or_default();
            let state = jobs.into_iter().find(|state| state["job"] == job).unwrap_or_default();
            if is(&state) {
                return Ok(state);
            }
            if Instant::now() > until {
                return Err(self.failure(format!("has {job} in another state: {state:#}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How much memory it takes now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn memory(&self) -> Result<Memory, Error> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(&path)
            .map_err(Error::io(format!("cannot read {path}: the sidecar has ended")))?;
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or_default() * 1024
        };
        Ok(Memory { resident: bytes("VmRSS:"), anonymous: bytes("RssAnon:") })
    }

    /// An error about it, with what it has said last.
    #[must_use]
    pub fn failure(&self, what: impl Into<String>) -> Error {
        let last = self.said.iter().rev().take(20).rev().cloned().collect::<Vec<_>>().join("\n");
        Error::Server { server: "the sidecar".to_owned(), what: what.into(), log: last }
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It has ended already, or its owner has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
