//! Definitions of the kinds that the operators of Prometheus and of external secrets bring.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::cache::Part;
use crate::command::{find, output};
use crate::error::Error;

const GO_MOD: &str = include_str!("../../tools/crds/go.mod");
const GO_SUM: &str = include_str!("../../tools/crds/go.sum");

/// Where each stands in its module.
const FILES: [(&str, &str); 3] = [
    (
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
    (
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
    (
        "github.com/external-secrets/external-secrets",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
    ),
];

/// The folder of the definitions.
///
/// # Errors
/// When a module cannot be had.
pub(crate) fn ensure() -> Result<PathBuf, Error> {
    let title = "fetching definitions of operators from the Go module proxy";
    let names = FILES.map(|(_, path)| path).join(" ");
    Part { name: "definitions", title: title.to_owned(), pins: &[GO_MOD, GO_SUM, &names] }.ensure(
        |into| {
            let go = find("go", title, "install Go 1.26.8 or newer from https://go.dev/dl")?;
            for (name, text) in [("go.mod", GO_MOD), ("go.sum", GO_SUM)] {
                fs::write(into.join(name), text)
                    .map_err(Error::io(format!("cannot write {name}")))?;
            }
            for (module, path) in FILES {
                let go = |arguments: &[&str]| {
                    let mut command = Command::new(&go);
                    command.args(arguments).arg(module).current_dir(into);
                    command.env("GOFLAGS", "-mod=mod").env("GOWORK", "off");
                    output(title, &mut command)
                };
                go(&["mod", "download"])?;
                let folder = PathBuf::from(go(&["list", "-m", "-f", "{{.Dir}}"])?.trim());
                let from = folder.join(path);
                let name = from.file_name().unwrap_or_default().to_owned();
                fs::copy(&from, into.join(name))
                    .map_err(Error::io(format!("cannot copy {}", from.display())))?;
            }
            Ok(())
        },
    )
}
