//! Programs run to their end: installers and clients.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::error::Error;

/// How many of the last lines of a failed command are shown.
const SHOWN_LINES: usize = 40;

/// Runs `command` to its end and gives what it printed on standard output.
///
/// # Errors
/// When it cannot be started or ends unsuccessfully; the error carries the end of its output.
pub(crate) fn output(doing: &str, command: &mut Command) -> Result<String, Error> {
    let shown = display(command);
    let done = command
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io(format!("cannot run {shown} for {doing}")))?;
    judge(doing, shown, &done)
}

/// [`output`], but what runs longer than `limit` is killed and counts as failed.
///
/// # Errors
/// As [`output`], and when the limit passes.
pub(crate) fn output_within(
    limit: Duration,
    doing: &str,
    command: &mut Command,
) -> Result<String, Error> {
    let shown = display(command);
    let failed = || Error::io(format!("cannot run {shown} for {doing}"));
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed())?;
    let pid = Pid::from_child(&child);
    let (ended, watched) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let expired =
            watched.recv_timeout(limit).is_err_and(|why| why == RecvTimeoutError::Timeout);
        // Whoever waits for the child still does, so that its number is not another's.
        expired && kill_process(pid, Signal::KILL).is_ok()
    });
    let done = child.wait_with_output();
    drop(ended);
    let killed = watch.join().unwrap_or_default();
    let done = done.map_err(failed())?;
    if killed && !done.status.success() {
        return Err(failed()(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("it was killed, still running after {limit:?}"),
        )));
    }
    judge(doing, shown, &done)
}

/// What a program that has ended printed, or the error that its end means.
fn judge(doing: &str, shown: String, done: &Output) -> Result<String, Error> {
    if !done.status.success() {
        let mut text = String::from_utf8_lossy(&done.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&done.stderr));
        return Err(Error::Command {
            doing: doing.to_owned(),
            command: shown,
            status: done.status.to_string(),
            output: last_lines(&text),
        });
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The path of `program`, sought in `PATH`.
///
/// # Errors
/// [`Error::Missing`] with the purpose and the hint given.
pub(crate) fn find(program: &str, purpose: &str, hint: &str) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/go/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| Error::Missing {
            program: program.to_owned(),
            purpose: purpose.to_owned(),
            hint: hint.to_owned(),
        })
}

/// The last lines of a text.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// The last lines of a log file, or why there are none.
pub(crate) fn end_of_log(path: &Path) -> String {
    match std::fs::read(path) {
        Ok(bytes) => last_lines(&String::from_utf8_lossy(&bytes)),
        Err(error) => format!("(no log at {}: {error})", path.display()),
    }
}

fn display(command: &Command) -> String {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().map(OsStr::to_string_lossy) {
        let _ = write!(shown, " {argument}");
    }
    shown
}
