//! An API server with Aidp's namespace, and kubectl as an operator types it.

#![allow(dead_code)] // Each test file uses its share of it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::kubernetes::ControlPlane;
use serde_json::Value;

/// Where everything lives.
pub const NAMESPACE: &str = "aidp-temporal";

/// The folder of the manifests.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s")
}

/// Runs a command that must succeed; gives what it printed and what it warned of.
pub fn ran(mut command: Command) -> (String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{stdout}{stderr}");
    (stdout, stderr)
}

/// The API server.
pub struct Cluster(pub ControlPlane);

impl Cluster {
    pub fn start() -> Self {
        let cluster = Self(ControlPlane::start().unwrap());
        cluster.apply("namespace");
        cluster
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let mut command = self.0.kubectl(&["-n", NAMESPACE]);
        command.args(arguments);
        ran(command).0
    }

    /// Applies a folder of the manifests.
    pub fn apply(&self, name: &str) {
        self.apply_folder(&folder().join(name));
    }

    /// Applies a folder; a warning (of `restricted`, of a field that is gone) is a failure.
    pub fn apply_folder(&self, path: &Path) {
        let path = path.to_str().unwrap();
        let arguments =
            ["apply", "--server-side", "--force-conflicts", "--validate=strict", "-k", path];
        let (_, warnings) = ran(self.0.kubectl(&arguments));
        assert!(!warnings.contains("Warning"), "{path}: {warnings}");
    }

    /// Creates one object.
    pub fn create(&self, object: &Value) {
        let mut command = self.0.kubectl(&["create", "-f", "-"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{object}");
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["-o", "json"]).collect();
        serde_json::from_str(&self.kubectl(&arguments)).unwrap()
    }

    /// Waits for a job's condition or value.
    pub fn wait(&self, job: &str, what: &str) {
        self.kubectl(&["wait", "--timeout=120s", &format!("--for={what}"), &format!("job/{job}")]);
    }
}
