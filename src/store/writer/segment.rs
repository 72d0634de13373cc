//! A few units on their way through the writer: filled with plaintext, sealed where they lie, written from there.
//!
//! Units lie as they will lie in the file, with room for their tags, and at an address that agrees with their place in the file: so the file
//! can be written past the page cache without a copy.

use bytes::Bytes;

use crate::buffers::{Buffer, Pool};
use crate::bundle::seal::{PLAIN, SEALED, TAG, VolumeKey};
use crate::checked::small;
use crate::store::Error;
use crate::sys::direct::ALIGN;

/// Units of one segment.
const UNITS: usize = 8;

/// One block to make the address agree, one for what the file's last block still lacks, one because the data may begin inside a block.
static ROOMS: Pool = Pool::new(UNITS * SEALED + 3 * ALIGN, 32);

/// Some units of one volume.
pub(super) struct Segment {
    room: Buffer,
    /// Where in `room` the first unit begins.
    from: usize,
    /// Bytes of plaintext.
    plain: usize,
    /// Bytes from one unit to the next.
    stride: usize,
}

impl Segment {
    /// Bytes of plaintext that fit.
    pub(super) const PLAIN: usize = UNITS * PLAIN;

    /// An empty segment that begins at byte `offset` of its file.
    pub(super) fn at(offset: u64, sealed: bool) -> Self {
        let room = ROOMS.take(UNITS * SEALED + 3 * ALIGN);
        let skip = room.as_ptr().align_offset(ALIGN).min(ALIGN);
        let from = skip + ALIGN + small(offset % ALIGN as u64);
        Self { room, from, plain: 0, stride: if sealed { SEALED } else { PLAIN } }
    }

    /// Bytes of plaintext in it.
    pub(super) fn plain(&self) -> usize {
        self.plain
    }

    /// Appends plaintext; the caller keeps to [`Segment::PLAIN`].
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (unit, inside) = (self.plain / PLAIN, self.plain % PLAIN);
            let (now, rest) = bytes.split_at((PLAIN - inside).min(bytes.len()));
            let at = self.from + unit * self.stride + inside;
            self.room[at..at + now.len()].copy_from_slice(now);
            self.plain += now.len();
            bytes = rest;
        }
    }

    /// Seals its units, the first of which is number `first` of the volume and the volume's last `last`.
    pub(super) fn seal(&mut self, key: &VolumeKey, first: u64, last: u64) -> Result<(), Error> {
        let (from, length) = (self.from, self.length());
        for (number, unit) in (first..).zip(self.room[from..from + length].chunks_mut(SEALED)) {
            key.seal(number, number == last, unit)?;
        }
        Ok(())
    }

    /// Bytes of the file.
    fn length(&self) -> usize {
        self.plain + self.plain.div_ceil(PLAIN) * (self.stride - PLAIN)
    }

    /// The bytes of the file, with `before`, of less than a block, in front of them.
    pub(super) fn behind(mut self, before: &[u8]) -> Bytes {
        let start = self.from - before.len();
        self.room[start..self.from].copy_from_slice(before);
        let end = self.from + self.length();
        self.room.freeze(start..end)
    }
}

const _: () = assert!(SEALED == PLAIN + TAG, "a unit grows by its tag");
