//! Files past the page cache: what is written goes to the medium, and what is read comes from it and not from memory.
//!
//! Needs whole blocks, at addresses that agree with their place in the file. Where a filesystem cannot do it, the file is used through
//! the page cache, and whoever must not be fooled by that drops its pages first.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{Advice, OFlags, fadvise, fcntl_getfl, fcntl_setfl};

use crate::buffers::{Buffer, Pool};

/// What reads and writes past the page cache are aligned to, in the file and in memory: no device has larger sectors.
pub const ALIGN: usize = 4096;
/// Bytes of one piece: what a stick takes in one go, and few enough for some of them at once.
pub const PIECE: usize = 1 << 20;

static ROOMS: Pool = Pool::new(PIECE + ALIGN, 32);

/// Opens `path` as `options` say, past the page cache where the filesystem can.
pub fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = |flags: OFlags| i32::try_from(flags.bits()).unwrap_or(0);
    let direct = options.custom_flags(flags(OFlags::DIRECT)).open(path);
    direct.or_else(|_| options.custom_flags(0).open(path))
}

/// Whether `file` is used past the page cache.
#[must_use]
pub fn is(file: &File) -> bool {
    fcntl_getfl(file).is_ok_and(|flags| flags.contains(OFlags::DIRECT))
}

/// Has `file` go through the page cache from now on; whether that could be done.
#[must_use]
pub fn leave(file: &File) -> bool {
    fcntl_getfl(file).and_then(|flags| fcntl_setfl(file, flags.difference(OFlags::DIRECT))).is_ok()
}

/// Drops what the page cache holds of `file`, as far as it is on the medium already.
pub fn forget(file: &File) {
    let _ = fadvise(file, 0, None, Advice::DontNeed);
}

/// Room for at most [`PIECE`] bytes, at an address that direct reads and writes may begin at.
#[derive(Debug)]
pub struct Room {
    buffer: Buffer,
    skip: usize,
}

impl Room {
    /// Room of no particular content.
    #[must_use]
    pub fn new() -> Self {
        let buffer = ROOMS.take(PIECE + ALIGN);
        let skip = buffer.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { buffer, skip }
    }

    /// Its first `length` (≤ [`PIECE`]) bytes.
    pub fn bytes(&mut self, length: usize) -> &mut [u8] {
        &mut self.buffer[self.skip..self.skip + length]
    }

    /// Its first `length` (≤ [`PIECE`]) bytes, shared, without a copy.
    #[must_use]
    pub fn freeze(self, length: usize) -> bytes::Bytes {
        self.buffer.freeze(self.skip..self.skip + length)
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether `bytes` may be written past the page cache at `offset`, but for their end.
#[must_use]
pub fn fits(bytes: &[u8], offset: u64) -> bool {
    bytes.as_ptr().align_offset(ALIGN) == 0 && offset.is_multiple_of(ALIGN as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_room_begins_where_direct_writes_may() {
        let rooms: Vec<Room> = (0..3).map(|_| Room::new()).collect();
        for mut room in rooms {
            room.bytes(PIECE)[PIECE - 1] = 1;
            let bytes = room.freeze(10_000);
            assert!(fits(&bytes, 8192) && !fits(&bytes, 100) && !fits(&bytes[1..], 0));
        }
    }

    #[test]
    fn what_is_left_goes_through_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let file = open(OpenOptions::new().write(true).create(true), &path).unwrap();
        assert!(leave(&file) && !is(&file));
        forget(&file);
    }
}
