//! Regular files, read at offsets.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::buffers::Pool;
use crate::checked::small;
use crate::limits;
use crate::store::{self, Pieces};

/// Pieces on their way; as many as are under way at the same time in a build of many sources.
static PIECES: Pool = Pool::new(256 << 10, 32);
const _: () = assert!(limits::PIECE_BYTES == 256 << 10, "a piece fits its buffer");

/// A regular file, opened once for reading and shared.
#[derive(Debug, Clone)]
pub(super) struct Regular {
    pub(super) path: PathBuf,
    file: Arc<File>,
    pub(super) length: u64,
}

/// A part of a [`Regular`], to be read from its front.
#[derive(Debug)]
pub(super) struct Part {
    file: Regular,
    at: u64,
    end: u64,
}

impl Regular {
    /// Opens `path`, which must be a regular file and, with [`Links::Refused`], not a symbolic link. Never waits, as a pipe would.
    pub(super) fn open(path: &Path, links: Links) -> Result<Self, store::Error> {
        let io = |source| store::Error::Io { path: path.to_path_buf(), source };
        let flags = rustix::fs::OFlags::NONBLOCK
            | match links {
                Links::Followed => rustix::fs::OFlags::empty(),
                Links::Refused => rustix::fs::OFlags::NOFOLLOW,
            };
        let flags = i32::try_from(flags.bits()).unwrap_or(0);
        let file = File::options().read(true).custom_flags(flags).open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(malformed(path, "it is not a regular file"));
        }
        Ok(Self { path: path.to_path_buf(), file: Arc::new(file), length: metadata.len() })
    }

    /// The `size` bytes from `offset` on.
    pub(super) fn part(&self, offset: u64, size: u64) -> Part {
        Part { file: self.clone(), at: offset, end: offset.saturating_add(size) }
    }

    /// Exactly `size` bytes from `offset` on; the caller has held `size` to a limit.
    pub(super) fn read(&self, offset: u64, size: u64) -> Result<Vec<u8>, store::Error> {
        let mut bytes = vec![0; small(size)];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|source| store::Error::Io { path: self.path.clone(), source })?;
        Ok(bytes)
    }

    /// The whole file, when it has at most `limit` bytes.
    pub(super) fn read_whole(&self, limit: u64) -> Result<Vec<u8>, store::Error> {
        if self.length > limit {
            return Err(malformed(
                &self.path,
                &format!("it has {} bytes; at most {limit} are read", self.length),
            ));
        }
        self.read(0, self.length)
    }
}

/// Whether the last name of a path may be a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// A person named the path.
    Followed,
    /// The path was made of what a person named and a digest.
    Refused,
}

pub(super) fn malformed(path: &Path, why: &str) -> store::Error {
    store::Error::Malformed { path: path.to_path_buf(), why: why.to_owned() }
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = small(self.end.saturating_sub(self.at)).min(buffer.len());
        let read = self.file.file.read_at(&mut buffer[..left], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Pieces for Part {
    fn next(&mut self) -> Result<Option<Bytes>, store::Error> {
        let mut piece = PIECES.take(small(self.end.saturating_sub(self.at).min(limits::PIECE_BYTES)));
        let mut filled = 0;
        while filled < piece.len() {
            match self.read(&mut piece[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(store::Error::Io { path: self.file.path.clone(), source }),
            }
        }
        Ok((filled > 0).then(|| piece.freeze(0..filled)))
    }
}
