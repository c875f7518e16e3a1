//! The ready-made replayers of histories, and the demo's workflows for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::Part;
use crate::command::{find, output};
use crate::error::Error;
use crate::parts::{check_platform, pip};
use crate::temporal;

const PYTHON: &str = include_str!("../../../jobs/temporal/replay/python/replay.py");
const WORKFLOWS: &str = include_str!("../demo/workflows.py");

/// Sources of the Go replayer with the demo's workflows.
const GO: [(&str, &str); 4] = [
    ("go.mod", include_str!("../../../jobs/temporal/replay/go/go.mod")),
    ("go.sum", include_str!("../../../jobs/temporal/replay/go/go.sum")),
    ("replay.go", include_str!("../../../jobs/temporal/replay/go/replay.go")),
    ("demo/main.go", include_str!("../../../jobs/temporal/replay/go/demo/main.go")),
];

const TITLE: &str = "building the replayer in Go from the Go module proxy (a minute or two)";

/// Builds the Go replayer with the demo's workflows where that has not been done; gives its path.
/// It replays `ApplyPart`, and with `-changed` one that does something else.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn install_go() -> Result<PathBuf, Error> {
    check_platform()?;
    let pins = GO.map(|(_, text)| text);
    let folder =
        Part { name: "replayer-go", title: TITLE.to_owned(), pins: &pins }.ensure(build)?;
    Ok(folder.join("demo-replayer"))
}

fn build(into: &Path) -> Result<(), Error> {
    let go = find("go", TITLE, "install Go 1.24 or newer from https://go.dev/dl")?;
    for (name, text) in GO {
        let path = into.join(name);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, text))
            .map_err(Error::io(format!("cannot write {}", path.display())))?;
    }
    output(
        TITLE,
        Command::new(go)
            .args(["build", "-mod=readonly", "-ldflags=-s -w", "-o"])
            .arg(into.join("demo-replayer"))
            .arg("./demo")
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "")
            .env("GOWORK", "off")
            .current_dir(into),
    )
    .map(drop)
}

/// A command line that replays the demo's workflows with Python's SDK. Its files are put into
/// `folder`; `change` makes another release of the workflows out of the demo's.
///
/// # Errors
/// When Python or its packages cannot be had.
pub fn python(folder: &Path, change: impl FnOnce(&str) -> String) -> Result<Vec<String>, Error> {
    let packages = temporal::install_demo()?;
    for (name, text) in [("replay.py", PYTHON.to_owned()), ("workflows.py", change(WORKFLOWS))] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(Error::io(format!("cannot write {}", path.display())))?;
    }
    let text = |path: PathBuf| path.display().to_string();
    let path = format!("PYTHONPATH={}:{}", folder.display(), packages.display());
    Ok(["env".to_owned(), path, "PYTHONDONTWRITEBYTECODE=1".to_owned(), text(pip::python()?)]
        .into_iter()
        .chain([text(folder.join("replay.py")), "workflows".to_owned(), "--unsandboxed".to_owned()])
        .collect())
}
