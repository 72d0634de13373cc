//! Paths that are safe to join to a folder, checked once when they are made.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{limits, text};

/// A relative path with `/` between names that stays inside its folder on every filesystem a bundle travels
/// on: no `..`, no empty name, no backslash or colon, no control character, no name that FAT32, exFAT or Windows reserves
/// or would silently change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPath(String);

/// Why a text is not an [`EntryPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path \"{path}\" is refused: {why}")]
pub struct PathError {
    /// The text, made printable.
    pub path: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl EntryPath {
    /// The path as text, `/`-separated.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one way from an entry path to a path on disk.
    #[must_use]
    pub fn under(&self, folder: &Path) -> PathBuf {
        let mut joined = folder.to_path_buf();
        joined.extend(self.0.split('/'));
        joined
    }

    /// The name after the last `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

/// Two paths that cannot be in one folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// The same path twice.
    #[error("\"{path}\" is there twice")]
    Twice {
        /// The path.
        path: EntryPath,
    },
    /// Two paths that many filesystems cannot hold side by side.
    #[error("\"{path}\" and \"{other}\" are one file on filesystems without letter case")]
    Case {
        /// One of them.
        path: EntryPath,
        /// The other.
        other: EntryPath,
    },
    /// A path that is a file and a folder.
    #[error("\"{path}\" is a file, and \"{inside}\" lies inside it")]
    FileAndFolder {
        /// The file.
        path: EntryPath,
        /// What would lie inside.
        inside: EntryPath,
    },
}

/// Refuses two names, of files or of folders on their way, that are one or differ only in case, and files inside files.
///
/// # Errors
/// A pair of them.
pub fn together<'a>(paths: impl IntoIterator<Item = &'a EntryPath>) -> Result<(), Clash> {
    // With NUL for `/`, which no name has, sorting brings everything below one folded folder together: neighbours are enough.
    let mut folded: Vec<(String, &EntryPath)> =
        paths.into_iter().map(|path| (path.as_str().to_lowercase().replace('/', "\0"), path)).collect();
    folded.sort_unstable();
    folded.windows(2).try_for_each(|pair| apart(&pair[0], &pair[1]))
}

fn apart(a: &(String, &EntryPath), b: &(String, &EntryPath)) -> Result<(), Clash> {
    if a.1 == b.1 {
        return Err(Clash::Twice { path: a.1.clone() });
    }
    let shared = a.0.split('\0').zip(b.0.split('\0')).take_while(|(a, b)| a == b).count();
    let spelt_alike = a.1.as_str().split('/').take(shared).eq(b.1.as_str().split('/').take(shared));
    if !spelt_alike {
        return Err(Clash::Case { path: b.1.clone(), other: a.1.clone() });
    }
    if shared == a.0.split('\0').count() {
        return Err(Clash::FileAndFolder { path: a.1.clone(), inside: b.1.clone() });
    }
    Ok(())
}

/// Device names that DOS and Windows resolve in every folder.
const RESERVED: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
    "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

fn check(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.len() > limits::PATH_BYTES {
        return Err("it is longer than 512 bytes");
    }
    for name in path.split('/') {
        if name.is_empty() {
            return Err("it is absolute or has an empty name in it");
        }
        if name == "." || name == ".." {
            return Err("it has \".\" or \"..\" in it");
        }
        if name.len() > limits::NAME_BYTES {
            return Err("a name in it is longer than 255 bytes");
        }
        if name.chars().any(|c| c.is_control() || "\\:*?\"<>|".contains(c)) {
            return Err("it has a character that FAT or Windows cannot store");
        }
        if !name.chars().all(text::is_printable) {
            return Err("it has a character that is not shown, or that turns the direction of text");
        }
        if name.ends_with('.') || name.ends_with(' ') || name.starts_with(' ') {
            return Err("a name in it begins or ends with a space, or ends with a dot");
        }
        let stem = name.split('.').next().unwrap_or(name).to_ascii_lowercase();
        if RESERVED.contains(&stem.as_str()) {
            return Err("a name in it is a device name on Windows");
        }
    }
    Ok(())
}

impl FromStr for EntryPath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        match check(path) {
            Ok(()) => Ok(Self(path.to_owned())),
            Err(why) => Err(PathError { path: text::printable(path, 120), why }),
        }
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EntryPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EntryPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_hold() {
        for good in
            ["a", "volumes/x-1.0.0.0001.tar.age", "docs/guide v2.md", "a/b/c", "ünïcode/ok", ".hidden"]
        {
            assert!(good.parse::<EntryPath>().is_ok(), "{good}");
        }
    }

    #[test]
    fn hostile_paths_are_refused() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\\b",
            "c:x",
            "a\0b",
            "a\nb",
            "nul",
            "docs/CON.txt",
            "a.",
            "a ",
            " a",
            "a\u{202e}b",
            "a\u{200b}b",
        ] {
            assert!(bad.parse::<EntryPath>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(256).parse::<EntryPath>().is_err());
        assert!("x/".repeat(300).parse::<EntryPath>().is_err());
    }
}
