//! A folder of this machine: as a rule a stick, a card or a disk that will be carried away.
//!
//! Files are reached name by name from the open folder, and no name on the way may be a link: whoever had the stick before may have put
//! anything on it. What is written goes past the page cache where the filesystem can, so that progress is what the device has taken;
//! what is read back comes from the device.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawMode, fstat, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::{Error, Held, Place, ReadBack, Reading, Writing};
use crate::limits;
use crate::path::EntryPath;
use crate::plan::copy::{Medium, unfinished};
use crate::sys::direct::{self, ALIGN, PIECE, Room};
use crate::sys::filesystem;

/// A folder that a bundle is carried to, locked against other copies.
#[derive(Debug)]
pub struct Folder {
    name: String,
    path: PathBuf,
    /// `None` where it is not there, and is only looked at.
    top: Option<File>,
}

/// Folders within folders that are looked at.
const DEPTH: usize = limits::PATH_BYTES / 2;

fn step(path: &EntryPath) -> (Option<&str>, &str) {
    path.as_str().rsplit_once('/').map_or((None, path.as_str()), |(folder, name)| (Some(folder), name))
}

impl Folder {
    /// Looks at the folder, which need not be there; the one above it must be.
    pub fn look(path: &Path) -> Result<Self, Error> {
        let folder = Self { name: path.display().to_string(), path: path.to_owned(), top: None };
        match File::open(path) {
            Ok(top) if !top.metadata().map_err(|source| folder.fault(path, source))?.is_dir() => {
                Err(folder.fault(path, Errno::NOTDIR.into()))
            }
            Ok(top) => Ok(Self { top: Some(top), ..folder }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let above = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
                match above {
                    Some(above) if above.is_dir() => Ok(folder),
                    above => Err(Error::NoFolder { folder: above.unwrap_or_default() }),
                }
            }
            Err(source) => Err(folder.fault(path, source)),
        }
    }

    /// Makes the folder where it is not there, and locks it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut folder = Self::look(path)?;
        if folder.top.is_none() {
            std::fs::create_dir(path).map_err(|source| folder.fault(path, source))?;
            folder.top = Some(File::open(path).map_err(|source| folder.fault(path, source))?);
        }
        match folder.top()?.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { place: folder.name }),
            // Not every filesystem can lock.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        Ok(folder)
    }

    fn fault(&self, path: &Path, source: io::Error) -> Error {
        Error::of(&self.name, path.to_owned(), source)
    }

    fn fault_at(&self, path: &EntryPath, errno: Errno) -> Error {
        let path = path.under(&self.path);
        match errno {
            // What a link, or a file where a folder should be, gives.
            Errno::NOTDIR | Errno::LOOP => Error::Irregular { path },
            errno => self.fault(&path, errno.into()),
        }
    }

    fn top(&self) -> Result<&File, Error> {
        self.top.as_ref().ok_or_else(|| self.fault(&self.path, Errno::NOENT.into()))
    }

    /// The folder that `path` lies in; made, with those above it, when `make`.
    fn folder_of(&self, path: &EntryPath, make: bool) -> Result<OwnedFd, Error> {
        const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
        let fault = |errno| self.fault_at(path, errno);
        let mut at = openat(self.top()?, ".", FOLDER, Mode::empty()).map_err(fault)?;
        for name in step(path).0.into_iter().flat_map(|folders| folders.split('/')) {
            if make {
                match mkdirat(&at, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) => sync(&at),
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(fault(errno)),
                }
            }
            at = openat(&at, name, FOLDER.union(OFlags::NOFOLLOW), Mode::empty()).map_err(fault)?;
        }
        Ok(at)
    }

    /// The length of the ordinary file `name` in `at`; `None` when nothing is there.
    fn length(&self, at: &OwnedFd, name: &str, path: &EntryPath) -> Result<Option<u64>, Error> {
        match statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.fault_at(path, errno)),
            Ok(facts) => {
                self.regular(facts.st_mode, path)?;
                Ok(Some(u64::try_from(facts.st_size).unwrap_or(0)))
            }
        }
    }

    fn regular(&self, mode: RawMode, path: &EntryPath) -> Result<(), Error> {
        match FileType::from_raw_mode(mode) {
            FileType::RegularFile => Ok(()),
            _ => Err(Error::Irregular { path: path.under(&self.path) }),
        }
    }

    /// Opens an ordinary file, past the page cache where that can be.
    fn open_file(
        &self,
        at: &OwnedFd,
        name: &str,
        (path, flags): (&EntryPath, OFlags),
    ) -> Result<File, Error> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let file = openat(at, name, flags | OFlags::DIRECT, mode)
            .or_else(|_| openat(at, name, flags, mode))
            .map_err(|errno| self.fault_at(path, errno))?;
        self.regular(fstat(&file).map_err(|errno| self.fault_at(path, errno))?.st_mode, path)?;
        Ok(File::from(file))
    }

    fn walk(
        &self,
        folder: &Path,
        (prefix, depth): (&str, usize),
        found: &mut Vec<String>,
    ) -> Result<(), Error> {
        for entry in std::fs::read_dir(folder).map_err(|source| self.fault(folder, source))? {
            let entry = entry.map_err(|source| self.fault(folder, source))?;
            let kind = entry.file_type().map_err(|source| self.fault(folder, source))?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if kind.is_dir() && depth < DEPTH {
                let (path, before) = (format!("{path}/"), found.len());
                self.walk(&entry.path(), (&path, depth + 1), found)?;
                if found.len() == before {
                    found.push(path);
                }
            } else {
                found.push(path);
            }
            if found.len() > limits::FOLDER_FILES {
                break;
            }
        }
        Ok(())
    }
}

