//! A node: scheduler, kubelet, containerd and runc, in namespaces of their own.
//!
//! What its pods are to reach on this machine is offered to them by a proxy on the node's link.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cache::remove_dir;
use crate::command::output_within;
use crate::error::Error;
use crate::image;
use crate::parts::apt::Packages;
use crate::process::{Daemon, owned_command};
use crate::proxy::Proxy;
use crate::run::{Port, new_folder};

use super::ControlPlane;
use super::control_plane::kubeconfig;

const PACKAGES: Packages = Packages {
    purpose: "running a node of Kubernetes",
    packages: &["containerd", "runc", "containernetworking-plugins", "iproute2", "util-linux"],
    programs: &["containerd", "ctr", "runc", "ip", "unshare", "nsenter", "../lib/cni/bridge"],
};
const START_LIMIT: Duration = Duration::from_secs(180);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A node of a control plane; it dies with its owner.
#[derive(Debug)]
pub struct Node {
    net: String,
    link: String,
    folder: PathBuf,
    process: Daemon,
    _scheduler: Daemon,
    _api: Proxy,
    // Its number makes names and addresses ours alone.
    _number: Port,
}

/// Installs what Debian brings.
///
/// # Errors
/// When it cannot be installed.
pub(super) fn install() -> Result<(), Error> {
    PACKAGES.ensure()
}

impl Node {
    /// Starts one that has these images (archives that `ctr images import` reads).
    ///
    /// # Errors
    /// When not root, when a part cannot be had, or when it does not get ready.
    pub fn start(plane: &ControlPlane, images: &[&Path]) -> Result<Self, Error> {
        install()?;
        let (number, folder) = (Port::pick()?, new_folder("node")?);
        let [high, low] = number.number().to_be_bytes();
        let (net, link) = (format!("10.{high}.{low}"), format!("aidp-{}", number.number()));
        prepare(&folder, &net, &link, plane.bin(), images)?;
        let mut command = owned_command(None, "bash")?;
        command.arg(folder.join("outside.sh")).arg(&folder).args([&link, &net]);
        command.arg(std::process::id().to_string());
        let mut process = Daemon::spawn("a node", command, &folder.join("log"))?;
        let linked = folder.join("linked");
        process.wait_until(START_LIMIT, || linked.exists())?;
        let api = Proxy::start_at(&format!("{net}.1"), &plane.address())?;
        write(&folder, "kubeconfig", &kubeconfig(&api.address()))?;
        let mut scheduler = owned_command(None, plane.bin().join("kube-scheduler"))?;
        scheduler.arg(format!("--kubeconfig={}", plane.kubeconfig().display()));
        scheduler.args(["--leader-elect=false", "--secure-port=0"]);
        let scheduler = Daemon::spawn("kube-scheduler", scheduler, &folder.join("scheduler.log"))?;
        let mut node =
            Self { net, link, folder, process, _scheduler: scheduler, _api: api, _number: number };
        let ready = ["wait", "--for=condition=Ready", "node/node", "--timeout=5s"];
        let asked = || {
            let doing = "asking for the node";
            output_within(Duration::from_secs(30), doing, &mut plane.kubectl(&ready)).is_ok()
        };
        node.process.wait_until(START_LIMIT, asked).map_err(|error| node.explained(error))?;
        Ok(node)
    }

    /// Offers a server of this machine to the pods; they connect to the proxy's address.
    ///
    /// # Errors
    /// When the proxy cannot listen.
    pub fn offer(&self, port: u16) -> Result<Proxy, Error> {
        Proxy::start_at(&format!("{}.1", self.net), &format!("127.0.0.1:{port}"))
    }

