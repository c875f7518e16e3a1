//! Programs run to their end: installers and clients.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
