//! Why nothing was mended.

use super::{Failure, load};
use crate::ops::repair;

impl From<repair::Error> for Failure {
    fn from(error: repair::Error) -> Self {
        let failure = match error {
            repair::Error::Open(error) => return error.into(),
            repair::Error::File(error) => return error.into(),
            repair::Error::Index(ref source) => {
                load::index(source, "it was signed like this: send this message to the vendor")
            }
            repair::Error::ReadOnly { .. } => Self::world("read_only", "").hint(
                "a read-only medium cannot be mended: copy the folder to one that can be written to (cp -r), and mend that copy",
            ),
            repair::Error::Same { .. } => {
                Self::usage("same_folder", "").hint("--from names another copy of the same bundle, or a folder of bundle parts")
            }
            repair::Error::NoCopy { .. } => Self::refused("other_bundle", "")
                .hint("it is another release, or nothing of it is left: copy the folder again instead"),
        };
        failure.telling(&error)
    }
}
