//! What the environment says. A variable that is set to nothing is not set.

use std::ffi::OsString;
use std::path::PathBuf;

/// The text of a variable; `None` when unset, empty or not text.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// A variable that holds a path.
#[must_use]
pub fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// What this machine calls itself.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// All of it, for programs that act for the user: a kubeconfig may name helpers that need what is here.
#[must_use]
pub fn all() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}
