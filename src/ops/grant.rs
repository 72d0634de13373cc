//! `bundle grant`: lets one more customer open a bundle, without touching a volume.
//!
//! The release key is taken out of a grant that the given identity opens (the vendor's escrow) and sealed to the new customer.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::bundle::grant::{self, GrantError, Identity, OpenWith, SealTo};
use crate::bundle::index::Index;
use crate::bundle::names;
use crate::bundle::seal::{ReleaseKey, SealError};
use crate::limits;
use crate::path::EntryPath;
use crate::store;
use crate::sys::{delivered, fs};

/// What a grant is called, which names its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantName(String);

/// Why a text names no grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" does not name a grant: letters, digits, - _ and . between them, at most 64")]
pub struct GrantNameError(String);

impl GrantName {
    /// The name of the grant in the file called `file`; `None` when that is no grant's file.
    #[must_use]
    pub fn of_file(file: &str) -> Option<Self> {
        file.strip_suffix(".age")?.parse().ok()
    }

    /// Its file, in the bundle.
    fn file(&self) -> Result<EntryPath, fs::Error> {
        let path = names::grant(&self.0);
        path.parse().map_err(|_| fs::Error::NoName { path: PathBuf::from(path) })
    }
}

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
    /// The folder is no bundle's.
    #[error(transparent)]
    Open(Box<super::open::Error>),
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
    /// So many grants by passphrase that trying them all would take too long.
    #[error("{folder} holds more grants by passphrase than are tried", folder = folder.display())]
    TooManyTries {
        /// The folder of grants.
        folder: PathBuf,
    },
    /// A grant that is there is not one, or not any more: grants are not signed.
    #[error("the grant {path} is damaged: {source}", path = path.display())]
    Damaged {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        source: GrantError,
    },
    /// A grant that opens holds the key of another release.
    #[error("the grant {path} is for another release key than that of {release}", path = path.display())]
    OtherRelease {
        /// Its file.
        path: PathBuf,
        /// Name and version of the release.
        release: String,
    },
    /// The new grant cannot be made.
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
    let path = request.folder.join(names::grant(&request.name.0));
    // Also one that FAT and exFAT take for the same.
    let there = grant_names(&request.folder.join(names::GRANTS)).unwrap_or_default();
    if let Some(other) = there.iter().find(|other| other.0.eq_ignore_ascii_case(&request.name.0)) {
        return Err(Error::Exists { path: request.folder.join(other.file()?.as_str()) });
    }
    let opened =
        super::open::open(&[request.folder.to_owned()]).map_err(|error| Error::Open(Box::new(error)))?;
    let (_, index) = opened.unverified_index().map_err(|error| Error::Open(Box::new(error)))?;
    let folders = [request.folder.to_owned()];
    let (identity, from) = fitting(request.folder, request.with, (&folders, &index))?;
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

/// The release's identity, from the first grant of the bundle in `folder` that opens and whose identity `fits`; and that grant's file.
///
/// Grants are outside the signature: anyone can add or damage one, also one that is sealed to this very customer and holds another
/// identity. So a grant that is none hides no other, and one that does not fit is taken only when no other opens.
fn open(
    folder: &Path,
    with: OpenWith<'_>,
    fits: &dyn Fn(&Identity) -> bool,
) -> Result<(Identity, PathBuf), Error> {
    let names = grant_names(&folder.join(names::GRANTS))?;
    let mut fault = None;
    let mut misfit = None;
    let mut left = limits::PASSPHRASE_TRIES;
    for (name, work) in by_work(folder, &names, with) {
        // Whoever carries the medium can add grants that cost hours to try; one that is refused for its own cost is no try.
        left = match left.checked_sub(work) {
            Some(left) => left,
            None if work > limits::PASSPHRASE_TRIES => left,
            None => {
                fault.get_or_insert(Error::TooManyTries { folder: folder.join(names::GRANTS) });
                break;
            }
        };
        match try_open(folder, name, with) {
            Ok(Some((identity, path))) if fits(&identity) => return Ok((identity, path)),
            Ok(Some(opened)) => {
                misfit.get_or_insert(opened);
            }
            Ok(None) => {}
            Err(error) => {
                fault.get_or_insert(error);
            }
        }
    }
    let tried = names.len();
    let names = names.iter().take(8).map(ToString::to_string).collect();
    misfit.ok_or_else(|| {
        fault.unwrap_or(Error::NotGranted { folder: folder.join(names::GRANTS), tried, names })
    })
}

