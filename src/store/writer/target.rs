//! The file of one volume: written in order, in whole blocks, past the page cache where the filesystem can.
//!
//! A bundle is many times larger than memory and is not read again by whoever builds it. Written through the page cache it would push
//! everything else out, and stall when the kernel finds that too much is waiting to be written.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::segment::Segment;
use crate::checked::small;
use crate::path::EntryPath;
use crate::store::Error;
use crate::sys::direct::{self, ALIGN};

/// A volume's file.
pub(super) struct Target {
    file: File,
    path: PathBuf,
    pub(super) name: EntryPath,
    pub(super) volume: usize,
    /// Bytes taken in; those of `rest` are not in the file yet.
    pub(super) at: u64,
    /// Bytes that a killed writer left.
    existing: u64,
    /// The last bytes taken in, less than a block.
    rest: Vec<u8>,
}

/// Creates the file of a volume. Where the filesystem refuses to write past the page cache, it is written through it.
pub(super) fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    direct::open(options.read(true).write(true).create(true).truncate(true).mode(0o644), path)
}

/// Opens the file of a volume that is taken up. Its torn end is compared with what is written over it, so it is read, and so it is written
/// through the page cache.
pub(super) fn take_up(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

impl Target {
    /// The file of `volume`, `at` bytes of which hold already, of `existing` that are there.
    pub(super) fn new(
        (file, path): (File, PathBuf),
        (volume, name): (usize, EntryPath),
        (at, existing): (u64, u64),
    ) -> Result<Self, Error> {
        let inside = at % ALIGN as u64;
        let mut rest = vec![0; small(inside)];
        let target = Self { file, path, name, volume, at, existing, rest: vec![] };
        target.file.read_exact_at(&mut rest, at - inside).map_err(|e| target.io(e))?;
        Ok(Self { rest, ..target })
    }

    fn io(&self, source: std::io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }

    /// Takes in the volume's header, which is less than a block.
    pub(super) fn begin(&mut self, header: &[u8]) {
        self.rest.extend_from_slice(header);
        self.at += header.len() as u64;
    }

    /// Takes in a segment: gives its bytes, and what must be passed to [`Target::write`] next.
    pub(super) fn take(&mut self, segment: Segment) -> (Bytes, Bytes) {
        let before = std::mem::take(&mut self.rest);
        let mut blocks = segment.behind(&before);
        let bytes = blocks.slice(before.len()..);
        self.at += bytes.len() as u64;
        let rest = blocks.split_off(blocks.len() - blocks.len() % ALIGN);
        self.rest = rest.to_vec();
        (bytes, blocks)
    }

    /// Writes whole blocks, the last of which ends before `rest`.
    pub(super) fn write(&mut self, blocks: &[u8]) -> Result<(), Error> {
        let from = self.at - (self.rest.len() + blocks.len()) as u64;
        self.compare(blocks, from)?;
        match self.file.write_all_at(blocks, from) {
            // Some filesystems find out only now that they cannot.
            Err(e) if e.kind() == std::io::ErrorKind::InvalidInput && direct::leave(&self.file) => {
                self.file.write_all_at(blocks, from)
            }
            other => other,
        }
        .map_err(|e| self.io(e))
    }

    /// What is written over bytes that a killed writer left must be those bytes: the nonces are used.
    fn compare(&self, bytes: &[u8], from: u64) -> Result<(), Error> {
        let known = small(self.existing.saturating_sub(from)).min(bytes.len());
        if known > 0 {
            let mut before = vec![0; known];
            self.file.read_exact_at(&mut before, from).map_err(|e| self.io(e))?;
            if before != bytes[..known] {
                return Err(Error::Resealed { volume: self.name.as_str().to_owned(), at: from });
            }
        }
        Ok(())
    }

    /// Writes the last bytes, which are no whole block; the file is complete, a killed program loses nothing of it.
    pub(super) fn complete(&mut self) -> Result<(), Error> {
        let _ = direct::leave(&self.file);
        let rest = std::mem::take(&mut self.rest);
        let from = self.at - rest.len() as u64;
        self.compare(&rest, from)?;
        self.file.write_all_at(&rest, from).map_err(|e| self.io(e))?;
        self.file.set_len(self.at).map_err(|e| self.io(e))
    }

    /// Waits until all of it is on the medium.
    pub(super) fn sync(self) -> Result<(), Error> {
        self.file.sync_data().map_err(|e| self.io(e))
    }
}
