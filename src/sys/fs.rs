//! Files: the one bounded reader, the one reader of private keys, and the one atomic writer.
//!
//! What is written appears whole or not at all, and survives a power cut once it has appeared.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::random::{self, RandomError};

/// Mode of a file that only its owner may read: private keys.
pub const PRIVATE: u32 = 0o600;
/// Mode of any other file, before the umask.
pub const PUBLIC: u32 = 0o644;
/// Mode of a program, before the umask.
pub const PROGRAM: u32 = 0o755;

/// A fault of a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Longer than it may be.
    #[error("{path}: more than {limit} bytes", path = path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A link, folder, device or FIFO where an ordinary file should be.
    #[error("{path}: it is not an ordinary file", path = path.display())]
    Irregular {
        /// Which.
        path: PathBuf,
    },
    /// There already.
    #[error("{path}: exists", path = path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Being written by another program.
    #[error("{path}: another program is writing it", path = path.display())]
    Busy {
        /// Which.
        path: PathBuf,
    },
    /// A folder, device or pipe where a file is to be written.
    #[error("{path}: it is a folder, a device or a pipe, and no file", path = path.display())]
    Special {
        /// Which.
        path: PathBuf,
    },
    /// A private key that others may read.
    #[error("{path}: a private key that others may read (mode {mode:04o})", path = path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Something to go on with that somebody else could have prepared.
    #[error("{path}: {why}", path = path.display())]
    Foreign {
        /// Which file or folder.
        path: PathBuf,
        /// What is so.
        why: &'static str,
    },
    /// A path that cannot name a file.
    #[error("\"{path}\" does not name a file", path = path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// No randomness for a temporary name.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl Error {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// The whole of a file of at most `max` bytes.
pub fn read_limited(path: &Path, max: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    let mut bytes = Vec::new();
    read_open(&file, path, max, &mut bytes)?;
    Ok(bytes)
}

/// The whole of a private key's file of at most `max` bytes, wiped when dropped. Refused when its group or others have any
/// permission on it.
pub fn read_private(path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, Error> {
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    // Asked of the open file, not of the path, which may by then name another.
    let facts = file.metadata().map_err(|source| Error::io(path, source))?;
    let mode = facts.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Error::Exposed { path: path.to_owned(), mode });
    }
    let room = usize::try_from(facts.len().min(max)).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    read_open(&file, path, max, &mut bytes)?;
    Ok(bytes)
}

pub(super) fn read_open(file: &File, path: &Path, max: u64, bytes: &mut Vec<u8>) -> Result<(), Error> {
    let read =
        file.take(max.saturating_add(1)).read_to_end(bytes).map_err(|source| Error::io(path, source))?;
    if read as u64 > max {
        return Err(Error::TooLong { path: path.to_owned(), limit: max });
    }
    Ok(())
}

/// Writes a whole file, in place of one that may be there.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let mut draft = Draft::begin(path, mode)?;
    draft.write_all(bytes).map_err(|source| Error::io(path, source))?;
    draft.replace()
}

/// Writes a whole file where none is; an error when one is.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let mut draft = Draft::begin(path, mode)?;
    draft.write_all(bytes).map_err(|source| Error::io(path, source))?;
    draft.create()
}

/// Whether a small file could be written at `path`, found out by writing one beside it and taking it away again: before long work that ends
/// in writing it.
///
/// # Errors
/// What [`write`] would end in.
pub fn probe(path: &Path, mode: u32) -> Result<(), Error> {
    let mut draft = Draft::begin(path, mode)?;
    draft.write_all(&[b' '; 4096]).map_err(|source| Error::io(path, source))?;
    draft.sync()
}

/// A file being written under a temporary name in its destination folder. Finished by [`Draft::replace`] or
/// [`Draft::create`]; dropped before that, it is gone.
#[derive(Debug)]
pub struct Draft {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    placed: bool,
}

impl Draft {
    /// Begins a file that will be `target`, with permission bits `mode` less the umask.
    pub fn begin(target: &Path, mode: u32) -> Result<Self, Error> {
        let no_name = || Error::NoName { path: target.to_owned() };
        let name = target.file_name().ok_or_else(no_name)?;
        if target.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(no_name());
        }
        // A file that is renamed over /dev/stdout is the end of it.
        if std::fs::metadata(target).is_ok_and(|there| !there.is_file()) {
            return Err(Error::Special { path: target.to_owned() });
        }
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", hex::encode(*random::bytes::<6>()?)));
        let temporary = target.with_file_name(hidden);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)
            // The name that was given says more to people than the one it has meanwhile.
            .map_err(|source| Error::io(target, source))?;
        Ok(Self { file, temporary, target: target.to_owned(), placed: false })
    }

    /// Puts it in its place, over what may be there.
    pub fn replace(mut self) -> Result<(), Error> {
        self.sync()?;
        std::fs::rename(&self.temporary, &self.target).map_err(|source| Error::io(&self.target, source))?;
        self.placed = true;
        self.sync_folder()
    }

    /// Puts it in its place; an error when something is there.
    pub fn create(mut self) -> Result<(), Error> {
        self.sync()?;
        publish_new(&self.temporary, &self.target)?;
        self.placed = true;
        self.sync_folder()
    }

    fn sync(&self) -> Result<(), Error> {
        self.file.sync_all().map_err(|source| Error::io(&self.target, source))
    }

    /// Makes the new name itself durable.
    fn sync_folder(&self) -> Result<(), Error> {
        sync_folder_of(&self.target)
    }
}

