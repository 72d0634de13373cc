//! The damage report as a file that somebody sent.

use std::path::{Path, PathBuf};

use crate::bundle::damage::{Damage, DamageError};
use crate::limits;
use crate::sys::fs;

/// Why there is no report in a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// What is in it is none.
    #[error("{path}: {source}", path = path.display())]
    Damage {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: DamageError,
    },
}

/// The damage report in the file `path`.
///
/// # Errors
/// Why there is none.
pub fn read(path: &Path) -> Result<Damage, Error> {
    let text = fs::read_limited(path, limits::REPORT_BYTES)?;
    Damage::parse(&text).map_err(|source| Error::Damage { path: path.to_owned(), source })
}
