//! The user's state folder: where the program keeps the little it remembers between runs.

use std::path::PathBuf;

/// `$BUNDLE_STATE`, else `$XDG_STATE_HOME/bundle`, else `~/.local/state/bundle`; `None` where there is none of these.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("BUNDLE_STATE")
        .or_else(|| set("XDG_STATE_HOME").map(|folder| folder.join("bundle")))
        .or_else(|| set("HOME").map(|home| home.join(".local/state/bundle")))
}
