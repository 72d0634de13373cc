//! Where pieces come from: other copies, and folders of parts. Only read, and believed by the hash alone.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::bundle::index::Chunked;
use crate::checked::small;
use crate::digest::Digest;
use crate::path::EntryPath;
use crate::sys::{delivered, fs};

/// The folder in a folder of parts that holds chunks, each called as its hash.
pub(crate) const CHUNKS: &str = "chunks";

/// The copies, by their numbers.
pub(super) struct Places<'a> {
    folders: &'a [PathBuf],
}

impl<'a> Places<'a> {
    pub(super) fn new(folders: &'a [PathBuf]) -> Self {
        Self { folders }
    }

    /// Reads `chunk` of `file` into `room` from the first copy that has it right; gives that copy's number.
    pub(super) fn chunk(&self, file: &Chunked<'_>, chunk: u64, room: &mut Vec<u8>) -> Option<usize> {
        (0..self.folders.len()).find(|number| self.chunk_of(*number, file, chunk, room))
    }

    /// Reads it from one copy.
    pub(super) fn chunk_of(&self, number: usize, file: &Chunked<'_>, chunk: u64, room: &mut Vec<u8>) -> bool {
        let (Some(folder), Some(digest)) = (self.folders.get(number), file.chunks.get(small(chunk))) else {
            return false;
        };
        let (from, to) = file.range(chunk);
        let part = part_name(digest);
        fill(folder, file.name, (from, to), room) && Digest::of(room) == *digest
            || part
                .is_some_and(|part| fill(folder, &part, (0, to - from), room) && Digest::of(room) == *digest)
    }

    /// The first copy whose file `path` of at most `most` bytes has the hash `digest`.
    pub(super) fn small(&self, path: &EntryPath, digest: &Digest, most: u64) -> Option<usize> {
        self.folders
            .iter()
            .position(|folder| delivered::hash(folder, path, most).is_ok_and(|got| got == *digest))
    }

    /// Passes the file `path` of copy `number`, of at most `most` bytes, to `take`, piece by piece; gives its hash.
    pub(super) fn pass(
        &self,
        number: usize,
        (path, most): (&EntryPath, u64),
        take: &mut dyn FnMut(&[u8]) -> Result<(), fs::Error>,
    ) -> Result<Digest, fs::Error> {
        let folder = self.folders.get(number).map_or(Path::new("."), PathBuf::as_path);
        delivered::pass(folder, path, most, take)
    }
}

/// Whether `folder` has a file of this bundle that is kept in chunks, whole or not, or parts.
pub(super) fn of_bundle(folder: &Path, chunked: &[Chunked<'_>]) -> bool {
    folder.join(CHUNKS).is_dir()
        || chunked.iter().any(|file| file.name.under(folder).symlink_metadata().is_ok())
}

/// Where a folder of parts holds the chunk with this hash.
pub(crate) fn part_name(digest: &Digest) -> Option<EntryPath> {
    format!("{CHUNKS}/{}", digest.hex()).parse().ok()
}

fn fill(folder: &Path, name: &EntryPath, range: (u64, u64), room: &mut Vec<u8>) -> bool {
    delivered::open(folder, name).is_ok_and(|file| read(&file, range, room).is_ok())
}

/// Reads bytes `from..to` of `file` into `room`.
pub(super) fn read(file: &File, (from, to): (u64, u64), room: &mut Vec<u8>) -> std::io::Result<()> {
    room.resize(small(to - from), 0);
    file.read_exact_at(room, from)
}
