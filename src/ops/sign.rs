//! `bundle sign`: adds a signature to a finished folder. For thresholds and for keys that never touch the build machine.
//!
//! Signs `SHA256SUMS` as it is, after proving that its small files are the ones it lists; whoever signs for the volumes too runs
//! `bundle verify` first.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use signing::{KeyId, SecretKey, raw, sshsig};

use crate::bundle::index::{self, IndexError};
use crate::bundle::names::{INDEX, SUMS};
use crate::bundle::sums::{Sums, SumsError};
use crate::digest::Digest;
use crate::limits;
use crate::path::EntryPath;
use crate::sys::{delivered, fs};

/// A signature that was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whose.
    pub key_id: KeyId,
    /// The release that was signed.
    pub release: index::Release,
    /// SHA-256 of the signed `SHA256SUMS`.
    pub sums: Digest,
    /// The files written.
    pub files: Vec<PathBuf>,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// `SHA256SUMS` is not one.
    #[error("{path}: {source}", path = path.display())]
    Sums {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: SumsError,
    },
    /// The index is not one.
    #[error("{path}: {source}", path = path.display())]
    Index {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: IndexError,
    },
    /// A file is not the one that is listed.
    #[error("{path} is not the file that SHA256SUMS lists", path = path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
    },
}

/// Adds the signature of `key` to the bundle in `folder`.
pub fn sign(folder: &Path, key: &SecretKey) -> Result<Report, Error> {
    let path = folder.join(SUMS);
    let name =
        |name: &str| name.parse::<EntryPath>().map_err(|_| fs::Error::NoName { path: PathBuf::from(name) });
    let bytes = delivered::read(folder, &name(SUMS)?, limits::SUMS_BYTES)?;
    let sums = Sums::parse(&bytes).map_err(|source| Error::Sums { path: path.clone(), source })?;
    let path = folder.join(INDEX);
    let text = delivered::read(folder, &name(INDEX)?, limits::INDEX_BYTES)?;
    if sums.get(&name(INDEX)?) != Some(&Digest::of(&text)) {
        return Err(Error::Changed { path });
    }
    let index = index::Index::parse(&text).map_err(|source| Error::Index { path, source })?;
    let volumes: BTreeSet<&EntryPath> = index.chunked().iter().map(|file| file.name).collect();
    for (name, digest) in sums.iter().filter(|(name, _)| !volumes.contains(name)) {
        if delivered::hash(folder, name, limits::PLAIN_FILE_BYTES)? != *digest {
            return Err(Error::Changed { path: name.under(folder) });
        }
    }
    let files = write_signature(folder, &bytes, key)?;
    Ok(Report { key_id: key.public().id(), release: index.release, sums: Digest::of(&bytes), files })
}

/// Writes both forms of the signature of `key` over `sums` into `folder`.
pub(crate) fn write_signature(
    folder: &Path,
    sums: &[u8],
    key: &SecretKey,
) -> Result<Vec<PathBuf>, fs::Error> {
    let id = key.public().id();
    let raw_path = folder.join(format!("{SUMS}.{id}.sig"));
    let ssh_path = folder.join(format!("{SUMS}.{id}.sshsig"));
    fs::write(&ssh_path, sshsig::sign(key, sums).as_bytes(), fs::PUBLIC)?;
    fs::write(&raw_path, &raw::sign(key, sums), fs::PUBLIC)?;
    Ok(vec![raw_path, ssh_path])
}
