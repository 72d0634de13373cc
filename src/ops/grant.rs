//! `bundle grant`: lets one more customer open a bundle, without touching a volume.
//!
//! The release key is taken out of a grant that the given identity opens (the vendor's escrow) and sealed to the new customer.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::bundle::grant::{self, GrantError, Identity, OpenWith, SealTo};
use crate::bundle::seal::{ReleaseKey, SealError};
use crate::limits;
use crate::path::EntryPath;
use crate::sys::fs;

/// What a grant is called, which names its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantName(String);

/// Why a text names no grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" does not name a grant: letters, digits, - _ and . between them, at most 64")]
pub struct GrantNameError(String);

impl FromStr for GrantName {
    type Err = GrantNameError;

    fn from_str(text: &str) -> Result<Self, GrantNameError> {
        let valid = text.len() <= 64
            && text.parse::<EntryPath>().is_ok()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && !text.starts_with(['.', '-']);
        if valid { Ok(Self(text.to_owned())) } else { Err(GrantNameError(text.chars().take(80).collect())) }
    }
}

impl fmt::Display for GrantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for GrantName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What is asked for.
pub struct Request<'a> {
    /// The bundle's folder.
    pub folder: &'a Path,
    /// Opens a grant that is there.
    pub with: OpenWith<'a>,
    /// To whom the new grant is sealed.
    pub to: SealTo<'a>,
    /// What it is called.
    pub name: &'a GrantName,
}

/// A grant that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What it is called.
    pub name: GrantName,
    /// Its file.
    pub file: PathBuf,
    /// Whether a passphrase opens it.
    pub passphrase: bool,
    /// The grant that the release key was taken from.
    pub from: String,
}

/// Why no grant was made, or none could be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The folder has no grant at all.
    #[error("{folder} holds no grant", folder = folder.display())]
    NoGrants {
        /// The folder of grants.
        folder: PathBuf,
    },
    /// No grant is for this identity or passphrase.
    #[error("none of the {tried} grants in {folder} opens: {}", names.join(", "), folder = folder.display())]
    NotGranted {
        /// The folder of grants.
        folder: PathBuf,
        /// How many were tried.
        tried: usize,
        /// Their names, the first few.
        names: Vec<String>,
    },
    /// A grant is malformed, or the new one cannot be made.
    #[error("{path}: {source}", path = path.display())]
    Grant {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        source: GrantError,
    },
    /// A grant holds something that is not a release key.
    #[error("{path}: {source}", path = path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        source: SealError,
    },
    /// A grant of that name is there.
    #[error("{path} exists", path = path.display())]
    Exists {
        /// Its file.
        path: PathBuf,
    },
}

/// Makes one more grant.
pub fn grant(request: &Request<'_>) -> Result<Report, Error> {
    let path = request.folder.join("grants").join(format!("{}.age", request.name));
    if path.symlink_metadata().is_ok() {
        return Err(Error::Exists { path });
    }
    let (identity, from) = open(request.folder, request.with)?;
    let sealed =
        grant::seal(&identity, request.to).map_err(|source| Error::Grant { path: path.clone(), source })?;
    fs::create(&path, &sealed, fs::PUBLIC)?;
    Ok(Report {
        name: request.name.clone(),
        file: path,
        passphrase: matches!(request.to, SealTo::Passphrase(_)),
        from: from.display().to_string(),
    })
}

/// The release's identity, from whichever grant in `folder` opens; and that grant's file.
pub(crate) fn open(folder: &Path, with: OpenWith<'_>) -> Result<(Identity, PathBuf), Error> {
    let folder = folder.join("grants");
    let mut files = grant_files(&folder)?;
    files.sort();
    for path in &files {
        let bytes = fs::read_limited(path, limits::KEY_BYTES)?;
        if grant::wants_passphrase(&bytes) != matches!(with, OpenWith::Passphrase(_)) {
            continue;
        }
        match grant::open(&bytes, with) {
            Ok(identity) => return Ok((identity, path.clone())),
            Err(GrantError::NotForYou | GrantError::WrongPassphrase) => {}
            Err(source) => return Err(Error::Grant { path: path.clone(), source }),
        }
    }
    let names =
        files.iter().take(8).filter_map(|p| Some(p.file_stem()?.to_string_lossy().into_owned())).collect();
    Err(Error::NotGranted { folder, tried: files.len(), names })
}

/// The release key, from whichever grant in `folder` opens.
pub(crate) fn release_key(folder: &Path, with: OpenWith<'_>) -> Result<ReleaseKey, Error> {
    use age::secrecy::ExposeSecret as _;
    let (identity, path) = open(folder, with)?;
    ReleaseKey::from_text(identity.to_text().expose_secret()).map_err(|source| Error::Key { path, source })
}

fn grant_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let io = |source| Error::File(fs::Error::Io { path: folder.to_owned(), source });
    let none = || Error::NoGrants { folder: folder.to_owned() };
    let entries = match std::fs::read_dir(folder) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Err(none()),
        other => other.map_err(io)?,
    };
    let mut files = Vec::new();
    for entry in entries.take(limits::GRANTS) {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "age") {
            files.push(path);
        }
    }
    if files.is_empty() { Err(none()) } else { Ok(files) }
}
