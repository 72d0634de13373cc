//! The one door through which a copy of a delivered folder is mended: the only module that writes into one.
//!
//! As in [`delivered`](super::delivered), no link on the way is followed: whoever prepared the medium cannot have a file outside of it
//! written. A small file appears whole or not at all; of a large one only those bytes are written that were damaged.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::delivered::{Missing, fault, parent};
use super::fs::Error;
use crate::path::EntryPath;

/// A folder that is being mended, by this program alone as long as this lives.
#[derive(Debug)]
pub struct Mending {
    folder: PathBuf,
    _lock: OwnedFd,
}

impl Mending {
    /// Takes hold of `folder`, and finds out by a file that goes again whether it can be written to.
    ///
    /// # Errors
    /// [`Error::Busy`] when another program mends it; or what the system refused.
    pub fn begin(folder: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: folder.to_owned(), source };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lock = rustix::fs::open(folder, flags, Mode::empty()).map_err(|errno| fault(folder, errno))?;
        // Of filesystems without locks nobody can be kept out.
        if flock(&lock, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            return Err(Error::Busy { path: folder.to_owned() });
        }
        drop(Small::begin((lock.try_clone().map_err(io)?, "repair"), folder, super::fs::PUBLIC)?);
        Ok(Self { folder: folder.to_owned(), _lock: lock })
    }

    /// Opens a large file for mending, or makes an empty one where none is.
    ///
    /// # Errors
    /// [`Error::Irregular`] for anything but an ordinary file with one name: what is written to a second name may be another copy.
    pub fn large(&self, name: &EntryPath) -> Result<Large, Error> {
        let path = name.under(&self.folder);
        let at = parent(&self.folder, name, Missing::IsMade)?;
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let file = openat(&at, name.name(), flags, Mode::from_raw_mode(super::fs::PUBLIC));
        let file = File::from(file.map_err(|errno| match errno {
            Errno::ISDIR => Error::Irregular { path: path.clone() },
            errno => fault(&path, errno),
        })?);
        let facts = file.metadata().map_err(|source| Error::Io { path: path.clone(), source })?;
        if !facts.is_file() || facts.nlink() != 1 {
            return Err(Error::Irregular { path });
        }
        Ok(Large { file, path })
    }

    /// Takes a file away.
    ///
    /// # Errors
    /// What the system refused.
    pub fn remove(&self, name: &EntryPath) -> Result<(), Error> {
        let path = name.under(&self.folder);
        let at = parent(&self.folder, name, Missing::IsAFault)?;
        unlinkat(&at, name.name(), AtFlags::empty()).map_err(|errno| fault(&path, errno))
    }

    /// Takes folders away that are empty, in the order given.
    pub fn remove_folders(&self, names: &[&str]) {
        for name in names {
            let Ok(name) = name.parse::<EntryPath>() else { continue };
            if let Ok(at) = parent(&self.folder, &name, Missing::IsAFault) {
                // One that is not empty stays, and is named by the next check.
                let _ = unlinkat(&at, name.name(), AtFlags::REMOVEDIR);
            }
        }
    }

    /// Begins a small file, in place of whatever has its name.
    ///
    /// # Errors
    /// What the system refused.
    pub fn small(&self, name: &EntryPath, mode: u32) -> Result<Small, Error> {
        let path = name.under(&self.folder);
        let at = parent(&self.folder, name, Missing::IsMade)?;
        Small::begin((at, name.name()), &path, mode)
    }
}

/// A file of which some bytes are put right.
#[derive(Debug)]
pub struct Large {
    file: File,
    path: PathBuf,
}

impl Large {
    fn io(&self, source: std::io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }

    /// Puts `bytes` at `from`, and waits until the device has them. What is read afterwards comes from the device.
    ///
    /// # Errors
    /// What the system refused.
    pub fn put(&self, bytes: &[u8], from: u64) -> Result<(), Error> {
        self.file.write_all_at(bytes, from).and_then(|()| self.file.sync_data()).map_err(|e| self.io(e))?;
        let length = std::num::NonZeroU64::new(bytes.len() as u64);
        let _ = rustix::fs::fadvise(&self.file, from, length, rustix::fs::Advice::DontNeed);
        Ok(())
    }

    /// Writes `bytes` at `from`, and does not wait for the device.
    ///
    /// # Errors
    /// What the system refused.
    pub fn write(&self, bytes: &[u8], from: u64) -> Result<(), Error> {
        self.file.write_all_at(bytes, from).map_err(|e| self.io(e))
    }

    /// The file, for reading what was put.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Cuts off what follows its last byte, and makes its length and name durable.
    ///
    /// # Errors
    /// What the system refused.
    pub fn end_at(&self, length: u64) -> Result<(), Error> {
        let long = self.file.metadata().map_err(|e| self.io(e))?.len() > length;
        if long {
            self.file.set_len(length).map_err(|e| self.io(e))?;
        }
        self.settle()
    }

    /// Makes its length and name durable.
    ///
    /// # Errors
    /// What the system refused.
    pub fn settle(&self) -> Result<(), Error> {
        self.file.sync_all().map_err(|e| self.io(e))?;
        super::fs::sync_folder_of(&self.path)
    }
}

/// A small file under a temporary name. Dropped before [`Small::replace`], it is gone.
#[derive(Debug)]
pub struct Small {
    file: File,
    at: OwnedFd,
    temporary: String,
    name: String,
    path: PathBuf,
    placed: bool,
}

impl Small {
    /// The temporary name is always the same: what a killed program left there goes when the same file is mended again.
    fn begin((at, name): (OwnedFd, &str), path: &Path, mode: u32) -> Result<Self, Error> {
        let temporary = format!(".{name}.part");
        let _ = unlinkat(&at, temporary.as_str(), AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&at, temporary.as_str(), flags, Mode::from_raw_mode(mode));
        let file = File::from(file.map_err(|errno| fault(path, errno))?);
        Ok(Self { file, at, temporary, name: name.to_owned(), path: path.to_owned(), placed: false })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// What the system refused.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|source| Error::Io { path: self.path.clone(), source })
    }

    /// Gives it its name, in place of what has it.
    ///
    /// # Errors
    /// What the system refused: a folder of that name stays.
    pub fn replace(mut self) -> Result<(), Error> {
        let io = |source| Error::Io { path: self.path.clone(), source };
        self.file.sync_all().map_err(io)?;
        renameat(&self.at, self.temporary.as_str(), &self.at, self.name.as_str())
            .map_err(|errno| fault(&self.path, errno))?;
        self.placed = true;
        rustix::fs::fsync(&self.at).map_err(|errno| fault(&self.path, errno))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing can be done when this fails, and the name says what the file is.
            let _ = unlinkat(&self.at, self.temporary.as_str(), AtFlags::empty());
        }
    }
}
