//! What this machine remembers of releases it loaded: the highest version of each, so that an older one is noticed.
//!
//! One small file in the user's state folder; never on the delivered medium.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::bundle::index::Release;
use crate::limits;
use crate::sys::fs;

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

const FILE: &str = "releases.json";

fn name(release: &Release) -> String {
    format!("{}/{}", release.vendor, release.name)
}

fn read(path: &Path) -> Result<BTreeMap<String, semver::Version>, Error> {
    // A pipe would be waited for.
    if path.metadata().is_ok_and(|facts| !facts.is_file()) {
        return Err(Error::Malformed { path: path.to_owned(), why: "it is not an ordinary file".to_owned() });
    }
    let bytes = match fs::read_limited(path, limits::HAND_WRITTEN_BYTES) {
        Err(fs::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(BTreeMap::new());
        }
        other => other?,
    };
    serde_json::from_slice(&bytes).map_err(|e| Error::Malformed { path: path.to_owned(), why: e.to_string() })
}

/// The highest version of `release`'s name and vendor that `state`, the user's state folder, remembers.
pub fn highest(state: Option<&Path>, release: &Release) -> Result<Option<semver::Version>, Error> {
    match state {
        Some(state) => Ok(read(&state.join(FILE))?.remove(&name(release))),
        None => Ok(None),
    }
}

/// Finds out whether [`loaded`] could write what it will have to.
///
/// # Errors
/// What it would end in.
pub fn ready(state: Option<&Path>) -> Result<(), Error> {
    let Some(path) = state.map(|state| state.join(FILE)) else { return Ok(()) };
    fs::private_folder_of(&path)?;
    Ok(fs::probe(&path, fs::PRIVATE)?)
}

/// Remembers that `release` was loaded.
pub fn loaded(state: Option<&Path>, release: &Release) -> Result<(), Error> {
    let Some(path) = state.map(|state| state.join(FILE)) else { return Ok(()) };
    let mut known = read(&path)?;
    let entry = known.entry(name(release)).or_insert_with(|| release.version.clone());
    if *entry < release.version {
        *entry = release.version.clone();
    }
    let text = serde_json::to_vec_pretty(&known)
        .map_err(|e| Error::Malformed { path: path.clone(), why: e.to_string() })?;
    fs::private_folder_of(&path)?;
    fs::write(&path, &text, fs::PRIVATE)?;
    Ok(())
}
