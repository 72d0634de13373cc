//! The user's state folder: where the program keeps the little it remembers between runs.

use std::path::PathBuf;

use super::environment;

/// `$BUNDLE_STATE`, else `$XDG_STATE_HOME/bundle`, else `~/.local/state/bundle`; `None` where there is none of these.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    environment::path("BUNDLE_STATE")
        .or_else(|| environment::path("XDG_STATE_HOME").map(|folder| folder.join("bundle")))
        .or_else(|| environment::path("HOME").map(|home| home.join(".local/state/bundle")))
}
