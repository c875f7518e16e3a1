//! How a failure prints: one line that says what failed and why, and one that says what to do.

use std::io::Write;

use serde_json::json;

use crate::cli::LogFormat;
use crate::error::CommandError;
use crate::exit::Exit;

/// Prints a failure on standard error and says how to end.
pub fn failure(error: &CommandError, format: LogFormat) -> Exit {
    let exit = error.exit();
    if exit != Exit::Done {
        let text = match format {
            LogFormat::Text => text(error, error.hint()),
            LogFormat::Json => json(error, error.hint(), exit),
        };
        // Nobody is left to be told that this failed.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
    exit
}

/// `error: what: why: why that`, then `hint: what to do`.
fn text(error: &CommandError, hint: Option<String>) -> String {
    let hint = hint.map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
    format!("error: {}\n{hint}", jobs::chain(error))
}

fn json(error: &CommandError, hint: Option<String>, exit: Exit) -> String {
    let line = json!({
        "timestamp": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        "level": "ERROR",
        "message": jobs::chain(error),
        "hint": hint,
        "exitCode": exit as u8,
    });
    format!("{line}\n")
}
