//! Where plain files and tools are read: files and folders beside the release, and addresses.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use super::file::{Links, Regular, malformed};
use super::{Error, Reach};
use crate::digest::{Blob, Digest, Hasher};
use crate::limits;
use crate::path::{EntryPath, PathError};
use crate::registry::{Client, Site, WebFile};
use crate::store::{self, Pieces, Source};

/// A file or tool that cannot be carried.
#[derive(Debug, thiserror::Error)]
pub enum PlainError {
    /// A name that some medium cannot hold.
    #[error("{path}: {source}", path = path.display())]
    Name {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: PathError,
    },
    /// A link, a device, a FIFO, a name that is no text.
    #[error("{path}: {why}", path = path.display())]
    Irregular {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A folder without files.
    #[error("{path}: it holds no file", path = path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// More than a bundle lists.
    #[error("{path}: it holds more than {} files", limits::INDEX_ENTRIES, path = path.display())]
    TooMany {
        /// Which folder.
        path: PathBuf,
    },
    /// Larger than FAT32 holds.
    #[error("{from}: it has {size} bytes; a file on FAT32 has at most {}", limits::FAT_FILE_BYTES)]
    TooLarge {
        /// Which file or address.
        from: String,
        /// Its size.
        size: u64,
    },
    /// A tool that is not the declared one.
    #[error("{from}: its SHA-256 is {}, and release.yaml says {}", got.hex(), declared.hex())]
    Digest {
        /// Which file or address.
        from: String,
        /// What is declared.
        declared: Digest,
        /// What it has.
        got: Digest,
    },
    /// Something with `://` that is not read.
    #[error("\"{0}\" is neither a path nor an https:// address without credentials")]
    Address(String),
    /// An address, and nothing that could ask it.
    #[error("{0} is an address, and there is no client to ask it")]
    NoClient(String),
}

/// Folders within folders that are gone into.
const DEPTH: usize = 64;

/// Who has the bytes of the file or address `from`, whose relative paths start at `base`. It has that one blob.
///
/// # Errors
/// A file that cannot be opened.
pub fn plain(base: &Path, from: &str, reach: &dyn Reach) -> Result<Arc<dyn Source>, Error> {
    if from.contains("://") {
        return Ok(Arc::new(Web::new(from, reach)?));
    }
    Ok(Arc::new(Regular::open(&base.join(from), Links::Followed)?))
}

/// Digest and size of the file or address `from`, read once; a tool that is larger than a medium holds is refused before.
///
/// # Errors
/// [`PlainError`], or what reading met.
pub fn measure(base: &Path, from: &str, reach: &dyn Reach) -> Result<Blob, Error> {
    let fits = |size| match size > limits::FAT_FILE_BYTES {
        true => Err(PlainError::TooLarge { from: from.to_owned(), size }),
        false => Ok(size),
    };
    let web;
    let mut pieces: Box<dyn Pieces + '_> = if from.contains("://") {
        web = Web::new(from, reach)?;
        let size = fits(web.client.web_size(&web.file(0)).map_err(store::Error::from)?)?;
        Box::new(web.client.open_web(&web.file(size), 0).map_err(store::Error::from)?)
    } else {
        let file = Regular::open(&base.join(from), Links::Followed)?;
        Box::new(file.part(0, fits(file.length)?))
    };
    let mut hasher = Hasher::new();
    while let Some(piece) = pieces.next()? {
        hasher.update(&piece);
    }
    Ok(hasher.finish_blob())
}

