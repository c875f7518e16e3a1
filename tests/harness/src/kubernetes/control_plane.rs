//! etcd, API server and controller manager on free ports, with an administrator's kubectl.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::command::{find, output, output_within};
use crate::error::Error;
use crate::process::{Daemon, owned_command};
use crate::run::Port;

const START_LIMIT: Duration = Duration::from_secs(120);
const TOKEN: &str = "harness-administrator";

/// A running control plane with empty storage; it dies with its owner.
#[derive(Debug)]
pub struct ControlPlane {
    bin: PathBuf,
    folder: TempDir,
    // Ended in this order, clients first.
    _controllers: Daemon,
    _apiserver: Daemon,
    _etcd: Daemon,
    ports: [Port; 3],
}

impl ControlPlane {
    /// Starts one, and installs the definitions of the kinds that operators bring.
    ///
    /// # Errors
    /// When a part cannot be had or does not come up.
    pub fn start() -> Result<Self, Error> {
        let bin = super::install()?;
        let folder = TempDir::new().map_err(Error::io("cannot make a folder"))?;
        let ports = [Port::pick()?, Port::pick()?, Port::pick()?];
        let [client, peer, api] = [&ports[0], &ports[1], &ports[2]].map(Port::number);
        prepare(folder.path(), api)?;
        let etcd = etcd(&bin, folder.path(), client, peer)?;
        let mut apiserver = apiserver(&bin, folder.path(), client, api)?;
        let kubectl = |arguments: &[&str]| {
            let mut command = Command::new(bin.join("kubectl"));
            command.arg("--kubeconfig").arg(folder.path().join("kubeconfig")).args(arguments);
            output_within(Duration::from_secs(30), "asking the API server", &mut command)
        };
        apiserver.wait_until(START_LIMIT, || kubectl(&["get", "--raw", "/readyz"]).is_ok())?;
        let controllers = controllers(&bin, folder.path())?;
        let definitions = super::definitions::ensure()?;
        for entry in ["servicemonitors", "prometheusrules"] {
            let file = definitions.join(format!("monitoring.coreos.com_{entry}.yaml"));
            kubectl(&["create", "-f", &file.display().to_string()])?;
        }
        let file = definitions.join("external-secrets.io_externalsecrets.yaml");
        kubectl(&["create", "-f", &file.display().to_string()])?;
        kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
        Ok(Self {
            folder,
            _controllers: controllers,
            _apiserver: apiserver,
            _etcd: etcd,
            ports,
            bin,
        })
    }

    /// `HOST:PORT` of the API server.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[2].number())
    }

    /// Folder of the programs, for a `PATH`.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The administrator's configuration of kubectl.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// A kubectl of the administrator.
    #[must_use]
    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.bin.join("kubectl"));
        command.env("KUBECONFIG", self.kubeconfig()).args(arguments);
        command
    }
}

/// Keys and files that the servers want to find.
fn prepare(folder: &Path, api: u16) -> Result<(), Error> {
    let openssl = find("openssl", "the key of service accounts", "apt-get install openssl")?;
    let key = folder.join("accounts.key");
    output(
        "making the key of service accounts",
        Command::new(openssl).args(["genrsa", "-out"]).arg(&key).arg("2048"),
    )?;
    let config = kubeconfig(&format!("127.0.0.1:{api}"));
    let tokens = format!("{TOKEN},administrator,1,system:masters\n");
    for (name, text) in [("kubeconfig", config), ("tokens", tokens)] {
        std::fs::write(folder.join(name), text)
            .map_err(Error::io(format!("cannot write {name}")))?;
    }
    Ok(())
}

/// The administrator's configuration, for whoever reaches the API server at this address.
pub(super) fn kubeconfig(address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: harness\n\
         clusters: [{{name: harness, cluster: {{server: 'https://{address}', \
         insecure-skip-tls-verify: true}}}}]\n\
         users: [{{name: harness, user: {{token: {TOKEN}}}}}]\n\
         contexts: [{{name: harness, context: {{cluster: harness, user: harness}}}}]\n"
    )
}

fn etcd(bin: &Path, folder: &Path, client: u16, peer: u16) -> Result<Daemon, Error> {
    let mut command = owned_command(None, bin.join("server"))?;
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    command
        .arg("--unsafe-no-fsync")
        .arg(format!("--data-dir={}", folder.join("etcd").display()))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"));
    Daemon::spawn("etcd", command, &folder.join("etcd.log"))
}

fn apiserver(bin: &Path, folder: &Path, etcd: u16, api: u16) -> Result<Daemon, Error> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut command = owned_command(None, bin.join("kube-apiserver"))?;
    command
        .arg(format!("--etcd-servers=http://127.0.0.1:{etcd}"))
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
        .arg(format!("--secure-port={api}"))
        .arg(format!("--cert-dir={}", path("certificates")))
        .arg(format!("--token-auth-file={}", path("tokens")))
        .args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16"])
        // A node's name means nothing here.
        .arg("--kubelet-preferred-address-types=InternalIP")
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(format!("--service-account-key-file={}", path("accounts.key")))
        .arg(format!("--service-account-signing-key-file={}", path("accounts.key")));
    Daemon::spawn("kube-apiserver", command, &folder.join("apiserver.log"))
}

fn controllers(bin: &Path, folder: &Path) -> Result<Daemon, Error> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut command = owned_command(None, bin.join("kube-controller-manager"))?;
    command
        .arg(format!("--kubeconfig={}", path("kubeconfig")))
        .arg(format!("--service-account-private-key-file={}", path("accounts.key")))
        .args(["--use-service-account-credentials=false", "--leader-elect=false"])
        .args(["--secure-port=0", "--concurrent-job-syncs=2"]);
    Daemon::spawn("kube-controller-manager", command, &folder.join("controllers.log"))
}
