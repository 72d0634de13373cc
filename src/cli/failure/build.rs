//! Why nothing was built.

use super::{Failure, file, lock, store};
use crate::bundle::grant::GrantError;
use crate::checked::ByteSize;
use crate::ops::build::Error;
use crate::ops::{grant, open, sign};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        of(error)
    }
}

fn of(error: Error) -> Failure {
    let failure = match &error {
        Error::NoLock { .. } => Failure::usage("no_lock", "").hint("make it first: bundle lock"),
        Error::Stale { .. } => Failure::refused("stale_lock", "")
            .hint("bring it up to date with bundle lock, and review what changed"),
        Error::Edited { .. } => Failure::refused("edited_lock", "").hint(
            "somebody changed the lock after bundle lock wrote it: look who (git log -p), then make it anew with bundle lock",
        ),
        Error::Release(_) => Failure::usage("release", "")
            .hint("the numbers after the file are line and column"),
        Error::NoRecipient => Failure::usage("no_recipient", "")
            .hint("name the vendor's escrow, so that more grants can be made later: --recipient escrow.pub"),
        Error::VolumeSize(_) => Failure::usage("volume_size", "").hint("give one like --volume-size 4GiB"),
        Error::Share(_) => Failure::usage("parity", "").hint("give one like --parity 5%"),
        Error::Shape(_) | Error::Plan(_) => Failure::usage("payload", "")
            .hint("a larger --volume-size makes fewer volumes; smaller releases fit always"),
        Error::Exists { folder } => Failure::usage("exists", "").hint(format!(
            "it is built already: bundle inspect {0}; to build it again, move it away",
            folder.display()
        )),
        Error::Unfinished { folder } => Failure::usage("unfinished", "").hint(format!(
            "go on with the lock, seal and volume size it was begun with, or remove {}",
            folder.display()
        )),
        Error::OtherGrants { .. } => Failure::usage("unfinished", "")
            .hint("run it with the recipients of the interrupted build, then add this one: bundle grant"),
        Error::Busy { .. } => Failure::world("busy", "").hint("wait for the other one"),
        Error::Journal { path, .. } => Failure::refused("journal", "").hint(format!(
            "what the interrupted build remembered is damaged; remove {} and build again",
            parent(path)
        )),
        Error::NoRoom { need, free, .. } => Failure::world("disk_full", "").hint(format!(
            "it needs {} and there is {}; free some, or choose another --out",
            ByteSize(*need),
            ByteSize(*free)
        )),
        Error::Source { source, .. } => store::source(source),
        Error::Configurations(faults) => lock::first(faults.iter().map(|fault| store::source(&fault.source)))
            .stating("Nothing was written; what an interrupted build left is as it was."),
        Error::From { .. } => {
            Failure::usage("lock", "").hint("the lock was edited; make it anew: bundle lock")
        }
        Error::Store(error) => store::of(error),
        Error::Grant(error) => super::keys::age(error),
        Error::File(_) | Error::Lock(_) | Error::Sign(_) => Failure::world("io", ""),
        Error::OpenBase(_) => Failure::usage("base", "").hint("name a bundle's folder, or a copy of its bundle.json"),
        Error::OtherRelease { .. } => Failure::usage("base", "").hint("name a bundle of the same release, an earlier version"),
        Error::NotOlder { .. } => Failure::usage("base", "").hint("name the version that customers have now"),
        Error::OutOfRange { .. } => Failure::usage("base", "")
            .hint("no customer could apply it: widen upgrade.from in release.yaml, or build against a version in it"),
        Error::Asked { .. } => Failure::usage("request", "")
            .hint("take the request that bundle load --request wrote, and the release and lock that the upgrade was built from"),
        Error::Index(_) | Error::Sums(_) | Error::Seal(_) | Error::Template { .. } => {
            Failure::world("internal", "").hint("this is a fault of the program; please report it")
        }
    };
    match error {
        Error::File(error) => error.into(),
        Error::Lock(error) => error.into(),
        Error::Sign(error) => error.into(),
        Error::OpenBase(error) if !matches!(error, open::Error::Index { .. }) => error.into(),
        error => failure.telling(&error),
    }
}

fn parent(path: &std::path::Path) -> String {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(std::path::Path::new(".")).display().to_string()
}

impl From<sign::Error> for Failure {
    fn from(error: sign::Error) -> Self {
        match error {
            sign::Error::File(error) => in_folder(error),
            sign::Error::Sums { .. } | sign::Error::Index { .. } | sign::Error::Changed { .. } => {
                Self::refused("damage", "")
                    .hint("do not sign this; copy the folder again from where it was built")
                    .telling(&error)
            }
        }
    }
}

impl From<grant::Error> for Failure {
    fn from(error: grant::Error) -> Self {
        match error {
            grant::Error::File(error) => in_folder(error),
            grant::Error::Open(error) => (*error).into(),
            grant::Error::NoGrants { .. } => Self::refused("not_granted", "")
                .hint("ask the vendor for your grant, and put it into the folder grants/").telling(&error),
            grant::Error::TooManyTries { .. } => Self::refused("grant", "").hint(
                "someone may have added them: copy the bundle with your own grant alone in grants/, and try again",
            ).telling(&error),
            grant::Error::NotGranted { .. } => Self::refused("not_granted", "")
                .hint("use the identity whose .pub was given to the vendor, or ask the vendor for a grant to yours; grants are not signed, so \
                       yours may also be damaged: copy it again").telling(&error),
            grant::Error::Damaged { ref source, .. } => match source {
                GrantError::PassphraseNeeded | GrantError::NotByPassphrase => super::keys::age(source),
                _ => Self::refused("grant", "").hint(
                    "copy it again from where it came, or ask the vendor for it again; if it is not yours, ask the vendor for a grant to yours",
                ),
            }
            .telling(&error),
            grant::Error::OtherRelease { ref release, .. } => Self::refused("wrong_key", "")
                .hint(format!("ask the vendor for the grant for {release}, and put it into the folder grants/"))
                .telling(&error),
            grant::Error::Grant { ref source, .. } => super::keys::age(source).telling(&error),
            grant::Error::Key { .. } => Self::refused("grant", "").hint("the grant is of another bundle, or damaged; ask the vendor for it again").telling(&error),
            grant::Error::Exists { ref path } => {
                Self::usage("exists", "").hint(format!("that customer has one; choose another --name, or remove {}", path.display())).telling(&error)
            }
        }
    }
}

/// A fault of a file in what should be a bundle's folder.
pub(super) fn in_folder(error: crate::sys::fs::Error) -> Failure {
    match &error {
        crate::sys::fs::Error::Io { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            Failure::usage("not_a_bundle", "")
                .hint(format!(
                    "{} is not a bundle's folder: one has SHA256SUMS, bundle.json and volumes/",
                    parent(path)
                ))
                .telling(&error)
        }
        crate::sys::fs::Error::Io { path, source } => file::system(source, path).telling(&error),
        // The command line is right; what lies there is not what a bundle has.
        crate::sys::fs::Error::TooLong { .. } => Failure::refused("file_too_long", "")
            .hint("this is not the file that a vendor signed; copy it again from where it came")
            .telling(&error),
        _ => error.into(),
    }
}
