//! What keeps a diagnosis from being made.

use super::Failure;
use crate::cli::preflight::cluster_remedy;
use crate::ops::diagnose::Error;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Cluster { fault, .. } => {
                Failure::world("cluster", "").hint(cluster_remedy(*fault)).telling(&error)
            }
            Error::NoNamespace => Failure::usage("arguments", "")
                .hint("name where to look: --namespace NAME (kubectl get namespaces)")
                .telling(&error),
            Error::NamespaceMissing(_) => Failure::usage("arguments", "")
                .hint("look at its name: kubectl get namespaces")
                .telling(&error),
            Error::Random(_) => Failure::world("random", "").telling(&error),
            Error::File(_) => match error {
                Error::File(inner) => inner.into(),
                other => Failure::world("file", "").telling(&other),
            },
        }
    }
}
