//! Kubernetes: a real API server with its admission, the controllers, and where it is wanted a node.
//!
//! Without a node nothing runs containers: what a kubelet would report, a test writes into a pod's
//! status. With one, scheduler, kubelet, containerd and runc do all that they do anywhere, except
//! that there are no Services (no kube-proxy), no name service, and nothing enforces a NetworkPolicy.

mod control_plane;
mod definitions;
mod node;

use std::path::PathBuf;

use crate::error::Error;
use crate::parts::go::Module;

pub use control_plane::ControlPlane;
pub use node::Node;

const MODULE: Module = Module {
    name: "kubernetes",
    title: "building Kubernetes from the Go module proxy (6 minutes on two cores)",
    go_mod: include_str!("../../tools/kubernetes/go.mod"),
    go_sum: include_str!("../../tools/kubernetes/go.sum"),
    packages: &[
        "go.etcd.io/etcd/server/v3",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubectl",
        "k8s.io/kubernetes/cmd/kubelet",
    ],
    arguments: &[
        "-trimpath",
        "-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4 \
         -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34",
    ],
    sources: &[],
};

/// Builds the programs, fetches the definitions of the kinds that other operators bring, and
/// installs what a node needs from Debian.
///
/// # Errors
/// When Go is missing or something cannot be had.
pub fn install() -> Result<PathBuf, Error> {
    definitions::ensure()?;
    node::install()?;
    MODULE.ensure()
}
