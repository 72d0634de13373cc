//! The one door to the files of a delivered folder.
//!
//! Whoever carries the medium may have put anything on it. A file is opened name by name from the folder that was given, and no name
//! on the way may be a symbolic link, so that nothing outside the folder is ever read; what is opened is an ordinary file, so that
//! nothing waits for a FIFO or reads a device; and all that is asked of it later is asked of the open file.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, mkdirat, openat, statat};
use rustix::io::Errno;

use super::fs::{Error, read_open};
use crate::digest::{Digest, Hasher};
use crate::path::EntryPath;

/// Bytes read at once.
const PIECE: usize = 256 << 10;

/// Opens `name` in the delivered `folder` for reading. [`Error::Irregular`] when it, or a folder on the way, is a link, a device or
/// something else that a bundle does not have.
pub fn open(folder: &Path, name: &EntryPath) -> Result<File, Error> {
    let path = name.under(folder);
    let fault = |errno| fault(&path, errno);
    let at = parent(folder, name, Missing::IsAFault)?;
    let last = name.name();
    // Asked first, because opening a device can already do something; and again after, because it may be another by then.
    let facts = statat(&at, last, AtFlags::SYMLINK_NOFOLLOW).map_err(fault)?;
    regular(facts.st_mode, &path)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(&at, last, flags, Mode::empty()).map_err(fault)?;
    regular(fstat(&file).map_err(fault)?.st_mode, &path)?;
    Ok(File::from(file))
}

/// What becomes of a folder on the way that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// What is asked for is not there either.
    IsAFault,
    /// It is made.
    IsMade,
}

/// The folder that `name` lies in, reached from `folder` without following a link.
pub(super) fn parent(folder: &Path, name: &EntryPath, missing: Missing) -> Result<OwnedFd, Error> {
    let path = name.under(folder);
    let fault = |errno| fault(&path, errno);
    let folders = name.as_str().rsplit_once('/').map(|(folders, _)| folders);
    // The folder itself may be reached by links: the operator named it.
    let top = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(folder, top, Mode::empty()).map_err(fault)?;
    for step in folders.into_iter().flat_map(|folders| folders.split('/')) {
        if missing == Missing::IsMade {
            match mkdirat(&at, step, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(fault(errno)),
            }
        }
        at = openat(&at, step, top | OFlags::NOFOLLOW, Mode::empty()).map_err(|errno| match errno {
            // What a link, or a file where a folder should be, gives.
            Errno::NOTDIR | Errno::LOOP => Error::Irregular { path: path.clone() },
            errno => fault(errno),
        })?;
    }
    Ok(at)
}

/// The whole of a delivered file of at most `max` bytes.
pub fn read(folder: &Path, name: &EntryPath, max: u64) -> Result<Vec<u8>, Error> {
    let file = open(folder, name)?;
    let mut bytes = Vec::new();
    read_open(&file, &name.under(folder), max, &mut bytes)?;
    Ok(bytes)
}

/// The SHA-256 of a delivered file of at most `max` bytes.
pub fn hash(folder: &Path, name: &EntryPath, max: u64) -> Result<Digest, Error> {
    pass(folder, name, max, &mut |_| Ok(()))
}

/// Passes a delivered file of at most `max` bytes to `take`, piece by piece; gives its SHA-256.
///
/// # Errors
/// What the system refused, or what `take` gave.
pub fn pass(
    folder: &Path,
    name: &EntryPath,
    max: u64,
    take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Digest, Error> {
    let mut file = open(folder, name)?.take(max.saturating_add(1));
    let mut hasher = Hasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).map_err(|source| Error::Io { path: name.under(folder), source })?;
        hasher.update(&piece[..read]);
        if hasher.length() > max {
            return Err(Error::TooLong { path: name.under(folder), limit: max });
        }
        if read == 0 {
            return Ok(hasher.finish());
        }
        take(&piece[..read])?;
    }
}

fn regular(mode: rustix::fs::RawMode, path: &Path) -> Result<(), Error> {
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => Ok(()),
        _ => Err(Error::Irregular { path: path.to_owned() }),
    }
}

pub(super) fn fault(path: &Path, errno: Errno) -> Error {
    match errno {
        Errno::LOOP | Errno::NXIO => Error::Irregular { path: path.to_owned() },
        errno => Error::Io { path: PathBuf::from(path), source: errno.into() },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn name(text: &str) -> EntryPath {
        text.parse().unwrap()
    }

    #[test]
    fn only_ordinary_files_below_the_folder_are_opened() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("x"), b"outside").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("real")).unwrap();
        std::fs::write(at("real/x"), b"inside").unwrap();
        symlink(outside.path(), at("away")).unwrap();
        symlink("real", at("beside")).unwrap();
        symlink("real/x", at("link")).unwrap();
        symlink("gone", at("dangling")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();

        assert_eq!(read(folder.path(), &name("real/x"), 10).unwrap(), b"inside");
        for irregular in ["away/x", "beside/x", "link", "dangling", "fifo", "socket", "real", "link/x"] {
            let error = read(folder.path(), &name(irregular), 10).unwrap_err();
            assert!(matches!(error, Error::Irregular { .. }), "{irregular}: {error}");
        }
        let error = read(folder.path(), &name("real/gone"), 10).unwrap_err();
        assert!(matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound));
        assert!(matches!(read(folder.path(), &name("real/x"), 5), Err(Error::TooLong { .. })));
        // The folder itself may be a link.
        symlink(folder.path(), outside.path().join("stick")).unwrap();
        assert!(read(&outside.path().join("stick"), &name("real/x"), 10).is_ok());
    }
}
