//! Opening a delivered folder, in the order that makes it safe.
//!
//! [`open`] reads `SHA256SUMS` and its signatures and nothing else. Only [`Opened::authenticate`], with a policy, makes an
//! [`Authenticated`]; everything that reads on takes one. Folders are only ever read.

use std::path::{Path, PathBuf};

use signing::{KeyId, Policy, Signature, Verified, Weight, sshsig, verify};

use crate::bundle::index::{Index, IndexError};
use crate::bundle::names::{INDEX, SUMS};
use crate::bundle::sums::{Sums, SumsError};
use crate::digest::Digest;
use crate::limits;
use crate::ops::finding::{Finding, What, refused};
use crate::path::EntryPath;
use crate::sys::{delivered, fs};

pub mod copies;

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
    /// A folder that was named is not there.
    #[error("there is no folder {folder}", folder = folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// One of several folders is not of the same bundle as the first.
    #[error(
        "{folder} is another release than {home}, or a copy that differs: its {name} is another",
        folder = folder.display(), home = home.display()
    )]
    OtherBundle {
        /// The folder.
        folder: PathBuf,
        /// The folder it was compared with.
        home: PathBuf,
        /// The file that differs.
        name: &'static str,
    },
    /// The index is listed and not there.
    #[error("{path} is missing, and SHA256SUMS lists it", path = path.display())]
    IndexMissing {
        /// Which file.
        path: PathBuf,
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
#[derive(Debug, Clone)]
pub struct Opened {
    folders: Vec<PathBuf>,
    sums: Vec<u8>,
    signatures: Signatures,
}

/// The signature files of a folder, unjudged, sorted by the key that their names say.
#[derive(Debug, Clone, Default)]
struct Signatures {
    raw: Vec<(KeyId, Vec<u8>)>,
    ssh: Vec<(KeyId, Vec<u8>)>,
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
    if let Some(folder) = folders.iter().find(|folder| absent(folder)) {
        return Err(Error::NoFolder { folder: folder.clone() });
    }
    let first = folders.first().map_or(Path::new("."), PathBuf::as_path);
    let home = folders.iter().find(|folder| folder.join(SUMS).exists()).map_or(first, PathBuf::as_path);
    let sums = match delivered::read(home, &named(SUMS)?, limits::SUMS_BYTES) {
        Err(fs::Error::Io { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound && home.is_dir() =>
        {
            return Err(Error::NoBundle { folder: home.to_owned() });
        }
        other => other?,
    };
    for other in folders.iter().filter(|folder| folder.as_path() != home) {
        same_bundle(home, other)?;
    }
    let mut ordered = vec![home.to_owned()];
    ordered.extend(folders.iter().filter(|folder| folder.as_path() != home).cloned());
    Ok(Opened { signatures: signatures(home, &mut Err)?, folders: ordered, sums })
}

fn absent(folder: &Path) -> bool {
    folder.metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// A further folder need not hold the files that say what a bundle is; those that it holds must be the same.
fn same_bundle(home: &Path, other: &Path) -> Result<(), Error> {
    for (name, limit) in [(SUMS, limits::SUMS_BYTES), (INDEX, limits::INDEX_BYTES)] {
        let text = |folder| delivered::read(folder, &named(name)?, limit).map_err(Error::from);
        let theirs = match text(other) {
            Err(Error::File(fs::Error::Io { source, .. }))
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                continue;
            }
            theirs => theirs?,
        };
        // What is wrong with the first folder's own is found where it is read.
        if text(home).is_ok_and(|ours| ours != theirs) {
            return Err(Error::OtherBundle { folder: other.to_owned(), home: home.to_owned(), name });
        }
    }
    Ok(())
}

/// The name of a file of every bundle.
fn named(name: &str) -> Result<EntryPath, Error> {
    name.parse().map_err(|_| Error::File(fs::Error::NoName { path: PathBuf::from(name) }))
}

/// Every `SHA256SUMS.<key id>.sig` and `.sshsig`, of each at most one past the limit so that too many are seen as such. What `unread` says of one that
/// cannot be read ends it, or passes it over.
fn signatures(
    folder: &Path,
    unread: &mut dyn FnMut(fs::Error) -> Result<(), fs::Error>,
) -> Result<Signatures, Error> {
    let io = |source| fs::Error::Io { path: folder.to_owned(), source };
    let mut found = Signatures::default();
    for entry in std::fs::read_dir(folder).map_err(io)?.take(limits::FOLDER_FILES) {
        let name = entry.map_err(io)?.file_name();
        let Some((name, key, form)) = name.to_str().and_then(|n| signature_key(n).map(|(k, f)| (n, k, f)))
        else {
            continue;
        };
        let list = match form {
            Form::Raw => &mut found.raw,
            Form::Ssh => &mut found.ssh,
        };
        if list.len() <= limits::SIGNATURES {
            match delivered::read(folder, &named(name)?, limits::KEY_BYTES) {
                Ok(bytes) => list.push((key, bytes)),
                Err(error) => unread(error)?,
            }
        }
    }
    found.raw.sort();
    found.ssh.sort();
    Ok(found)
}

/// The two forms of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Raw,
    Ssh,
}

/// The key that a file name says a signature is by, and its form.
fn signature_key(name: &str) -> Option<(KeyId, Form)> {
    let (key, form) = name.strip_prefix(SUMS)?.strip_prefix('.')?.split_once('.')?;
    let form = match form {
        "sig" => Form::Raw,
        "sshsig" => Form::Ssh,
        _ => return None,
    };
    Some((key.parse().ok()?, form))
}

/// Whether `name` is that of a signature, in either form.
#[must_use]
pub fn is_signature(name: &str) -> bool {
    signature_key(name).is_some()
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
        let home = self.home().to_owned();
        self.authenticate_in(policy, now, &[home])
    }

    /// The same, with the index from the first of `places` that holds the one that was signed.
    fn authenticate_in(
        self,
        policy: &Policy,
        now: Option<i64>,
        places: &[PathBuf],
    ) -> Result<(Vec<Finding>, Option<Authenticated>), Error> {
        let signatures: Vec<Signature<'_>> =
            self.signatures.raw.iter().map(|(key, bytes)| Signature { key: *key, bytes }).collect();
        let ssh = self.ssh_findings(policy);
        let verdict = verify(self.sums, &signatures, policy, now);
        let findings: Vec<Finding> = verdict.findings.into_iter().map(Finding::from).chain(ssh).collect();
        let Some(verified) = verdict.verified.filter(|_| !refused(&findings)) else {
            return Ok((findings, None));
        };
        let home = self.folders.first().cloned().unwrap_or_default();
        let mut sums = Sums::default();
        let index = verified.try_map(|bytes| {
            sums = Sums::parse(&bytes).map_err(|source| Error::Sums { path: home.join(SUMS), source })?;
            let mut read = places.iter().map(|place| read_index(place, &sums));
            let first = read.next().unwrap_or_else(|| read_index(&home, &sums));
            first.or_else(|error| read.find_map(Result::ok).ok_or(error))
        })?;
        Ok((findings, Some(Authenticated { folders: self.folders, sums, index })))
    }

    /// What is wrong with the signatures in OpenSSH's form. They never count towards the threshold; but one that does not hold shows
    /// that a file was changed, and someone may rely on it alone.
    fn ssh_findings(&self, policy: &Policy) -> Vec<Finding> {
        let weights = policy.terms().consequences;
        let has_raw = |key| self.signatures.raw.iter().any(|(other, _)| *other == key);
        let judge = |(key, bytes): &(KeyId, Vec<u8>)| {
            let finding = |weight, detail| {
                Some(Finding { weight, what: What::Signature { detail, key: Some(*key) } })
                    .filter(|finding| finding.weight != Weight::Ignore)
            };
            match policy.key(*key) {
                None if has_raw(*key) => None,
                None => finding(
                    weights.unknown_key,
                    format!("a signature by key {key}, which the policy does not name"),
                ),
                Some(trusted) => sshsig::check(&trusted.key, &self.sums, bytes).err().and_then(|error| {
                    finding(Weight::Refuse, format!("{SUMS}.{key}.sshsig does not hold: {error}"))
                }),
            }
        };
        let too_many = self.signatures.ssh.len() > limits::SIGNATURES;
        let too_many = too_many.then(|| {
            let detail =
                format!("it has more than {} signatures in the form of ssh-keygen", limits::SIGNATURES);
            Finding::refuse(What::Signature { detail, key: None })
        });
        self.signatures.ssh.iter().take(limits::SIGNATURES).filter_map(judge).chain(too_many).collect()
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
    pub fn signature_keys(&self) -> Vec<KeyId> {
        self.signatures.raw.iter().map(|(key, _)| *key).collect()
    }

    /// The folder of the small files.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.folders.first().map_or(Path::new("."), PathBuf::as_path)
    }

    /// The folders it is in, that of the small files first.
    #[must_use]
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }
}

