//! Why a bundle was not copied.

use super::{Failure, file};
use crate::checked::ByteSize;
use crate::courier;
use crate::ops::copy;
use crate::plan::copy::CopyError;

impl From<copy::Error> for Failure {
    fn from(error: copy::Error) -> Self {
        let failure = match error {
            copy::Error::Unbegun(error) => return Self::from(*error).stating("nothing was written"),
            copy::Error::Open(error) => return error.into(),
            copy::Error::Place(ref error) => of(error),
            copy::Error::Plan(ref error) => plan(error),
            copy::Error::Itself { .. } => Self::usage("itself", "")
                .hint("name a folder outside of the bundle; a delivered folder is never written to"),
            copy::Error::Twice { .. } => Self::usage("twice", "").hint("name each medium once"),
            copy::Error::OtherBundle { .. } => Self::usage("other_bundle", "")
                .hint("name another folder, or take the other bundle away first"),
            copy::Error::Foreign { ref place, ref own, .. } => Self::usage("foreign_files", "").hint(format!(
                "a bundle has its folder for itself: name {}/{own}, or take those files away",
                place.trim_end_matches('/')
            )),
            copy::Error::NoRoom { ref left, more } => Self::world("disk_full", "").hint(match more {
                Some(more) => format!(
                    "{} more are needed, about {more} more like it: name them with --to, or --ask to be asked for one after the other",
                    ByteSize(left.bytes)
                ),
                None => format!(
                    "{} more are needed: name more media with --to, or --ask to be asked for one after the other",
                    ByteSize(left.bytes)
                ),
            }),
        };
        failure.telling(&error)
    }
}

/// What follows from a fault of a place, without its words.
fn of(error: &courier::Error) -> Failure {
    match error {
        courier::Error::Io { path, source } => file::system(source, path),
        courier::Error::Full { .. } => Failure::world("disk_full", "").hint(
            "free some space on it, or take another medium; then run the same command again, it goes on",
        ),
        courier::Error::Gone { .. } => {
            Failure::world("medium_gone", "").hint("put it back and run the same command again; it goes on")
        }
        courier::Error::Irregular { .. } => Failure::refused("irregular_file", "")
            .hint("somebody put a link, a folder or a device there: look who, take it away, and copy again"),
        courier::Error::Busy { .. } => Failure::world("busy", "").hint("wait for the other one"),
        courier::Error::NoFolder { .. } => Failure::usage("not_found", "").hint(
            "look at the path: is the stick mounted there? The folder itself is made, those above it are not",
        ),
        courier::Error::Link { .. } => Failure::world("link", "")
            .hint("look at the network and the address; then run the same command again, it goes on at the byte"),
        courier::Error::UnknownHost { line, file, .. } => Failure::refused("unknown_host", "").hint(format!(
            "ask the one who runs it, by another way, whether that is its fingerprint; if it is, add this line to {}:\n{line}",
            file.display()
        )),
        courier::Error::ChangedHost { .. } => Failure::refused("changed_host", "").hint(
            "somebody may be in between: copy nothing, and ask the one who runs it, by another way, whether its key was changed; only then replace that line",
        ),
        courier::Error::Denied { .. } => Failure::world("denied", "")
            .hint("name the key that the machine knows: --ssh-key FILE, or ssh-add it; and the user: sftp://USER@HOST/PATH"),
        courier::Error::KeyFile(error) => file::of(error),
        courier::Error::Key { .. } => Failure::usage("key", "")
            .hint("--ssh-key takes a private key of OpenSSH (Ed25519 or ECDSA) that only its owner may read"),
        courier::Error::NoSftp { .. } => Failure::world("no_sftp", "")
            .hint("let the one who runs it look at Subsystem sftp in its sshd_config"),
        courier::Error::TooLong { .. } => {
            Failure::usage("file_too_long", "").hint("this is no file of a bundle; name another folder")
        }
    }
}

fn plan(error: &CopyError) -> Failure {
    match error {
        CopyError::TooLarge { .. } => Failure::world("filesystem", "").hint(
            "format the medium as exFAT or ext4, or ask the vendor for a build with smaller volumes (volume-size)",
        ),
        CopyError::TooLong { .. } => {
            Failure::world("filesystem", "").hint("take a medium with exFAT, FAT32 or ext4")
        }
        CopyError::Clash { .. } => {
            Failure::refused("name", "").hint("the vendor must give that file another name")
        }
        CopyError::TooSmall { .. } => {
            Failure::world("disk_full", "").hint("free some space, or take a larger medium")
        }
    }
}
