//! Whether the names of a model's files can live beside each other on every medium, and be files in every mount.

use std::collections::HashMap;

use crate::path::EntryPath;

/// What runtimes take for a mark in a layer, never for a file: OCI image-spec 1.1 "Whiteouts".
const WHITEOUT: &str = ".wh.";

/// A name that would hide others where the model is mounted, and not be there itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: in a mounted image a name that begins with .wh. deletes another file instead of being one")]
pub struct Whiteout {
    /// Which.
    pub path: String,
}

/// Finds a path with such a name in it.
///
/// # Errors
/// The first.
pub fn check_whiteouts<'a>(paths: impl IntoIterator<Item = &'a EntryPath>) -> Result<(), Whiteout> {
    let marked = |path: &&EntryPath| path.as_str().split('/').any(|name| name.starts_with(WHITEOUT));
    match paths.into_iter().find(marked) {
        None => Ok(()),
        Some(path) => Err(Whiteout { path: path.to_string() }),
    }
}

/// Two names that are one on FAT, exFAT, NTFS or APFS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{first} and {second} differ only in case: media that ignore case hold one of them")]
pub struct CaseClash {
    /// The one that comes first.
    pub first: String,
    /// The other.
    pub second: String,
}

/// Finds a pair of paths of which one hides the other where case is ignored, folders among them; one path that is another's folder
/// cannot come from a folder or a hub, and is refused too.
///
/// # Errors
/// The first pair.
pub fn check<'a>(paths: impl IntoIterator<Item = &'a EntryPath>) -> Result<(), CaseClash> {
    // Each path that leads somewhere, in lower case: as it was first written, and whether it is a file.
    let mut seen: HashMap<String, (&str, bool)> = HashMap::new();
    for path in paths {
        let text = path.as_str();
        let folders = text.match_indices('/').map(|(at, _)| (&text[..at], false));
        for (part, is_file) in folders.chain([(text, true)]) {
            match seen.get(&part.to_lowercase()) {
                None => {
                    seen.insert(part.to_lowercase(), (part, is_file));
                }
                // A folder is met once for each file in it; nothing else is met twice.
                Some((first, false)) if *first == part && !is_file => {}
                Some((first, _)) => {
                    return Err(CaseClash { first: (*first).to_owned(), second: text.to_owned() });
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check_all(paths: &[&str]) -> Result<(), CaseClash> {
        let paths: Vec<EntryPath> = paths.iter().map(|path| path.parse().unwrap()).collect();
        check(&paths)
    }

    #[test]
    fn names_that_delete_others_are_refused() {
        for (path, holds) in [
            ("a.wh.b", true),
            (".who", true),
            (".wh.a", false),
            ("d/.wh..wh..opq", false),
            (".wh.d/a", false),
        ] {
            let path: EntryPath = path.parse().unwrap();
            assert_eq!(check_whiteouts([&path]).is_ok(), holds, "{path}");
        }
    }

    #[test]
    fn names_that_one_medium_takes_for_one_are_refused() {
        for (paths, holds) in [
            (&["a", "b", "d/a", "d/b"][..], true),
            (&["a/b/c", "a/b/d", "a/e"], true),
            (&["a", "A"], false),
            (&["d/a", "D/b"], false),
            (&["d/a", "d"], false),
            (&["d", "d/a"], false),
            (&["a", "a"], false),
            (&["straße", "STRASSE"], true),
            (&["É", "é"], false),
        ] {
            assert_eq!(check_all(paths).is_ok(), holds, "{paths:?}");
        }
    }
}