/// The grants in the order in which they are tried, each with the scrypt blocks that a try costs: the cheapest first.
fn by_work<'a>(folder: &Path, names: &'a [GrantName], with: OpenWith<'_>) -> Vec<(&'a GrantName, u64)> {
    let work = |name: &GrantName| match with {
        OpenWith::Identities(_) => 0,
        OpenWith::Passphrase(_) => name
            .file()
            .and_then(|file| delivered::read(folder, &file, limits::KEY_BYTES))
            .map_or(0, |bytes| grant::passphrase_work(&bytes)),
    };
    let mut tries: Vec<_> = names.iter().map(|name| (name, work(name))).collect();
    tries.sort_by_key(|(_, work)| *work);
    tries
}

/// The identity in the grant `name`; `None` when it is for someone else.
fn try_open(
    folder: &Path,
    name: &GrantName,
    with: OpenWith<'_>,
) -> Result<Option<(Identity, PathBuf)>, Error> {
    let file = name.file()?;
    let path = file.under(folder);
    let bytes = delivered::read(folder, &file, limits::KEY_BYTES)?;
    if grant::wants_passphrase(&bytes) != matches!(with, OpenWith::Passphrase(_)) {
        return Ok(None);
    }
    match grant::open(&bytes, with) {
        Ok(identity) => Ok(Some((identity, path))),
        Err(GrantError::NotForYou | GrantError::WrongPassphrase) => Ok(None),
        Err(source) => Err(Error::Damaged { path, source }),
    }
}

/// The release key, from whichever grant of the bundle in `folder` opens and holds the key that `index` was sealed with, in as far as its
/// volumes, in `volumes`, show that.
pub(crate) fn release_key(
    folder: &Path,
    with: OpenWith<'_>,
    place: (&[PathBuf], &Index),
) -> Result<ReleaseKey, Error> {
    let (identity, path) = fitting(folder, with, place)?;
    key_of(&identity).map_err(|source| Error::Key { path, source })
}

fn key_of(identity: &Identity) -> Result<ReleaseKey, SealError> {
    use age::secrecy::ExposeSecret as _;
    ReleaseKey::from_text(identity.to_text().expose_secret())
}

/// The identity behind [`release_key`], and the grant it was in.
fn fitting(
    folder: &Path,
    with: OpenWith<'_>,
    (volumes, index): (&[PathBuf], &Index),
) -> Result<(Identity, PathBuf), Error> {
    let fits =
        |identity: &Identity| key_of(identity).is_ok_and(|key| store::volumes::fits(&key, volumes, index));
    let (identity, path) = open(folder, with, &fits)?;
    let key = key_of(&identity).map_err(|source| Error::Key { path: path.clone(), source })?;
    if !fits(&identity) && store::volumes::foreign(key, volumes, index) {
        let release = format!("{} {}", index.release.name, index.release.version);
        return Err(Error::OtherRelease { path, release });
    }
    Ok((identity, path))
}

/// The grants in `folder`, sorted. What has no grant's name is none; `bundle verify` finds it.
fn grant_names(folder: &Path) -> Result<Vec<GrantName>, Error> {
    let io = |source| Error::File(fs::Error::Io { path: folder.to_owned(), source });
    let none = || Error::NoGrants { folder: folder.to_owned() };
    let entries = match std::fs::read_dir(folder) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Err(none()),
        other => other.map_err(io)?,
    };
    let mut names = Vec::new();
    // Other files in the folder hide no grant.
    for entry in entries.take(limits::FOLDER_FILES) {
        names.extend(entry.map_err(io)?.file_name().to_str().and_then(GrantName::of_file));
        if names.len() == limits::GRANTS {
            break;
        }
    }
    names.sort();
    if names.is_empty() { Err(none()) } else { Ok(names) }
}
