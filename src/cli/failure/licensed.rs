//! What keeps a licence from being put into, or read from, a cluster.

use super::Failure;
use crate::cli::preflight::cluster_remedy;
use crate::ops::license::cluster::Error;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = match error {
            Error::Unlock(inner) => return inner.into(),
            Error::File(inner) => return inner.into(),
            Error::Cluster { fault, .. } => {
                Self::world("cluster", "").hint(cluster_remedy(fault)).or_state("The cluster was not changed.")
            }
            Error::NoPolicy(_) => Self::usage("no_license_policy", "").hint("there is nothing to do for this release"),
            Error::None => Self::refused("no_license", "").hint("name the licence the vendor sent: --license FILE"),
            Error::Several(_) => Self::usage("arguments", "").hint("say whose is meant: --customer ID, or --license FILE"),
            Error::NoNamespace(_) => Self::refused("no_namespace", "")
                .hint("install the release first, or name where it is: --namespace NAME; the cluster was not changed"),
            Error::NotInstalled { .. } => {
                Self::refused("no_license", "").hint("put it there: bundle license install; or name where it is: --namespace, --secret")
            }
        };
        failure.telling(&error)
    }
}
