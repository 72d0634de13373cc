//! Faults of files.

use std::io::ErrorKind;
use std::path::Path;

use super::Failure;
use crate::sys::fs;
use crate::sys::random::RandomError;

impl From<fs::Error> for Failure {
    fn from(error: fs::Error) -> Self {
        of(&error).telling(&error)
    }
}

/// What follows from a fault of a file, without its words.
pub(super) fn of(error: &fs::Error) -> Failure {
    match error {
        fs::Error::Io { path, source } => system(source, path),
        fs::Error::TooLong { .. } => Failure::usage("file_too_long", "")
            .hint("this is not the kind of file that is expected here; look at the path"),
        fs::Error::Irregular { .. } => Failure::refused("irregular_file", "")
            .hint("A bundle consists of ordinary files: ask for another copy of it, or copy it again."),
        fs::Error::Special { .. } => Failure::usage("path", "").hint("name a file, which is written whole or not at all"),
        fs::Error::Busy { .. } => Failure::world("busy", "").hint("wait for the other one"),
        fs::Error::Exists { path } => Failure::usage("exists", "")
            .hint(format!("nothing is overwritten: move {} away, or choose another name", path.display())),
        fs::Error::Exposed { path, .. } if path.extension().is_some_and(|end| end == "pub") => {
            Failure::usage("key", "").hint("this is a public half (.pub); the private one (.key) is wanted")
        }
        fs::Error::Exposed { path, .. } => Failure::refused("key_exposed", "").hint(format!(
            "if nobody else can have read it: chmod 600 {}; otherwise make a new key",
            path.display()
        )),
        fs::Error::Foreign { path, .. } => Failure::refused("foreign", "").hint(format!(
            "what an interrupted run left is gone on with, so it must be this user's alone: look who put {} there, remove the hidden file or \
             folder it belongs to (.NAME-VERSION.partial, .NAME.part, .NAME.parts), and run again, in a folder that others cannot write to",
            path.display()
        )),
        fs::Error::NoName { .. } => {
            Failure::usage("path", "").hint("give the path of a file, not of a folder")
        }
        fs::Error::Random(_) => Failure::world("random", ""),
    }
}

impl From<RandomError> for Failure {
    fn from(error: RandomError) -> Self {
        Self::world("random", "").telling(&error)
    }
}

/// A refusal of the system, without its words.
pub(super) fn system(error: &std::io::Error, path: &Path) -> Failure {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => Failure::usage("not_found", "")
            .hint("look at the path; relative ones start in the current folder"),
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => Failure::usage("path", "")
            .hint(format!("{path} is not the kind of thing (file or folder) that is expected there")),
        ErrorKind::PermissionDenied => {
            Failure::world("permission", "").hint(format!("look at owner and mode: ls -ld {path}"))
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Failure::world("disk_full", "").hint("free some space (df -h), then run the same command again")
        }
        ErrorKind::ReadOnlyFilesystem => Failure::world("read_only", "")
            .hint("write to another place; a delivered medium is never written"),
        _ => Failure::world("io", "")
            .hint("look at the medium (dmesg | tail), then run the same command again"),
    }
}
