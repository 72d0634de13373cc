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

/// The user this program runs as: the name that `/etc/passwd` has for the number, and the number.
#[must_use]
pub fn user() -> (String, u32) {
    /// Bytes of it that are looked through.
    const PASSWD: u64 = 1 << 20;
    let uid = rustix::process::geteuid().as_raw();
    let text = super::fs::read_limited(std::path::Path::new("/etc/passwd"), PASSWD).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    (name.unwrap_or_else(|| "unknown".to_owned()), uid)
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
