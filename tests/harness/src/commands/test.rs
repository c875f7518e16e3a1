//! `harness test`: every part, then every test of the workspace, then one summary.

use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use harness::{Error, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::{install, program, tell};

/// How long the tests may say nothing. Whoever hangs must be named while there is somebody to
/// read it; each test takes far less.
const SILENCE: Duration = Duration::from_secs(15 * 60);

/// What to test.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Further arguments for `cargo test`, such as `-p vault` or `-- name`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// What cargo's test runners have said so far.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    names: Vec<String>,
}

/// Runs the tests; an error when one of them failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    install::install(install::Parts::All, || Ok(()))?;
    let failed = |source| Error::Io { doing: "running cargo test failed".to_owned(), source };
    // Built apart: from cold that takes longer than any test may say nothing.
    let built = cargo_test(options, &["--no-run"]).status().map_err(failed)?;
    if !built.success() {
        return Err(failed(std::io::Error::other(format!("the tests do not build: {built}"))));
    }
    let mut child = cargo_test(options, &[]).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut tally = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        follow(stdout, &mut tally).map_err(|error| {
            kill_with_children(&mut child);
            failed(error)
        })?;
    }
    let status = child.wait().map_err(failed)?;
    tell(format!(
        "\n{} passed, {} failed, {} ignored in {:.0} s",
        tally.passed,
        tally.failed,
        tally.ignored,
        started.elapsed().as_secs_f64()
    ));
    for name in &tally.names {
        tell(format!("  failed: {name}"));
    }
    if status.success() {
        return Ok(());
    }
    Err(failed(std::io::Error::other(format!("cargo test ended with {status}"))))
}

/// `cargo test` with these arguments and those of the command line.
fn cargo_test(options: &Options, arguments: &[&str]) -> Command {
    let mut command = program::cargo();
    command.args(["test", "--locked", "--no-fail-fast"]).args(arguments).stdin(Stdio::null());
    if !options.arguments.iter().any(|argument| argument == "-p" || argument == "--package") {
        command.arg("--workspace");
    }
    command.args(&options.arguments);
    command
}

/// Passes on what the tests print, line by line.
fn follow(stdout: ChildStdout, tally: &mut Tally) -> io::Result<()> {
    let (lines, printed) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    loop {
        match printed.recv_timeout(SILENCE) {
            Ok(line) => {
                let line = line?;
                tally.read(&line);
                tell(line);
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                let what = format!("nothing was printed for {SILENCE:?}: a test hangs");
                return Err(io::Error::new(io::ErrorKind::TimedOut, what));
            }
        }
    }
}

/// Ends cargo and the test binary that it waits for; the servers of a test die with it.
fn kill_with_children(cargo: &mut Child) {
    let pid = cargo.id();
    let children =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|text| text.parse().ok());
    for child in children.filter_map(Pid::from_raw) {
        // It may be gone already.
        let _ = kill_process(child, Signal::KILL);
    }
    let _ = cargo.kill();
    let _ = cargo.wait();
}

impl Tally {
    /// Takes in a line as libtest prints them: `test NAME ... FAILED`, and at the end of each
    /// binary `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            let words: Vec<&str> = result.split([' ', ';']).filter(|it| !it.is_empty()).collect();
            for pair in words.windows(2) {
                let [count, what] = pair else { continue };
                let Ok(count) = count.parse::<u64>() else { continue };
                match *what {
                    "passed" => self.passed += count,
                    "failed" => self.failed += count,
                    "ignored" => self.ignored += count,
                    _ => {}
                }
            }
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.names.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn results_of_all_binaries_are_added_up() {
        let mut tally = Tally::default();
        for line in [
            "running 2 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.02s",
            "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            tally.read(line);
        }
        assert_eq!((tally.passed, tally.failed, tally.ignored), (5, 1, 1));
        assert_eq!(tally.names, ["a::c"]);
    }
}
