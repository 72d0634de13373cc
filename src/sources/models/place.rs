//! What a folder and a hub have in common: a list of files, and their bytes from any offset.

use std::sync::Arc;

use super::ModelError;
use super::folder::Folder;
use super::hub::{Hub, Snapshot};
use crate::digest::Digest;
use crate::path::EntryPath;
use crate::store::{self, Pieces};
use crate::weights::ModelOrigin;

/// A file as its place lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its path, as the place has it.
    pub(super) path: String,
    /// Bytes it has.
    pub(super) size: u64,
    /// What the place says of its content.
    pub(super) states: States,
}

/// What a place says of a file's content without its being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum States {
    /// Nothing.
    Nothing,
    /// The SHA-256 of its bytes: a hub, of large files.
    Sha256(Digest),
    /// The SHA-1 of its bytes as a git blob: a hub, of small files.
    Git([u8; 20]),
}

/// A place that has been reached.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A folder.
    Folder(Folder),
    /// A hub's repository at a commit.
    Hub(Arc<Snapshot>),
}

impl Place {
    /// The place `origin` names. `hub` is asked for only where it is needed.
    pub(super) fn open(
        origin: &ModelOrigin,
        base: &std::path::Path,
        hub: impl FnOnce() -> Result<Arc<Hub>, ModelError>,
    ) -> Result<Self, ModelError> {
        match origin {
            ModelOrigin::Folder(path) => Ok(Self::Folder(Folder::open(&base.join(path))?)),
            ModelOrigin::Hub { repo, revision } => {
                Ok(Self::Hub(Arc::new(Snapshot::open(hub()?, repo, revision)?)))
            }
        }
    }

    /// Whether what it holds can never change: a commit names its content.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Self::Hub(_))
    }

    /// Every file.
    pub(super) fn list(&self) -> Result<Vec<Listed>, ModelError> {
        match self {
            Self::Folder(folder) => folder.list(),
            Self::Hub(snapshot) => snapshot.list(),
        }
    }

    /// The bytes of the file `path`, which has `size`, from `offset` on.
    pub(super) fn read<'a>(
        &'a self,
        path: &EntryPath,
        size: u64,
        offset: u64,
        states: States,
    ) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        match self {
            Self::Folder(folder) => folder.read(path, size, offset),
            Self::Hub(snapshot) => snapshot.read(path, size, offset, states),
        }
    }
}
