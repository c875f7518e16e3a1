//! Parts from the npm registry, by a lock file with hashes.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::command::{find, output};
use crate::error::Error;

/// A link that a package could not carry: npm's archives hold plain files only.
#[derive(Deserialize)]
struct Link {
    source: String,
    target: String,
}

/// Installs the packages of a lock file below `into/node_modules`.
///
/// The packages' own scripts are not run; all that those of the PostgreSQL packages do is to
/// make the links listed in `native/pg-symlinks.json`, which is done here instead.
///
/// # Errors
/// When npm is missing or fails, for instance over a hash that does not fit.
pub(crate) fn install(into: &Path, package: &str, lock: &str) -> Result<(), Error> {
    let npm = find(
        "npm",
        "installing PostgreSQL servers",
        "install Node.js 16 or newer (Debian: apt-get install npm)",
    )?;
    for (name, text) in [("package.json", package), ("package-lock.json", lock)] {
        let path = into.join(name);
        fs::write(&path, text).map_err(Error::io(format!("cannot write {}", path.display())))?;
    }
    output(
        "installing packages from npm",
        Command::new(npm)
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(into),
    )?;
    let modules = into.join("node_modules");
    let packages =
        fs::read_dir(&modules).map_err(Error::io(format!("cannot list {}", modules.display())))?;
    for package in packages.flatten().filter(|entry| entry.path().is_dir()) {
        link(&package.path())?;
    }
    Ok(())
}

fn link(package: &Path) -> Result<(), Error> {
    let list = package.join("native/pg-symlinks.json");
    let text = match fs::read(&list) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(format!("cannot read {}", list.display()))(error)),
    };
    let links: Vec<Link> = serde_json::from_slice(&text)
        .map_err(std::io::Error::other)
        .map_err(Error::io(format!("cannot read {}", list.display())))?;
    for Link { source, target } in links {
        let target = package.join(target);
        let Some(name) = Path::new(&source).file_name() else { continue };
        // Every link of these packages is to a file beside it.
        match std::os::unix::fs::symlink(name, &target) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(Error::io(format!("cannot link {}", target.display()))(error));
            }
            _ => {}
        }
    }
    Ok(())
}
