//! `harness screenshots`: the pictures of README, of a sidecar that has something to show.

use std::fs;
use std::path::{Path, PathBuf};

use harness::aidp::{Aidp, Place};
use harness::browser::{Browser, Options as Look};
use harness::sidecar::Sidecar;
use harness::{Error, Result, postgres, temporal};

use super::{program, tell};

/// Where to, and of what.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder of the pictures [default: docs/images]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// The aidp-backup to show; built with cargo when not given
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Takes them.
pub(crate) fn run(options: &Options) -> Result<()> {
    let program = match &options.program {
        Some(program) => program.clone(),
        None => program::build()?,
    };
    let folder = options.folder.clone();
    let folder = folder.unwrap_or_else(|| program::checkout().join("docs/images"));
    let server = postgres::Server::start(17)?;
    let temporal = temporal::Server::start(&server)?;
    temporal.run_demo("default", 0, 24)?;
    let aidp = Aidp::new(&program, &server, Place::Folder)?;
    let mut command = aidp.command(&["serve", "--archive-schedule", "*/5 * * * *"]);
    command.envs(temporal.env()).env("AIDP_BACKUP_SETTLE", "1s");
    let sidecar = Sidecar::start(command)?;
    for job in ["export", "archive"] {
        sidecar.job_when(job, |state| state["last"]["verdict"] == "done")?;
    }
    // What has just closed has settled by now.
    sidecar.begin("archive")?;
    sidecar.job_when("archive", |state| {
        let runs = state["namespaces"][0]["runs"].as_u64();
        state["running"].is_null() && state["record"]["done"] == true && runs.is_some()
    })?;

    let browser = Browser::start(Look::default())?;
    let at = |path: &str| format!("http://{}{path}", sidecar.address());
    browser.resize(1100, 1180)?;
    browser.go(&at("/"))?;
    take(&browser, &folder.join("status.png"))?;
    browser.resize(1100, 900)?;
    browser.go(&at("/histories?workflow=change-1&type=ChangePipeline"))?;
    take(&browser, &folder.join("histories.png"))?;
    browser.click(&browser.one("tbody a")?)?;
    take(&browser, &folder.join("history.png"))?;
    drop(browser);
    sidecar.stop().map(drop)
}

fn take(browser: &Browser, path: &Path) -> Result<()> {
    let failed = |source| Error::Io { doing: format!("cannot write {}", path.display()), source };
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    fs::write(path, browser.picture()?).map_err(failed)?;
    tell(path.display().to_string());
    Ok(())
}
