//! What this machine remembers of releases it loaded: the highest version of each, so that an older one is noticed.
//!
//! One small file in the user's state folder; never on the delivered medium.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::bundle::index::Release;
use crate::limits;
use crate::sys::{fs, state};

/// Why the memory cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// Its content.
    #[error("{path}: {why}", path = path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

fn path() -> Option<PathBuf> {
    Some(state::folder()?.join("releases.json"))
}

fn name(release: &Release) -> String {
    format!("{}/{}", release.vendor, release.name)
}

fn read(path: &PathBuf) -> Result<BTreeMap<String, semver::Version>, Error> {
    let bytes = match fs::read_limited(path, limits::HAND_WRITTEN_BYTES) {
        Err(fs::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(BTreeMap::new());
        }
        other => other?,
    };
    serde_json::from_slice(&bytes).map_err(|e| Error::Malformed { path: path.clone(), why: e.to_string() })
}

/// The highest version of `release`'s name and vendor that was loaded from here.
pub fn highest(release: &Release) -> Result<Option<semver::Version>, Error> {
    match path() {
        Some(path) => Ok(read(&path)?.remove(&name(release))),
        None => Ok(None),
    }
}

/// Remembers that `release` was loaded.
pub fn loaded(release: &Release) -> Result<(), Error> {
    let Some(path) = path() else { return Ok(()) };
    let mut known = read(&path)?;
    let entry = known.entry(name(release)).or_insert_with(|| release.version.clone());
    if *entry < release.version {
        *entry = release.version.clone();
    }
    let text = serde_json::to_vec_pretty(&known)
        .map_err(|e| Error::Malformed { path: path.clone(), why: e.to_string() })?;
    state::make(&path)?;
    fs::write(&path, &text, fs::PRIVATE)?;
    Ok(())
}
