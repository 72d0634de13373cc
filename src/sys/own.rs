//! Folders that only their user may have written to: what a killed program left for itself to go on with.
//!
//! Such a folder holds keys, and what is found in it is built upon. One that somebody else could have prepared, in a shared or
//! restored place, would have the program use a key that they know, or write through a link to a file that they chose.

use std::fs::{File, Metadata};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use super::fs::Error;
use crate::limits;

/// Makes the folder `path`, whose parent is there, or proves that the one there is this user's alone: neither it nor anything in it is a
/// link, another user's, or open to the writing of others.
///
/// A folder that others may rename things in cannot be proved for longer than the look lasts: its parent is the user's to choose.
///
/// # Errors
/// [`Error::Foreign`], with what is so; or what the system refused.
pub fn folder(path: &Path) -> Result<(), Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    match std::fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => prove(path),
        made => made.map_err(io),
    }
}

/// Makes the folder that the file `path` goes into, and those above it, such that [`folder`] holds whatever the umask is.
///
/// # Errors
/// What the system refused.
pub fn folders_of(path: &Path) -> Result<(), Error> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let made = std::fs::DirBuilder::new().mode(0o755).recursive(true).create(parent);
    made.map_err(|source| Error::Io { path: parent.to_owned(), source })
}

/// Proves that the open file at `path` is this user's alone, as [`folder`] proves folders.
///
/// # Errors
/// [`Error::Foreign`], with what is so; or what the system refused.
pub fn file(file: &File, path: &Path) -> Result<(), Error> {
    let facts = file.metadata().map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let user = rustix::process::geteuid().as_raw();
    match foreign(&facts, user).or_else(|| (!facts.is_file()).then_some("it is not a file")) {
        Some(why) => Err(Error::Foreign { path: path.to_owned(), why }),
        None => Ok(()),
    }
}

/// Proves a folder and all below it.
fn prove(top: &Path) -> Result<(), Error> {
    let user = rustix::process::geteuid().as_raw();
    let mut looked_at = 0;
    let mut waiting = vec![top.to_owned()];
    while let Some(path) = waiting.pop() {
        let io = |source| Error::Io { path: path.clone(), source };
        looked_at += 1;
        let facts = match path.symlink_metadata() {
            // A program that is at work in it, and will be found to be.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && path != top => continue,
            facts => facts.map_err(io)?,
        };
        let why = match looked_at > limits::FOLDER_FILES {
            true => Some("it holds more than this program leaves"),
            false => foreign(&facts, user),
        };
        if let Some(why) = why {
            return Err(Error::Foreign { path, why });
        }
        if facts.is_dir() {
            for entry in std::fs::read_dir(&path).map_err(io)? {
                waiting.push(entry.map_err(io)?.path());
            }
        } else if path == top {
            return Err(Error::Foreign { path, why: "it is not a folder" });
        }
    }
    Ok(())
}

/// What of a file or folder somebody else could have had a hand in.
fn foreign(facts: &Metadata, user: u32) -> Option<&'static str> {
    if facts.is_symlink() {
        Some("it is a link")
    } else if !facts.is_dir() && !facts.is_file() {
        Some("it is neither a file nor a folder")
    } else if facts.uid() != user {
        Some("it is another user's")
    } else if facts.mode() & 0o022 != 0 {
        Some("others may write to it")
    } else if facts.is_file() && facts.nlink() != 1 {
        Some("it has a second name elsewhere")
    } else {
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn why(path: &Path) -> &'static str {
        match folder(path) {
            Err(Error::Foreign { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    }

    fn open_to(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_somebody_else_could_have_prepared_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().join("work");
        folder(&top).unwrap();
        fs::create_dir(top.join("inside")).unwrap();
        let file = top.join("inside/file");
        fs::write(&file, b"x").unwrap();
        open_to(&file, 0o600);
        folder(&top).unwrap();

        for (path, mode, good) in [(&file, 0o666, 0o600), (&file, 0o620, 0o600), (&top, 0o777, 0o755)] {
            open_to(path, mode);
            assert_eq!(why(&top), "others may write to it", "{mode:o}");
            open_to(path, good);
        }
        let elsewhere = place.path().join("elsewhere");
        fs::hard_link(&file, &elsewhere).unwrap();
        assert_eq!(why(&top), "it has a second name elsewhere");
        fs::remove_file(&elsewhere).unwrap();
        symlink("/etc/passwd", top.join("inside/link")).unwrap();
        assert_eq!(why(&top), "it is a link");
        fs::remove_file(top.join("inside/link")).unwrap();
        folder(&top).unwrap();

        let link = place.path().join("link");
        symlink(&top, &link).unwrap();
        assert_eq!(why(&link), "it is a link");
        assert_eq!(why(&file), "it is not a folder");
    }
}
