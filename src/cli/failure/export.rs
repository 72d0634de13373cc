//! Why nothing was exported.

use super::{Failure, store};
use crate::checked::ByteSize;
use crate::ops::{export, manifests};
use crate::plan::export::ExportError;

const SIGNED_SO: &str = "bundle verify --identity names all that is wrong; send its report to the vendor";

impl From<manifests::Error> for Failure {
    fn from(error: manifests::Error) -> Self {
        match &error {
            manifests::Error::Store(source) => store::of(source),
            manifests::Error::Manifest { .. } => Self::refused("manifest", "").hint(SIGNED_SO),
        }
        .telling(&error)
    }
}

impl From<export::Error> for Failure {
    fn from(error: export::Error) -> Self {
        let failure = match error {
            export::Error::Unlock(error) => return error.into(),
            export::Error::Manifests(error) => return error.into(),
            export::Error::File(error) => return error.into(),
            export::Error::Plan(error) => return error.into(),
            export::Error::Store(ref source) => store::of(source),
            export::Error::NoRoom { need, free, .. } => Self::world("disk_full", "").hint(format!(
                "it needs {} and there is {}; free some, or write to another disk",
                ByteSize(need),
                ByteSize(free)
            )),
            export::Error::Changed { .. } => {
                Self::refused("damage", "").hint("copy that file again from where it came")
            }
            export::Error::Layer { .. } => Self::refused("layer", "").hint(SIGNED_SO),
        };
        failure.telling(&error)
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match &error {
            ExportError::Unknown { .. } => {
                Self::usage("unknown_image", "").hint("name one of these, in full, as bundle inspect does")
            }
            ExportError::NoPlatform { .. } => Self::usage("platform", "")
                .hint("choose one of these with --platform, or leave that image out with --image"),
            ExportError::Several { has, .. } => {
                let first = has.first().map(ToString::to_string).unwrap_or_default();
                Self::usage("platform", "")
                    .hint(format!("choose one: --platform {first}; oci: holds all of them"))
            }
            ExportError::Unfit { .. } | ExportError::Nothing => Self::usage("form", "")
                .hint("oci: holds everything; dir: holds charts, models and files as they were"),
            ExportError::Clash(_) => Self::usage("form", "")
                .hint("oci: holds everything; or take the images alone, by name: --image REF"),
            ExportError::Graph(_) | ExportError::Name(_) => Self::refused("manifest", "").hint(SIGNED_SO),
        }
        .telling(&error)
    }
}
