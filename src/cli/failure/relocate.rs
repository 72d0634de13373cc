//! Why manifests are not relocated.

use super::Failure;
use crate::ops::relocate::Error;
use crate::relocate;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let error = match error {
            Error::File(error) => return error.into(),
            error => error,
        };
        let failure = match &error {
            Error::File(_) | Error::Mapping { .. } => {
                Self::usage("mapping", "").hint("bundle load DIR --registry HOST/PREFIX --mapping FILE writes it")
            }
            Error::TooLarge | Error::Text { .. } | Error::Relocate(relocate::Error::Yaml(_)) => {
                Self::usage("manifests", "").hint("give it what helm template or kustomize build writes")
            }
            Error::Relocate(relocate::Error::Remains(_)) => Self::refused("outside", "").hint(
                "nothing came out: these images are not in the bundle, so no node could pull them. Ask the vendor for a release that \
                 has them, set other values, or let one stay as it is with --ignore REFERENCE",
            ),
        };
        failure.telling(&error)
    }
}
