//! The user's state folder: where the program keeps the little it remembers between runs.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::fs::Error;

/// `$BUNDLE_STATE`, else `$XDG_STATE_HOME/bundle`, else `~/.local/state/bundle`; `None` where there is none of these.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("BUNDLE_STATE")
        .or_else(|| set("XDG_STATE_HOME").map(|folder| folder.join("bundle")))
        .or_else(|| set("HOME").map(|home| home.join(".local/state/bundle")))
}

/// Makes the folder that `file` goes into, for this user alone.
pub fn make(file: &Path) -> Result<(), Error> {
    let Some(folder) = file.parent() else { return Ok(()) };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| Error::Io { path: folder.to_owned(), source })
}