/// The files of `from`, which is a file or a folder, as pairs of where each is read and where it goes; sorted. `to` is a path, or ends in `/`
/// for a folder that keeps the file's name.
///
/// # Errors
/// [`PlainError`], or what reading met.
pub fn list(base: &Path, from: &str, to: &str) -> Result<Vec<(String, EntryPath)>, Error> {
    let top = base.join(from);
    let facts = top.metadata().map_err(|source| store::Error::Io { path: top.clone(), source })?;
    let name = |path: &Path, target: &str| {
        target.parse::<EntryPath>().map_err(|source| PlainError::Name { path: path.to_path_buf(), source })
    };
    if !facts.is_dir() {
        if !facts.is_file() {
            return Err(PlainError::Irregular { path: top, why: "it is neither a file nor a folder" }.into());
        }
        let last = top.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
        let target = if to.ends_with('/') { format!("{to}{last}") } else { to.to_owned() };
        return Ok(vec![(from.to_owned(), name(&top, &target)?)]);
    }
    let (own, to) = (from.trim_end_matches('/'), to.trim_end_matches('/'));
    let mut found = Vec::new();
    let mut folders = vec![(top.clone(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        let io = |source| store::Error::Io { path: folder.clone(), source };
        for entry in folder.read_dir().map_err(io)? {
            let entry = entry.map_err(io)?;
            let path = entry.path();
            let irregular = |why| PlainError::Irregular { path: path.clone(), why };
            let last = entry.file_name();
            let last = last.to_str().ok_or_else(|| irregular("its name is not UTF-8 text"))?;
            let kind = entry.file_type().map_err(io)?;
            let below = format!("{prefix}{last}");
            if kind.is_dir() {
                if depth >= DEPTH {
                    return Err(irregular("it lies too deep in folders").into());
                }
                folders.push((path, format!("{below}/"), depth + 1));
            } else if kind.is_file() {
                found.push((format!("{own}/{below}"), name(&path, &format!("{to}/{below}"))?));
            } else if kind.is_symlink() {
                return Err(irregular(
                    "it is a symbolic link, which FAT cannot store; put the file itself there",
                )
                .into());
            } else {
                return Err(irregular("it is neither a file nor a folder").into());
            }
            if found.len() > limits::INDEX_ENTRIES {
                return Err(PlainError::TooMany { path: top }.into());
            }
        }
    }
    if found.is_empty() {
        return Err(PlainError::Empty { path: top }.into());
    }
    found.sort_by(|(_, one), (_, other)| one.cmp(other));
    Ok(found)
}

/// A file at an address.
struct Web {
    client: Arc<Client>,
    url: Url,
    what: String,
}

impl Web {
    fn new(from: &str, reach: &dyn Reach) -> Result<Self, PlainError> {
        let what = from.split(['?', '#']).next().unwrap_or_default().to_owned();
        let url = Url::parse(from).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
        let url = url
            .ok_or_else(|| PlainError::Address(what.split('@').next_back().unwrap_or_default().to_owned()))?;
        let client = reach.client().cloned().ok_or_else(|| PlainError::NoClient(what.clone()))?;
        Ok(Self { client, url, what })
    }

    fn file(&self, size: u64) -> WebFile {
        let (url, what) = (self.url.clone(), self.what.clone());
        WebFile { site: Site::Other, url, what, pass: None, size, expect: Vec::new() }
    }
}

impl Source for Web {
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        Ok(Box::new(self.client.open_web(&self.file(blob.size), offset)?))
    }
}

impl Source for Regular {
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        if self.length != blob.size {
            let why = format!("it has {} bytes where {} are expected", self.length, blob.size);
            return Err(malformed(&self.path, &why));
        }
        Ok(Box::new(self.part(offset, blob.size.saturating_sub(offset))))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {

    #[test]
    fn folders_become_sorted_lists_and_files_keep_their_name_in_folders() {
        let base = tempfile::tempdir().unwrap();
        let at = |name: &str| base.path().join(name);
        std::fs::create_dir_all(at("docs/b/c")).unwrap();
        for name in ["docs/z.md", "docs/b/c/x", "docs/a.md", "LICENSE"] {
            std::fs::write(at(name), name).unwrap();
        }
        let list = |from: &str, to: &str| -> Vec<(String, String)> {
            let found = super::list(base.path(), from, to).unwrap();
            found.into_iter().map(|(from, to)| (from, to.to_string())).collect()
        };
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(
            list("docs/", "manual/"),
            [
                pair("docs/a.md", "manual/a.md"),
                pair("docs/b/c/x", "manual/b/c/x"),
                pair("docs/z.md", "manual/z.md")
            ]
        );
        assert_eq!(list("LICENSE", "legal/"), [pair("LICENSE", "legal/LICENSE")]);
        assert_eq!(list("LICENSE", "legal"), [pair("LICENSE", "legal")]);
        std::os::unix::fs::symlink("a.md", at("docs/link")).unwrap();
        let error = super::list(base.path(), "docs", "docs").unwrap_err().to_string();
        assert!(error.contains("docs/link: it is a symbolic link"), "{error}");
        std::fs::remove_file(at("docs/link")).unwrap();
        std::fs::write(at("docs/a:b"), "").unwrap();
        let error = super::list(base.path(), "docs", "docs").unwrap_err().to_string();
        assert!(error.contains("docs/a:b") && error.contains("FAT"), "{error}");
        std::fs::create_dir(at("none")).unwrap();
        let error = super::list(base.path(), "none", "x").unwrap_err().to_string();
        assert!(error.contains("it holds no file"), "{error}");
    }
}