/// Makes what changed in a folder durable, where the filesystem can.
fn sync(folder: &OwnedFd) {
    let _ = rustix::fs::fsync(folder);
}

impl Place for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn medium(&self) -> Result<Medium, Error> {
        let nearest = filesystem::nearest(&self.path).unwrap_or_else(|| PathBuf::from("/"));
        let facts = filesystem::facts(&nearest).map_err(|error| match error {
            crate::sys::fs::Error::Io { path, source } => self.fault(&path, source),
            _ => Error::NoFolder { folder: self.path.clone() },
        })?;
        let kind = match facts.device.is_empty() {
            true => facts.kind,
            false => format!("{} ({})", facts.kind, facts.device),
        };
        Ok(Medium {
            name: self.name.clone(),
            kind,
            free: facts.free,
            unit: facts.unit,
            largest: facts.largest,
            longest: facts.name,
            held: std::collections::BTreeMap::new(),
        })
    }

    fn list(&self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        if self.top.is_some() {
            self.walk(&self.path, ("", 0), &mut found)?;
        }
        found.sort();
        Ok(found)
    }

    fn held(&self, path: &EntryPath) -> Result<Held, Error> {
        if self.top.is_none() {
            return Ok(Held::Nothing);
        }
        let at = match self.folder_of(path, false) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(Held::Nothing);
            }
            at => at?,
        };
        let name = step(path).1;
        if let Some(bytes) = self.length(&at, name, path)? {
            return Ok(Held::Named(bytes));
        }
        Ok(self.length(&at, &unfinished(name), path)?.map_or(Held::Nothing, Held::Begun))
    }

    fn small(&self, path: &EntryPath, most: u64) -> Result<Option<Vec<u8>>, Error> {
        let Held::Named(bytes) = self.held(path)? else { return Ok(None) };
        if bytes > most {
            return Err(Error::TooLong { path: path.under(&self.path), limit: most });
        }
        let mut whole = Vec::new();
        let reader = self.reader(path, Held::Named(bytes))?;
        reader.read(0, bytes, &mut |piece| whole.extend_from_slice(piece))?;
        Ok(Some(whole))
    }

    fn begin(&self, path: &EntryPath, program: bool) -> Result<Box<dyn Writing + '_>, Error> {
        let at = self.folder_of(path, true)?;
        let name = step(path).1;
        let part = unfinished(name);
        if self.length(&at, name, path)?.is_some() {
            renameat(&at, name, &at, &part).map_err(|errno| self.fault_at(path, errno))?;
            sync(&at);
        }
        // Asked first, because opening a device can already do something.
        let begun = self.length(&at, &part, path)?;
        let mut length = begun.unwrap_or(0);
        if begun.is_some() {
            let fault = |errno| self.fault_at(path, errno);
            let facts = statat(&at, &part, AtFlags::SYMLINK_NOFOLLOW).map_err(fault)?;
            let ours = [rustix::process::geteuid().as_raw(), fstat(&at).map_err(fault)?.st_uid];
            // Somebody else's file, or one with a second name elsewhere, is not written into: it is begun anew.
            if facts.st_nlink > 1 || !ours.contains(&facts.st_uid) {
                unlinkat(&at, &part, AtFlags::empty()).map_err(fault)?;
                length = 0;
            }
        }
        let file = self.open_file(&at, &part, (path, OFlags::RDWR | OFlags::CREATE))?;
        // FAT knows no modes, and says so or not.
        let _ = rustix::fs::fchmod(&file, Mode::from_raw_mode(if program { 0o755 } else { 0o644 }));
        Ok(Box::new(Part { folder: self, file, path: path.under(&self.path), length }))
    }

    fn reader(&self, path: &EntryPath, held: Held) -> Result<Box<dyn Reading + '_>, Error> {
        let at = self.folder_of(path, false)?;
        let name = match held {
            Held::Named(_) => step(path).1.to_owned(),
            Held::Begun(_) | Held::Nothing => unfinished(step(path).1),
        };
        let file = self.open_file(&at, &name, (path, OFlags::RDONLY))?;
        direct::forget(&file);
        let length = file.metadata().map_err(|source| self.fault(&path.under(&self.path), source))?.len();
        let cached = AtomicBool::new(!direct::is(&file));
        Ok(Box::new(Back { folder: self, file, path: path.under(&self.path), length, cached }))
    }

    fn publish(&self, path: &EntryPath) -> Result<(), Error> {
        let at = self.folder_of(path, false)?;
        let name = step(path).1;
        renameat(&at, unfinished(name), &at, name).map_err(|errno| self.fault_at(path, errno))?;
        sync(&at);
        Ok(())
    }

    fn discard(&self, path: &EntryPath) -> Result<(), Error> {
        let at = self.folder_of(path, false)?;
        match unlinkat(&at, unfinished(step(path).1), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(self.fault_at(path, errno)),
        }
        sync(&at);
        Ok(())
    }
}

