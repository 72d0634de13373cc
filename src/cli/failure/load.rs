//! Why a bundle could not be opened, checked or loaded at all. What a check saw is in its report, not here.

use super::build::in_folder;
use super::{Failure, registry};
use crate::bundle::index::IndexError;
use crate::ops::{load, open, remember, verify};
use crate::plan::mapping::MappingError;

impl From<open::Error> for Failure {
    fn from(error: open::Error) -> Self {
        const AGAIN: &str = "copy the folder again from where it came; if that does not help, send this message to the vendor";
        let failure = match error {
            open::Error::File(error) => return in_folder(error),
            open::Error::NoBundle { .. } => Self::usage("not_a_bundle", "")
                .hint("name the folder that holds SHA256SUMS, bundle.json and volumes/; where bundle copy was broken off, run it again: it goes on"),
            open::Error::NoFolder { .. } => Self::usage("not_a_bundle", "")
                .hint("look at the path, and whether the medium is mounted"),
            open::Error::OtherBundle { ref folder, .. } => Self::refused("other_bundle", "").hint(format!(
                "several folders are for one release whose volumes lie on several media; leave {} out, or handle it by itself",
                folder.display()
            )),
            open::Error::IndexMissing { .. } => Self::refused("missing", "").hint(AGAIN),
            open::Error::Sums { .. } | open::Error::NoIndex { .. } | open::Error::IndexChanged { .. } => {
                Self::refused("damage", "").hint(AGAIN)
            }
            open::Error::Index { ref source, .. } => index(source, AGAIN),
        };
        failure.telling(&error)
    }
}

pub(super) fn index(error: &IndexError, otherwise: &str) -> Failure {
    match error {
        IndexError::Newer { .. } => Failure::refused("format", "")
            .hint("use the program in the bundle's own folder, once sha256sum -c and the signature hold"),
        _ => Failure::refused("index", "").hint(otherwise),
    }
}

impl From<verify::Error> for Failure {
    fn from(error: verify::Error) -> Self {
        match error {
            verify::Error::Open(error) => error.into(),
            verify::Error::Grant(error) => error.into(),
            verify::Error::Remember(error) => error.into(),
            verify::Error::Index(ref source) => {
                index(source, "it was signed like this: send this message to the vendor").telling(&error)
            }
        }
    }
}

impl From<remember::Error> for Failure {
    fn from(error: remember::Error) -> Self {
        let (kind, hint) = match &error {
            remember::Error::File(_) => (
                "state",
                "this is where it is remembered what was loaded; name a folder of this user's with room: BUNDLE_STATE=/var/lib/bundle"
                    .to_owned(),
            ),
            remember::Error::Malformed { path, .. } => (
                "state",
                format!(
                    "it remembers the highest release loaded here; when you know which that is, remove {}",
                    path.display()
                ),
            ),
        };
        Self::world(kind, "")
            .hint(hint)
            .telling(&error)
            .or_state("Nothing was sent; the bundle was only read.")
    }
}

impl From<MappingError> for Failure {
    fn from(error: MappingError) -> Self {
        match error {
            MappingError::Destination(_) => {
                Self::usage("registry", "").hint("without https://, like harbor.acme.internal/incidentfox")
            }
            MappingError::Rule(_) => Self::usage("map", "").hint("like --map docker.io/incidentfox=fox"),
            MappingError::Twice { .. } => Self::usage("map", "").hint("leave one of them out"),
            MappingError::Name { .. } => {
                Self::usage("map", "").hint("repositories are lower-case letters, digits, - _ . and /")
            }
            MappingError::Clash { .. } => Self::usage("map", "").hint("keep them apart with --map FROM=TO"),
        }
        .telling(&error)
    }
}

impl From<load::Error> for Failure {
    fn from(error: load::Error) -> Self {
        const SIGNED_SO: &str =
            "bundle verify --identity names all that is wrong; send its report to the vendor";
        let failure = match error {
            load::Error::Unlock(error) => return error.into(),
            load::Error::Mapping(error) => return error.into(),
            load::Error::Remember(error) => return error.into(),
            load::Error::Manifests(error) => return error.into(),
            load::Error::Registry(ref source) => registry::of(source),
            load::Error::Graph(_) => Self::refused("manifest", "").hint(SIGNED_SO),
        };
        failure.telling(&error)
    }
}
