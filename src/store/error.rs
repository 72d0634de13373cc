//! What can go wrong where blobs live.

use std::path::PathBuf;

use crate::digest::{Blob, Digest};

/// A fault of a place that holds blobs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The place does not hold the blob.
    #[error("{place} does not hold {digest}")]
    Missing {
        /// Where it was looked for.
        place: String,
        /// What was looked for.
        digest: Digest,
    },
    /// The bytes are not the blob's.
    #[error("{place} gave wrong bytes for {wanted}: got {got}")]
    Wrong {
        /// Where the bytes came from.
        place: String,
        /// What was asked for.
        wanted: Blob,
        /// What came.
        got: Blob,
    },
    /// The place is not what it was said to be.
    #[error("{path}: {why}", path = path.display())]
    Malformed {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A part of a volume does not open under its key: it was changed after it was sealed.
    #[error("volume {volume}: chunk {chunk} (bytes {from}..{to}) is damaged")]
    Damaged {
        /// File name of the volume.
        volume: String,
        /// Which chunk, from 0.
        chunk: u64,
        /// First damaged byte that is known, in the file.
        from: u64,
        /// One past the last.
        to: u64,
    },
    /// A volume that is listed is in none of the folders.
    #[error("volume {volume} is missing")]
    NoVolume {
        /// File name of the volume.
        volume: String,
    },
    /// A file that was there when the work began, or what it lies on, is not there any more.
    #[error("the medium is not there any more: {path}: {source}", path = path.display())]
    Gone {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A volume ends before it should.
    #[error("volume {volume} has {got} bytes of {wanted}")]
    Truncated {
        /// File name of the volume.
        volume: String,
        /// Bytes it should have.
        wanted: u64,
        /// Bytes it has.
        got: u64,
    },
    /// A sealed volume, and no key to open it.
    #[error("volume {volume} is sealed and no release key was given")]
    Sealed {
        /// File name of the volume.
        volume: String,
    },
    /// A volume sealed under the key of another release.
    #[error("volume {volume} was sealed for another release key")]
    WrongKey {
        /// File name of the volume.
        volume: String,
    },
    /// What is sealed now differs from what was sealed before at the same place under the same key.
    #[error("volume {volume} holds other bytes at {at} than the ones that come now")]
    Resealed {
        /// File name of the volume.
        volume: String,
        /// Byte of the file.
        at: u64,
    },
    /// A manifest points to other things than the lock lists.
    #[error("manifest {digest} of {place} points to other things than the lock lists")]
    Disagrees {
        /// The image.
        place: String,
        /// The manifest.
        digest: Digest,
    },
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] crate::bundle::seal::SealError),
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    /// The work was told to stop.
    #[error("interrupted")]
    Interrupted,
}