/// What a bundle says of itself, believed by nobody: the index in its folder, or one that is a file by itself, with its digest.
pub fn index_at(path: &Path) -> Result<(Digest, Index), Error> {
    if path.is_dir() {
        let opened = open(&[path.to_owned()])?;
        let (sums, index) = opened.unverified_index()?;
        let digest = named(INDEX)?;
        let digest = sums.get(&digest).copied().ok_or_else(|| Error::NoIndex { path: path.join(SUMS) })?;
        return Ok((digest, index));
    }
    // It may lie on a medium, where a pipe in its place would be waited for.
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| fs::Error::NoName { path: path.to_owned() })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let bytes = delivered::read(folder, &named(name)?, limits::INDEX_BYTES)?;
    let index = Index::parse(&bytes).map_err(|source| Error::Index { path: path.to_owned(), source })?;
    Ok((Digest::of(&bytes), index))
}

fn read_index(home: &Path, sums: &Sums) -> Result<Index, Error> {
    let path = home.join(INDEX);
    let name = named(INDEX)?;
    let expected = sums.get(&name).copied().ok_or_else(|| Error::NoIndex { path: home.join(SUMS) })?;
    let bytes = match delivered::read(home, &name, limits::INDEX_BYTES) {
        Err(fs::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::IndexMissing { path });
        }
        bytes => bytes?,
    };
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

    /// What the signed index and the signed list say of volumes, files and tools must be the same.
    #[must_use]
    pub fn contradictions(&self) -> Vec<Finding> {
        contradictions(&self.sums, self.index.get())
    }
}

/// Where `index` and `sums` say different things of one file.
pub(crate) fn contradictions(sums: &Sums, index: &Index) -> Vec<Finding> {
    let volumes = index.chunked().into_iter().map(|file| (file.name, file.sha256));
    volumes
        .chain(index.plain().map(|(path, _, sha256)| (path, sha256)))
        .filter(|(path, sha256)| sums.get(path) != Some(sha256))
        .map(|(path, _)| Finding::refuse(What::Contradiction { path: path.to_string() }))
        .collect()
}