struct Part<'a> {
    folder: &'a Folder,
    file: File,
    path: PathBuf,
    length: u64,
}

impl Part<'_> {
    fn fault(&self, source: io::Error) -> Error {
        self.folder.fault(&self.path, source)
    }

    /// A fault of writing. Some that programs serve (fusefat) do not tell their room, and permit no more when they are full: the file was
    /// opened for writing, so it is not that this user may not.
    fn unwritten(&self, source: io::Error) -> Error {
        let silent = || self.folder.medium().is_ok_and(|medium| medium.free.is_none());
        match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::PERM) if silent() => Error::Full { place: self.folder.name.clone() },
            _ => self.fault(source),
        }
    }

    fn put(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        match self.file.write_all_at(bytes, at) {
            // Some filesystems find out only now that they cannot write past the page cache.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && direct::leave(&self.file) => {
                self.file.write_all_at(bytes, at)
            }
            other => other,
        }
    }
}

impl Writing for Part<'_> {
    fn length(&self) -> u64 {
        self.length
    }

    fn write(&mut self, at: u64, bytes: Bytes) -> Result<(), Error> {
        let whole = if direct::fits(&bytes, at) { bytes.len() - bytes.len() % ALIGN } else { 0 };
        self.put(&bytes[..whole], at).map_err(|source| self.unwritten(source))?;
        if whole < bytes.len() {
            // Less than a block, or not where a block may begin.
            let _ = direct::leave(&self.file);
            self.put(&bytes[whole..], at + whole as u64).map_err(|source| self.unwritten(source))?;
        }
        Ok(())
    }

    fn settle(&mut self, length: u64) -> Result<(), Error> {
        let now = self.file.metadata().map_err(|source| self.fault(source))?.len();
        if now > length {
            self.file.set_len(length).map_err(|source| self.fault(source))?;
        }
        self.file.sync_all().map_err(|source| self.fault(source))
    }
}

struct Back<'a> {
    folder: &'a Folder,
    file: File,
    path: PathBuf,
    length: u64,
    /// Whether what is read can come from memory, if something else read it meanwhile.
    cached: AtomicBool,
}

impl Back<'_> {
    /// Goes on through the page cache, which holds nothing of the file.
    fn through_the_cache(&self) -> bool {
        self.cached.store(true, Ordering::Relaxed);
        let left = direct::leave(&self.file);
        direct::forget(&self.file);
        left
    }
}

impl Reading for Back<'_> {
    fn way(&self) -> ReadBack {
        if self.cached.load(Ordering::Relaxed) { ReadBack::CacheDropped } else { ReadBack::Direct }
    }

    fn read(&self, from: u64, to: u64, each: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let fault = |source| self.folder.fault(&self.path, source);
        let to = to.min(self.length);
        let mut room = Room::new();
        // Begins where a block does; what comes before `from` is not handed out.
        let mut at = from - from % ALIGN as u64;
        while at < to {
            let wanted = crate::checked::small(to - at).min(PIECE).next_multiple_of(ALIGN).min(PIECE);
            let space = room.bytes(wanted);
            let got = match self.file.read_at(space, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Some filesystems find out only now that they cannot.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput && self.through_the_cache() => {
                    self.file.read_at(space, at).map_err(fault)?
                }
                other => other.map_err(fault)?,
            };
            if got == 0 {
                break;
            }
            let first = crate::checked::small(from.saturating_sub(at)).min(got);
            let last = crate::checked::small(to - at).min(got);
            each(&space[first..last.max(first)]);
            at += got as u64;
            // What follows a short read does not begin where a block does.
            if at < to && !got.is_multiple_of(ALIGN) && !self.through_the_cache() {
                break;
            }
        }
        Ok(())
    }
}
