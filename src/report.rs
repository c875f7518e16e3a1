//! How a failure prints: one line that says what failed and why, and one that says what to do.

use std::io::Write;

use serde_json::json;

use crate::cli::LogFormat;
use crate::error::CommandError;
use crate::exit::Exit;

/// Prints a failure on standard error and says how to end.
pub fn failure(error: &CommandError, format: LogFormat, run: &str) -> Exit {
    let exit = error.exit();
    if exit != Exit::Done {
        print(&jobs::chain(error), error.hint(), exit, format, run);
    }
    exit
}

/// Prints what failed on standard error, in the words given.
pub fn print(what: &str, hint: Option<String>, exit: Exit, format: LogFormat, run: &str) {
    let text = match format {
        LogFormat::Text => text(what, hint),
        LogFormat::Json => json(what, hint, exit, run),
    };
    // Nobody is left to be told that this failed.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Prints on standard error what helps, for a verb that did not fail and found something.
pub fn hint(hint: &str, format: LogFormat, run: &str) {
    let text = match format {
        LogFormat::Text => format!("hint: {hint}\n"),
        LogFormat::Json => {
            let line = json!({
                "timestamp": now(), "level": "INFO", "runId": run, "message": "what helps",
                "hint": hint,
            });
            format!("{line}\n")
        }
    };
    // Nobody is left to be told that this failed.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// `error: what: why: why that`, then `hint: what to do`.
fn text(what: &str, hint: Option<String>) -> String {
    let hint = hint.map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
    format!("error: {what}\n{hint}")
}

fn json(what: &str, hint: Option<String>, exit: Exit, run: &str) -> String {
    let line = json!({
        "timestamp": now(),
        "level": "ERROR",
        "runId": run,
        "message": what,
        "hint": hint,
        "exitCode": exit as u8,
    });
    format!("{line}\n")
}
