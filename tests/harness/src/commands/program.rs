//! The program under demonstration, built from this checkout.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::progress::Step;
use harness::{Error, Result};
use serde::Deserialize;

/// A message of `cargo build --message-format json`; only those about artifacts matter.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// The checkout that this binary was built from.
pub(crate) fn checkout() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// The cargo that runs this, or the one in `PATH`.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(checkout());
    command
}

/// Builds `aidp-backup` as the tests do and gives its path.
pub(crate) fn build() -> Result<PathBuf> {
    let title = "building aidp-backup with cargo";
    let step = Step::start(title);
    let failed = |source: std::io::Error| Error::Io { doing: format!("{title} failed"), source };
    let built = cargo()
        .args(["build", "--quiet", "--locked", "--bin", "aidp-backup"])
        .args(["--message-format", "json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(failed)?;
    if !built.status.success() {
        return Err(failed(std::io::Error::other(format!("cargo ended with {}", built.status))));
    }
    let program = String::from_utf8_lossy(&built.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.target.as_ref().is_some_and(|it| it.name == "aidp-backup"))
        .find_map(|message| message.executable)
        .ok_or_else(|| failed(std::io::Error::other("cargo named no program")))?;
    step.done();
    Ok(program)
}