    /// A folder of this machine for a volume, owned by this user.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn volume(&self, name: &str, owner: u32) -> Result<PathBuf, Error> {
        let path = self.folder.join("volumes").join(name);
        fs::create_dir_all(&path)
            .and_then(|()| std::os::unix::fs::chown(&path, Some(owner), Some(owner)))
            .map_err(Error::io(format!("cannot make {}", path.display())))?;
        Ok(path)
    }

    /// An error with the kubelet's last words.
    fn explained(&self, error: Error) -> Error {
        let log = self.folder.join("kubelet.log");
        match error {
            Error::Server { server, what, log: outer } => {
                let log = format!("{outer}\n{}", crate::command::end_of_log(&log));
                Error::Server { server, what, log }
            }
            other => other,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Nobody is left to report to. What keeps a control group busy is dying: look again.
        let _ = self.process.kill_tree();
        let started = Instant::now();
        while !remove_groups(&self.link) && started.elapsed() < STOP_LIMIT {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = remove_dir(&self.folder);
    }
}

/// Removes the node's control groups; tells whether none is left.
fn remove_groups(link: &str) -> bool {
    let top = Path::new("/sys/fs/cgroup");
    let trees = fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
    trees.chain([top.to_owned()]).map(|tree| tree.join(link)).all(|group| {
        fn remove(group: &Path) {
            for entry in fs::read_dir(group).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    remove(&entry.path());
                }
            }
            let _ = fs::remove_dir(group);
        }
        remove(&group);
        !group.exists()
    })
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), Error> {
    fs::write(folder.join(name), text).map_err(Error::io(format!("cannot write {name}")))
}

/// Lays out everything that the node's two scripts want to find.
fn prepare(
    folder: &Path,
    net: &str,
    link: &str,
    bin: &Path,
    images: &[&Path],
) -> Result<(), Error> {
    for name in ["images", "net.d"] {
        fs::create_dir(folder.join(name)).map_err(Error::io(format!("cannot make {name}")))?;
    }
    let stand_in = image::stand_in()?;
    for (index, image) in images.iter().copied().chain([stand_in.as_path()]).enumerate() {
        std::os::unix::fs::symlink(image, folder.join(format!("images/{index}.tar")))
            .map_err(Error::io("cannot link an image"))?;
    }
    std::os::unix::fs::symlink(bin.join("kubelet"), folder.join("kubelet.bin"))
        .map_err(Error::io("cannot link the kubelet"))?;
    let shown = folder.display();
    let network = format!(
        r#"{{"cniVersion": "0.4.0", "name": "node", "plugins": [{{
            "type": "bridge", "bridge": "pods0", "isGateway": true, "hairpinMode": true,
            "ipam": {{"type": "host-local", "dataDir": "{shown}/cni",
                "ranges": [[{{"subnet": "{net}.128/25"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}}]}}"#
    );
    let containerd = format!(
        "version = 2\nroot = '{shown}/containerd'\nstate = '/run/containerd/state'\n\
         [grpc]\naddress = '/run/containerd/containerd.sock'\n\
         [plugins.'io.containerd.grpc.v1.cri']\n\
         restrict_oom_score_adj = true\nsandbox_image = '{}'\n\
         [plugins.'io.containerd.grpc.v1.cri'.cni]\nbin_dir = '/usr/lib/cni'\n\
         conf_dir = '{shown}/net.d'\n",
        image::STAND_IN
    );
    let kubelet = format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n\
         authentication: {{anonymous: {{enabled: true}}, webhook: {{enabled: false}}}}\n\
         authorization: {{mode: AlwaysAllow}}\n\
         cgroupDriver: cgroupfs\ncgroupRoot: /{link}\nenforceNodeAllocatable: []\n\
         failSwapOn: false\nresolvConf: ''\nmaxOpenFiles: 20000\n\
         containerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n\
         podLogsDir: {shown}/logs\nvolumePluginDir: {shown}/plugins\n\
         imageGCHighThresholdPercent: 100\n\
         evictionHard: {{memory.available: '0%', nodefs.available: '0%', \
         nodefs.inodesFree: '0%', imagefs.available: '0%', imagefs.inodesFree: '0%'}}\n"
    );
    for (name, text) in [
        ("outside.sh", include_str!("../../tools/node/outside.sh")),
        ("inside.sh", include_str!("../../tools/node/inside.sh")),
        ("net.d/10-node.conflist", &network),
        ("containerd.toml", &containerd),
        ("kubelet.yaml", &kubelet),
    ] {
        write(folder, name, text)?;
    }
    Ok(())
}
