//! Places blobs live: image layouts, docker archives, the volumes of a bundle.
//!
//! Two traits join every end of a transfer. A [`Source`] gives the bytes of a blob from any offset; what it gives is not
//! yet trusted: `ops::transfer` hashes it. Sinks are in the places they write to.

use bytes::Bytes;

use crate::digest::Blob;

pub mod ahead;
pub mod beside;
mod error;
pub mod parity;
pub mod proven;
pub mod resume;
pub mod shared;
pub mod volumes;
pub mod writer;

pub use error::Error;

/// Where blobs are read from. Shared between threads.
pub trait Source: Send + Sync {
    /// Opens `blob` at byte `offset` (≤ its size). The bytes are as stored: not hashed, perhaps too few or too many.
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, Error>;
}

/// The bytes of one blob, in order, in pieces of any length.
pub trait Pieces: Send {
    /// The next piece, never empty; `None` after the last.
    fn next(&mut self) -> Result<Option<Bytes>, Error>;
}

impl<P: Pieces + ?Sized> Pieces for Box<P> {
    fn next(&mut self) -> Result<Option<Bytes>, Error> {
        (**self).next()
    }
}
