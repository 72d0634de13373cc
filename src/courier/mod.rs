//! Where a bundle is carried to: a folder on a stick, a folder behind SFTP.
//!
//! A file is written under the name it has while it is unfinished, made durable, read back from where it lies, and given its name last. A place is told what to do
//! byte by byte and decides nothing; what is right is known to `ops::copy`.

use bytes::Bytes;

use crate::digest::Digest;
use crate::path::EntryPath;
use crate::plan::copy::Medium;

mod error;
mod folder;
pub mod sftp;

pub use error::Error;
pub use folder::Folder;

/// What of a file is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// So many bytes, under the name of an unfinished file.
    Begun(u64),
    /// So many bytes, under its own name.
    Named(u64),
}

/// How what was read back came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadBack {
    /// From the device itself.
    Direct,
    /// Through the page cache, after it was emptied of the file.
    CacheDropped,
    /// By `sha256sum` on the other machine.
    Sha256sum,
    /// Over the wire.
    Sftp,
}

/// A folder that a bundle is carried to. Used by several threads.
pub trait Place: Send + Sync {
    /// How it is named in messages: as it was given.
    fn name(&self) -> &str;

    /// How many files are best written at the same time.
    fn parallel(&self) -> usize {
        1
    }

    /// What it can hold; `held` is the caller's to fill in.
    fn medium(&self) -> Result<Medium, Error>;

    /// The path of everything in it, unjudged; of folders only those with nothing in them, which end in `/`.
    fn list(&self) -> Result<Vec<String>, Error>;

    /// What of a file is there; of one that is there twice, what is named.
    fn held(&self, path: &EntryPath) -> Result<Held, Error>;

    /// The bytes of a file that is there under its own name, at most `most`.
    fn small(&self, path: &EntryPath, most: u64) -> Result<Option<Vec<u8>>, Error>;

    /// Takes up a file to write to it. One that has its name loses it until it is whole again.
    fn begin(&self, path: &EntryPath, program: bool) -> Result<Box<dyn Writing + '_>, Error>;

    /// Opens a file to read it back.
    fn reader(&self, path: &EntryPath, held: Held) -> Result<Box<dyn Reading + '_>, Error>;

    /// Gives an unfinished file its name.
    fn publish(&self, path: &EntryPath) -> Result<(), Error>;

    /// Takes an unfinished file away.
    fn discard(&self, path: &EntryPath) -> Result<(), Error>;
}

/// A file being written.
pub trait Writing: Send {
    /// Bytes that were there when it was taken up.
    fn length(&self) -> u64;

    /// Writes `bytes` at byte `at`.
    fn write(&mut self, at: u64, bytes: Bytes) -> Result<(), Error>;

    /// Makes it `length` bytes long and durable.
    fn settle(&mut self, length: u64) -> Result<(), Error>;
}

/// A file being read back.
pub trait Reading: Send + Sync {
    /// How it is read.
    fn way(&self) -> ReadBack;

    /// The SHA-256 of the whole file, where the place can tell it by itself.
    fn digest(&self) -> Result<Option<Digest>, Error> {
        Ok(None)
    }

    /// Gives bytes `from..to` to `each`, in order; fewer where the file ends.
    fn read(&self, from: u64, to: u64, each: &mut dyn FnMut(&[u8])) -> Result<(), Error>;
}
