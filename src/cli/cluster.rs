//! How a cluster is reached: the options that all commands with a cluster share.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::tools::kubectl::Cluster;

/// How the cluster is reached: through kubectl, with its own configuration.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster options")]
pub(super) struct ClusterArgs {
    /// The kubeconfig, when it is not the one kubectl takes by itself (KUBECONFIG, ~/.kube/config).
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context in it, when it is not its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl ClusterArgs {
    /// Which cluster.
    pub(super) fn cluster(&self) -> Cluster {
        Cluster { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }
}

/// How long pods are waited for.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Cluster options")]
pub(super) struct WaitArgs {
    /// Give up when no pod has moved for this long. There is no limit on the whole.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,
}

impl WaitArgs {
    /// As a time.
    pub(super) fn stall(self) -> Duration {
        Duration::from_secs(self.wait)
    }
}
