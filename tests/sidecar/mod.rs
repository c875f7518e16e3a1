//! A sidecar under test: its messages, its answers, and servers that listen to what it tells.
#![allow(dead_code)] // Each test file uses its share of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);
/// The token of those that have one.
pub const TOKEN: &str = "a-token-of-some-length";

pub struct Sidecar {
    child: Child,
    lines: Receiver<String>,
    pub address: String,
    pub said: Vec<String>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Sidecar {
    /// Starts it on a free port and waits until it listens.
    pub fn start(mut command: Command) -> Self {
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| drop(send.send(line)));
        });
        let mut sidecar = Self { child, lines, address: String::new(), said: Vec::new() };
        let line = sidecar.says("listening on http://");
        let address = line.split("http://").nth(1).unwrap();
        sidecar.address = address.split('/').next().unwrap().to_owned();
        sidecar
    }

    /// Waits for a message.
    pub fn says(&mut self, text: &str) -> String {
        let until = Instant::now() + LIMIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("{text:?} was not said: {:#?}", self.said),
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits for its end.
    pub fn ends(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        self.said.extend(self.lines.iter());
        status
    }

    /// SIGTERM, and a good end.
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ends();
        assert!(status.success(), "{status}: {:#?}", self.said);
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\n"))
    }

    pub fn post(&self, path: &str, token: Option<&str>) -> Answer {
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let token = token.unwrap_or_default();
        self.ask(&format!("POST {path} HTTP/1.1\r\n{token}Content-Length: 0\r\n"))
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.get("/api/v1/status").body).unwrap()
    }

    /// The state of the export, once `is` is true of it.
    pub fn export_when(&self, is: impl Fn(&Value) -> bool) -> Value {
        self.job_when("export", is)
    }

    /// The state of a job, once `is` is true of it.
    pub fn job_when(&self, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + LIMIT;
        loop {
            let status = self.status();
            let jobs = status["jobs"].as_array().unwrap();
            let job = jobs.iter().find(|job| job["job"] == name).unwrap().clone();
            if is(&job) {
                return job;
            }
            assert!(Instant::now() < until, "{job:#}");
            std::thread::yield_now();
        }
    }

    fn ask(&self, head: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "{head}Host: here\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = Vec::new();
        // A server that refuses a request half way may reset the connection behind its answer.
        let _ = stream.read_to_end(&mut text);
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It has ended already, or the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that says yes to everything and remembers it: `POST /path`, and the body.
pub struct Listener {
    pub address: String,
    heard: Receiver<(String, String)>,
}

impl Listener {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (send, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(request) = answer(stream) else { continue };
                if send.send(request).is_err() {
                    break;
                }
            }
        });
        Self { address, heard }
    }

    /// The next request.
    pub fn hears(&self) -> (String, String) {
        self.heard.recv_timeout(LIMIT).unwrap()
    }
}

fn answer(mut stream: TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let yes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(yes).ok()?;
    let what = first.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Some((what, String::from_utf8(body).ok()?))
}

/// A mail server that takes everything, without TLS.
pub struct MailServer {
    pub address: String,
    heard: Receiver<String>,
}

impl MailServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (send, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Ok(Some(mail)) = take_mail(stream)
                    && send.send(mail).is_err()
                {
                    break;
                }
            }
        });
        Self { address, heard }
    }

    /// The next mail, envelope and all.
    pub fn hears(&self) -> String {
        self.heard.recv_timeout(LIMIT).unwrap()
    }

    /// A mail that has come already.
    pub fn heard(&self) -> Option<String> {
        self.heard.try_recv().ok()
    }
}

/// One conversation by RFC 5321; `None` when no mail came of it.
fn take_mail(mut stream: TcpStream) -> std::io::Result<Option<String>> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut all, mut in_data, mut taken) = (String::new(), false, false);
    write!(stream, "220 here\r\n")?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(taken.then_some(all));
        }
        all.push_str(&line);
        let word = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        if in_data {
            in_data = line.trim_end() != ".";
            if !in_data {
                taken = true;
                write!(stream, "250 taken\r\n")?;
            }
            continue;
        }
        match word.as_str() {
            "DATA" => {
                in_data = true;
                write!(stream, "354 go on\r\n")?;
            }
            "QUIT" => {
                write!(stream, "221 bye\r\n")?;
                return Ok(taken.then_some(all));
            }
            _ => write!(stream, "250 yes\r\n")?,
        }
    }
}
