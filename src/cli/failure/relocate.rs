//! Why manifests are not relocated.

use super::{Failure, file};
use crate::ops::relocate::{Error, PluginError};
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

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::File(error) => error.into(),
            PluginError::Folder { ref source, ref folder } => file::system(source, folder).telling(&error),
            PluginError::Program(_) => {
                Self::world("program", "").hint("run the program by its whole path").telling(&error)
            }
        }
    }
}
