//! Parts built from the Go module proxy, by a module of ours whose `go.sum` pins every source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::Part;
use crate::command::{find, output};
use crate::error::Error;

use super::check_platform;

/// A set of programs built together.
pub(crate) struct Module {
    /// Short name of the part.
    pub(crate) name: &'static str,
    /// What a person reads while it is built.
    pub(crate) title: &'static str,
    /// Its `go.mod`.
    pub(crate) go_mod: &'static str,
    /// Its `go.sum`.
    pub(crate) go_sum: &'static str,
    /// The packages to build, each giving a program named by its last element.
    pub(crate) packages: &'static [&'static str],
    /// Further arguments of `go build`.
    pub(crate) arguments: &'static [&'static str],
    /// Files of the module itself, by name.
    pub(crate) sources: &'static [(&'static str, &'static str)],
}

impl Module {
    /// The folder of the programs; builds them first where that has not been done.
    ///
    /// # Errors
    /// When Go is missing or too old, or the build fails.
    pub(crate) fn ensure(&self) -> Result<PathBuf, Error> {
        check_platform()?;
        let packages = self.packages.join(" ");
        let arguments = self.arguments.join(" ");
        let mut pins = vec![self.go_mod, self.go_sum, &packages, &arguments];
        pins.extend(self.sources.iter().map(|(_, text)| *text));
        Part { name: self.name, title: self.title.to_owned(), pins: &pins }
            .ensure(|into| self.build(into))
    }

    fn build(&self, into: &Path) -> Result<(), Error> {
        let go = find(
            "go",
            self.title,
            "install Go 1.26.8 or newer from https://go.dev/dl (from 1.21 on, Go fetches the \
             version that a module asks for by itself)",
        )?;
        let own = [("go.mod", self.go_mod), ("go.sum", self.go_sum)];
        for (name, text) in own.iter().chain(self.sources) {
            let path = into.join(name);
            fs::write(&path, text)
                .map_err(Error::io(format!("cannot write {}", path.display())))?;
        }
        output(
            self.title,
            Command::new(go)
                .args(["build", "-mod=readonly", "-ldflags=-s -w", "-o"])
                .arg(format!("{}/", into.display()))
                .args(self.arguments)
                .args(self.packages)
                .env("CGO_ENABLED", "0")
                .env("GOFLAGS", "")
                .env("GOWORK", "off")
                .current_dir(into),
        )
        .map(drop)
    }
}
