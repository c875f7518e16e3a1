//! Deployment files, read by the loaders of those who read them in earnest.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::output;
use crate::error::Error;
use crate::parts::go::Module;

const MODULE: Module = Module {
    name: "manifests",
    title: "building the reader of deployment files from the Go module proxy",
    go_mod: include_str!("../tools/manifests/go.mod"),
    go_sum: include_str!("../tools/manifests/go.sum"),
    packages: &["."],
    arguments: &[],
    sources: &[("main.go", include_str!("../tools/manifests/main.go"))],
};

/// Builds the reader where that has not been done.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn install() -> Result<PathBuf, Error> {
    Ok(MODULE.ensure()?.join("manifests"))
}

/// A Compose file as Compose's own loader resolves it, with all profiles, as JSON.
///
/// # Errors
/// When the loader refuses it.
pub fn compose(file: &Path) -> Result<String, Error> {
    let mut command = Command::new(install()?);
    command.arg("compose").arg(file).env("POSTGRES_PASSWORD", "given");
    output("loading a Compose file", &mut command)
}

/// Holds values of a Helm chart against the list of keys that the chart knows.
///
/// # Errors
/// Naming every key that it does not.
pub fn values(keys: &Path, files: &[PathBuf]) -> Result<(), Error> {
    let mut command = Command::new(install()?);
    command.arg("values").arg(keys).args(files);
    output("checking values of a chart", &mut command).map(drop)
}
