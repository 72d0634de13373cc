//! Why another program gave nothing.

use super::Failure;
use crate::tools::ProcessError;
use crate::tools::helm::release::Why;
use crate::tools::helm::{Error, OLDEST};
use crate::tools::kubectl;

/// The kind and advice of a fault of Helm, without its words.
pub(super) fn helm(error: &Error) -> Failure {
    match error {
        Error::Missing { .. } => Failure::world("no_helm", "").hint(format!(
            "charts are rendered by Helm itself, to see every image they run: install Helm {OLDEST} or later (https://helm.sh), or name it \
             with --helm PATH or BUNDLE_HELM"
        )),
        Error::TooOld { oldest, .. } if *oldest > OLDEST => Failure::world("helm_too_old", "").hint(
            "install a later Helm, or name one with BUNDLE_HELM; many bundles bring one: tools/ in the bundle's folder",
        ),
        Error::TooOld { .. } => Failure::world("helm_too_old", "")
            .hint("install a later Helm, or name one with --helm PATH or BUNDLE_HELM"),
        Error::NotHelm { .. } => {
            Failure::world("not_helm", "").hint("name Helm itself with --helm PATH or BUNDLE_HELM")
        }
        Error::Process(ProcessError::Start { .. }) => Failure::world("helm", "")
            .hint("look at the file's mode and architecture, or name another with --helm PATH or BUNDLE_HELM"),
        Error::Process(ProcessError::Stalled { .. } | ProcessError::TooMuch { .. }) => {
            Failure::world("helm", "").hint("render the chart by hand with helm template, and see what takes so long")
        }
        Error::File(_) | Error::Folder(_) => {
            Failure::world("temporary", "").hint("Helm gets its files in a temporary folder: look at TMPDIR, and at free space")
        }
        Error::Failed { why: Why::NoCluster, .. } => no_cluster(),
        Error::Failed { why: Why::Forbidden, .. } => forbidden(),
        Error::Failed { .. } => Failure::world("helm", "").hint("the words after the colon are Helm's own"),
        Error::Stopped { .. } => Failure::interrupted(""),
        Error::Refused { .. } => Failure::usage("chart", "").hint(
            "the words after the chart are Helm's own. Give the values it asks for in a file under values:; kube-version: and api-versions: \
             say for which cluster to render",
        ),
    }
}

impl From<kubectl::Error> for Failure {
    fn from(error: kubectl::Error) -> Self {
        kubectl(&error).telling(&error)
    }
}

fn no_cluster() -> Failure {
    Failure::world("no_cluster", "").hint(
        "look at --kubeconfig (else KUBECONFIG, else ~/.kube/config) and --context, and at the network: kubectl cluster-info",
    )
}

fn forbidden() -> Failure {
    Failure::refused("forbidden", "")
        .hint("ask whoever runs the cluster for that right, or use a kubeconfig that has it: bundle preflight lists all that is needed")
}

/// The kind and advice of a fault of kubectl, without its words.
pub(super) fn kubectl(error: &kubectl::Error) -> Failure {
    use kubectl::Error;
    match error {
        Error::Missing { .. } => {
            Failure::world("no_kubectl", "").hint("install kubectl, or name it with BUNDLE_KUBECTL")
        }
        Error::TooOld { .. } => Failure::world("kubectl_too_old", "")
            .hint("install a later kubectl, or name one with BUNDLE_KUBECTL"),
        Error::NotKubectl { .. } => {
            Failure::world("not_kubectl", "").hint("name kubectl itself with BUNDLE_KUBECTL")
        }
        Error::Process(ProcessError::Start { .. }) => Failure::world("kubectl", "")
            .hint("look at the file's mode and architecture, or name another with BUNDLE_KUBECTL"),
        Error::Folder(_) => Failure::world("temporary", "").hint("look at TMPDIR, and at free space"),
        Error::NoCluster { .. } => no_cluster(),
        Error::Unauthorized { .. } => Failure::world("unauthorized", "")
            .hint("log in to the cluster again: what this kubeconfig says is not, or no longer, accepted"),
        Error::Forbidden { .. } => forbidden(),
        Error::NotFound { .. }
        | Error::Conflict { .. }
        | Error::Other { .. }
        | Error::Json { .. }
        | Error::Process(_) => Failure::world("cluster", "")
            .hint("the words after the colon are kubectl's and the cluster's own"),
    }
}