/// Gives a finished file its name; an error when something of that name is there.
pub(super) fn publish_new(from: &Path, to: &Path) -> Result<(), Error> {
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: to.to_owned() },
        _ => Error::io(to, source),
    };
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // Filesystems that cannot rename so (NFS, some FUSE) can link, which does not replace either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            std::fs::hard_link(from, to).map_err(refused)?;
            std::fs::remove_file(from).map_err(|source| Error::io(from, source))
        }
        Err(errno) => Err(refused(errno.into())),
    }
}

/// Gives a finished folder its name; an error when something of that name is there.
pub fn publish_folder(from: &Path, to: &Path) -> Result<(), Error> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST | Errno::NOTEMPTY) => return Err(Error::Exists { path: to.to_owned() }),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            std::fs::rename(from, to).map_err(|source| Error::io(to, source))?;
        }
        other => other.map_err(|errno| Error::io(to, errno.into()))?,
    }
    sync_folder_of(to)
}

/// Makes the folder that `file` goes into, for this user alone.
pub fn private_folder_of(file: &Path) -> Result<(), Error> {
    let Some(folder) = file.parent() else { return Ok(()) };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| Error::io(folder, source))
}

/// Bytes free for this user on the filesystem that holds `path`.
pub fn free_bytes(path: &Path) -> Result<u64, Error> {
    let facts = rustix::fs::statvfs(path).map_err(|errno| Error::io(path, errno.into()))?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// Has the system begin to read bytes `from..to` of a file that will be wanted soon. A hint: what cannot be asked for is read when it is due.
pub fn read_ahead(file: &File, from: u64, to: u64) {
    let length = std::num::NonZeroU64::new(to.saturating_sub(from));
    let _ = rustix::fs::fadvise(file, from, length, rustix::fs::Advice::WillNeed);
}

/// Lets this process have as many files open as its hard limit allows; shells give a soft one of 1024.
pub fn open_many() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // What is not allowed is found out when a file cannot be opened.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Tells the system that a file is read in small pieces far apart, so that it reads no more than is asked for. A hint.
pub fn read_scattered(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Random);
}

/// Takes a file away that only its writer cares for, and drafts of it that a killed writer left. What cannot be removed stays.
pub fn forget(path: &Path) {
    let _ = std::fs::remove_file(path);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let draft = |found: &OsStr| {
        let (found, name) = (found.as_encoded_bytes(), name.as_encoded_bytes());
        let rest = found.strip_prefix(b".").and_then(|found| found.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with(b".") && rest.ends_with(b".part"))
    };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if draft(&entry.file_name()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Makes what changed in the folder of `path` (names that came, went or moved) durable.
pub fn sync_folder_of(path: &Path) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| Error::io(folder, source))
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing can be done when this fails, and the name says what the file is.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_whole_and_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        create(&path, b"one", PRIVATE).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(create(&path, b"two", PRIVATE), Err(Error::Exists { .. })));
        assert_eq!(read_limited(&path, 3).unwrap(), b"one");
        write(&path, b"three", PRIVATE).unwrap();
        assert_eq!(read_limited(&path, 5).unwrap(), b"three");
        assert_eq!(names(folder.path()), ["k"]);
    }

    #[test]
    fn only_a_file_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("/dev/null", at("link")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        for special in ["socket", "link", "folder"] {
            let error = write(&at(special), b"x", PUBLIC).unwrap_err();
            assert!(matches!(error, Error::Special { .. }), "{special}: {error}");
        }
        assert_eq!(names(folder.path()), ["folder", "link", "socket"]);
    }

    #[test]
    fn a_probe_leaves_nothing_and_names_what_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("x"), b"kept", PUBLIC).unwrap();
        probe(&folder.path().join("x"), PUBLIC).unwrap();
        assert_eq!(read_limited(&folder.path().join("x"), 9).unwrap(), b"kept");
        assert_eq!(names(folder.path()), ["x"]);
        let nowhere = folder.path().join("no/such");
        assert!(matches!(probe(&nowhere, PUBLIC), Err(Error::Io { path, .. }) if path == nowhere));
    }

    #[test]
    fn a_draft_that_is_dropped_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut draft = Draft::begin(&folder.path().join("x"), PUBLIC).unwrap();
        draft.write_all(b"half").unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(draft);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn exactly_at_the_limit_is_read_and_one_past_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write(&path, b"12345", PUBLIC).unwrap();
        assert_eq!(read_limited(&path, 5).unwrap(), b"12345");
        assert!(matches!(read_limited(&path, 4), Err(Error::TooLong { limit: 4, .. })));
        assert!(matches!(read_limited(&folder.path().join("y"), 4), Err(Error::Io { .. })));
    }

    #[test]
    fn a_private_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        write(&path, b"key", PRIVATE).unwrap();
        assert_eq!(read_private(&path, 3).unwrap().as_slice(), b"key");
        for mode in [0o640, 0o604, 0o620, 0o644, 0o610] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = read_private(&path, 3).unwrap_err();
            assert!(matches!(error, Error::Exposed { mode: got, .. } if got == mode), "{mode:o}: {error}");
        }
    }

    #[test]
    fn a_path_that_names_no_file_is_refused() {
        for bad in ["/", "..", "a/"] {
            assert!(matches!(Draft::begin(Path::new(bad), PUBLIC), Err(Error::NoName { .. })), "{bad}");
        }
    }

    #[test]
    fn what_is_forgotten_goes_with_its_drafts_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["a.json", ".a.json.00ff.part", "b.json", ".b.json.00ff.part", ".a.json.part2", "a.json.part"]
        {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        forget(&folder.path().join("a.json"));
        assert_eq!(names(folder.path()), [".a.json.part2", ".b.json.00ff.part", "a.json.part", "b.json"]);
        forget(&folder.path().join("a.json"));
        forget(&folder.path().join("gone/a.json"));
    }
}
