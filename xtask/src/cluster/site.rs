//! Where a cluster lives, and the names and addresses that follow from it.

use std::path::PathBuf;
use std::process::Command;

use crate::tools;

/// The node's name.
pub(super) const NODE: &str = "bundle-node";
/// The bridge pods hang on; its address is the node's.
pub(super) const BRIDGE: &str = "bundle0";
pub(super) const NODE_ADDRESS: &str = "10.213.0.1";
pub(super) const PODS: &str = "10.213.0.0/24";
pub(super) const SERVICES: &str = "10.214.0.0/24";
/// The first address of `SERVICES`, which the API server has.
pub(super) const SERVICE_ADDRESS: &str = "10.214.0.1";
/// Where a cluster usually has its name server.
pub(super) const DNS_ADDRESS: &str = "10.214.0.10";

/// How much of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The control plane and a node.
    Whole,
    /// The control plane alone: pods stay pending, and objects can be anything. It has no storage class and no ingress class.
    ControlPlane,
}

/// Where a cluster lives.
///
/// One [`Extent::Whole`] can live in a network namespace: the bridge's name and addresses are fixed.
#[derive(Debug, Clone)]
pub struct Site {
    /// Everything it keeps.
    pub(super) folder: PathBuf,
    /// The name of its cgroup.
    pub(super) name: String,
    pub(super) extent: Extent,
}

impl Site {
    /// The one that everything on this machine shares.
    ///
    /// # Errors
    /// There is no place for a cache.
    pub fn shared() -> Result<Self, String> {
        Ok(Self::at(tools::cache()?.join("cluster"), "bundle-cluster", Extent::Whole))
    }

    /// One of its own. `name` tells its cgroup from others'.
    #[must_use]
    pub fn at(folder: PathBuf, name: &str, extent: Extent) -> Self {
        Self { folder, name: name.to_owned(), extent }
    }

    /// The administrator's.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// containerd's own client, for the images the kubelet sees.
    pub(super) fn ctr(&self) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.path("containerd.sock")).args(["--namespace", "k8s.io"]);
        command
    }
}
