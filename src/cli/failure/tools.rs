//! Why another program gave nothing.

use super::Failure;
use crate::tools::ProcessError;
use crate::tools::helm::{Error, OLDEST};

/// The kind and advice of a fault of Helm, without its words.
pub(super) fn helm(error: &Error) -> Failure {
    match error {
        Error::Missing { .. } => Failure::world("no_helm", "").hint(format!(
            "charts are rendered by Helm itself, to see every image they run: install Helm {OLDEST} or later (https://helm.sh), or name it \
             with --helm PATH or BUNDLE_HELM"
        )),
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
        Error::Refused { .. } => Failure::usage("chart", "").hint(
            "the words after the chart are Helm's own. Give the values it asks for in a file under values:; kube-version: and api-versions: \
             say for which cluster to render",
        ),
    }
}
