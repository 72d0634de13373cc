//! Opening a delivered folder, in the order that makes it safe.
//!
//! [`open`] reads `SHA256SUMS` and its signatures and nothing else. Only [`Opened::authenticate`], with a policy, makes an
//! [`Authenticated`]; everything that reads on takes one. Folders are only ever read.

use std::path::{Path, PathBuf};

use signing::{Policy, Signature, Verified, verify};

use crate::bundle::index::{Index, IndexError};
use crate::bundle::sums::{Sums, SumsError};
use crate::digest::Digest;
use crate::limits;
use crate::ops::finding::{Finding, What};
use crate::ops::sign::{INDEX, SUMS};
use crate::path::EntryPath;
use crate::sys::fs;

/// Why a folder cannot be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// There is no `SHA256SUMS`: this is no bundle.
    #[error("{folder} is not a bundle: it has no SHA256SUMS", folder = folder.display())]
    NoBundle {
        /// The folder.
        folder: PathBuf,
    },
    /// The signed list is none.
    #[error("{path}: {source}", path = path.display())]
    Sums {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: SumsError,
    },
    /// The signed list names no index.
    #[error("{path} does not list bundle.json", path = path.display())]
    NoIndex {
        /// Which file.
        path: PathBuf,
    },
    /// The index is not the one that was signed.
    #[error("{path} is not the file that was signed", path = path.display())]
    IndexChanged {
        /// Which file.
        path: PathBuf,
        /// What is listed.
        expected: Digest,
        /// What it is.
        got: Digest,
    },
    /// The signed index is none, or of a later format.
    #[error("{path}: {source}", path = path.display())]
    Index {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: IndexError,
    },
}

/// A folder of which only the signatures and what they cover was read. Can do almost nothing.
#[derive(Debug)]
pub struct Opened {
    folders: Vec<PathBuf>,
    sums: Vec<u8>,
    signatures: Vec<(signing::KeyId, Vec<u8>)>,
}

/// A bundle whose signatures held.
#[derive(Debug)]
pub struct Authenticated {
    /// The folders it is in; the first holds the small files.
    pub folders: Vec<PathBuf>,
    /// Every file it consists of.
    pub sums: Sums,
    /// Its table of contents.
    pub index: Verified<Index>,
}

/// Reads the signatures and `SHA256SUMS` of the bundle in `folders`.
pub fn open(folders: &[PathBuf]) -> Result<Opened, Error> {
    let first = folders.first().map_or(Path::new("."), PathBuf::as_path);
    let home = folders.iter().find(|folder| folder.join(SUMS).exists()).map_or(first, PathBuf::as_path);
    let path = home.join(SUMS);
    let sums = match fs::read_limited(&path, limits::SUMS_BYTES) {
        Err(fs::Error::Io { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound && home.is_dir() =>
        {
            return Err(Error::NoBundle { folder: home.to_owned() });
        }
        other => other?,
    };
    let mut ordered = vec![home.to_owned()];
    ordered.extend(folders.iter().filter(|folder| folder.as_path() != home).cloned());
    Ok(Opened { signatures: signatures(home)?, folders: ordered, sums })
}

/// Every `SHA256SUMS.<key id>.sig`, at most one past the limit so that too many are seen as such.
fn signatures(folder: &Path) -> Result<Vec<(signing::KeyId, Vec<u8>)>, Error> {
    let io = |source| fs::Error::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)?.take(limits::FOLDER_FILES) {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        let Some(key) = name.to_str().and_then(signature_key) else { continue };
        found.push((key, fs::read_limited(&entry.path(), limits::KEY_BYTES)?));
        if found.len() > limits::SIGNATURES {
            break;
        }
    }
    found.sort();
    Ok(found)
}

/// The key that a file name says a raw signature is by.
fn signature_key(name: &str) -> Option<signing::KeyId> {
    name.strip_prefix(SUMS)?.strip_prefix('.')?.strip_suffix(".sig")?.parse().ok()
}

/// Whether `name` is that of a signature, in either form.
#[must_use]
pub fn is_signature(name: &str) -> bool {
    signature_key(name).is_some()
        || name.strip_suffix(".sshsig").is_some_and(|stem| signature_key(&format!("{stem}.sig")).is_some())
}

impl Opened {
    /// Judges the signatures by `policy`; gives the bundle when they hold, and what was seen either way.
    ///
    /// `now` is in seconds since 1970; `None` where there is no clock.
    pub fn authenticate(
        self,
        policy: &Policy,
        now: Option<i64>,
    ) -> Result<(Vec<Finding>, Option<Authenticated>), Error> {
        let signatures: Vec<Signature<'_>> =
            self.signatures.iter().map(|(key, bytes)| Signature { key: *key, bytes }).collect();
        let verdict = verify(self.sums, &signatures, policy, now);
        let findings = verdict.findings.into_iter().map(Finding::from).collect();
        let Some(verified) = verdict.verified else { return Ok((findings, None)) };
        let home = self.folders.first().cloned().unwrap_or_default();
        let mut sums = Sums::default();
        let index = verified.try_map(|bytes| {
            sums = Sums::parse(&bytes).map_err(|source| Error::Sums { path: home.join(SUMS), source })?;
            read_index(&home, &sums)
        })?;
        Ok((findings, Some(Authenticated { folders: self.folders, sums, index })))
    }

    /// The bundle's own account of itself, believed by nobody: for `inspect`.
    pub fn unverified_index(&self) -> Result<(Sums, Index), Error> {
        let home = self.folders.first().cloned().unwrap_or_default();
        let sums = Sums::parse(&self.sums).map_err(|source| Error::Sums { path: home.join(SUMS), source })?;
        let index = read_index(&home, &sums)?;
        Ok((sums, index))
    }

    /// The keys that signatures are said to be by.
    #[must_use]
    pub fn signature_keys(&self) -> Vec<signing::KeyId> {
        self.signatures.iter().map(|(key, _)| *key).collect()
    }

    /// The folder of the small files.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.folders.first().map_or(Path::new("."), PathBuf::as_path)
    }
}

fn read_index(home: &Path, sums: &Sums) -> Result<Index, Error> {
    let path = home.join(INDEX);
    let listed = INDEX.parse::<EntryPath>().ok().and_then(|name| sums.get(&name).copied());
    let expected = listed.ok_or_else(|| Error::NoIndex { path: home.join(SUMS) })?;
    let bytes = fs::read_limited(&path, limits::INDEX_BYTES)?;
    let got = Digest::of(&bytes);
    if got != expected {
        return Err(Error::IndexChanged { path, expected, got });
    }
    Index::parse(&bytes).map_err(|source| Error::Index { path, source })
}

impl Authenticated {
    /// The folder of the small files.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.folders.first().map_or(Path::new("."), PathBuf::as_path)
    }

    /// What the signed index and the signed list say of the volumes must be the same.
    #[must_use]
    pub fn contradictions(&self) -> Vec<Finding> {
        let volumes = &self.index.get().volumes;
        volumes
            .iter()
            .filter(|volume| self.sums.get(&volume.name) != Some(&volume.sha256))
            .map(|volume| Finding::refuse(What::Contradiction { path: volume.name.to_string() }))
            .collect()
    }
}
