//! Why nothing was mended, cut or recorded.

use super::{Failure, load};
use crate::checked::ByteSize;
use crate::ops::{damage, parts, receipt, repair};

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
            repair::Error::NoRoom { need, free, .. } => Self::world("disk_full", "").hint(format!(
                "it needs {} and there is {}; nothing was written: copy the folder to a larger medium, and mend that copy",
                ByteSize(need),
                ByteSize(free)
            )),
            repair::Error::OtherReport { .. } => Self::usage("other_report", "")
                .hint("leave --report out, or give the report of bundle verify --json about this very copy"),
            repair::Error::Same { .. } => {
                Self::usage("same_folder", "").hint("--from names another copy of the same bundle, or a folder of bundle parts")
            }
            repair::Error::NoCopy { .. } => Self::refused("other_bundle", "")
                .hint("it is another release, or nothing of it is left: copy the folder again instead"),
        };
        failure.telling(&error)
    }
}

impl From<parts::Error> for Failure {
    fn from(error: parts::Error) -> Self {
        let failure = match error {
            parts::Error::Open(error) => return error.into(),
            parts::Error::File(error) => return error.into(),
            parts::Error::Other { .. } => Self::refused("other_bundle", "")
                .hint("name the folder of the release that was delivered there, as it was delivered: a release built again has other volumes"),
            parts::Error::Nothing => Self::usage("nothing", "")
                .hint("what it names is not damage; the customer keeps the copy as it is"),
            parts::Error::List { .. } => Self::world("io", ""),
            parts::Error::NoRoom { need, free, .. } => Self::world("disk_full", "").hint(format!(
                "it needs {} and there is {}; free some, or name a folder on another disk",
                ByteSize(need),
                ByteSize(free)
            )),
        };
        failure.telling(&error)
    }
}

impl From<damage::Error> for Failure {
    fn from(error: damage::Error) -> Self {
        let failure = match error {
            damage::Error::File(error) => return error.into(),
            damage::Error::Damage { .. } => Self::usage("report", "")
                .hint("it is made by: bundle verify DIR --trust POLICY --json > report.json"),
        };
        failure.telling(&error)
    }
}

impl From<receipt::Error> for Failure {
    fn from(error: receipt::Error) -> Self {
        let failure = match error {
            receipt::Error::File(error) => return error.into(),
            receipt::Error::Malformed { .. } => Self::refused("receipt", "")
                .hint("it is made by: bundle verify DIR --trust POLICY --receipt FILE"),
        };
        failure.telling(&error)
    }
}
