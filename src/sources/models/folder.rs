//! A model in a folder: `dir:PATH`.
//!
//! Symbolic links are followed when they lead to a file of the folder itself, or, in a hub client's cache (`…/snapshots/<commit>`), to
//! its `blobs` beside them, which is how such a cache is made. A link that leads elsewhere is refused: a model that somebody else made must not
//! be able to name a file of the vendor's machine.

use std::path::{Path, PathBuf};

use super::ModelError;
use super::place::{Listed, States};
use crate::limits;
use crate::path::EntryPath;
use crate::sources::file::{Links, Regular, malformed};
use crate::store::{self, Pieces};

/// A folder that is there.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
    /// Where the targets of links may lie, as real paths.
    roots: Vec<PathBuf>,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let io = |source| store::Error::Io { path: path.to_path_buf(), source };
        if !path.metadata().map_err(io)?.is_dir() {
            return Err(malformed(path, "it is not a folder").into());
        }
        let real = path.canonicalize().map_err(io)?;
        let mut roots = vec![real.clone()];
        if let Some(snapshots) = real.parent().filter(|p| p.file_name().is_some_and(|n| n == "snapshots"))
            && let Some(cache) = snapshots.parent()
        {
            roots.push(cache.join("blobs"));
        }
        Ok(Self { path: path.to_path_buf(), roots })
    }

    /// Every file, in no order.
    pub(super) fn list(&self) -> Result<Vec<Listed>, ModelError> {
        let mut found = Vec::new();
        let mut folders = vec![(self.path.clone(), String::new(), 0)];
        let mut looked = 0usize;
        while let Some((folder, prefix, depth)) = folders.pop() {
            let io = |source| store::Error::Io { path: folder.clone(), source };
            for entry in folder.read_dir().map_err(io)? {
                let entry = entry.map_err(io)?;
                looked += 1;
                if looked > limits::MODEL_LISTED {
                    return Err(ModelError::TooManyListed { place: self.path.display().to_string() });
                }
                let path = entry.path();
                // What is no text is refused by its name only where it would be carried, and a name needs text for that.
                let name = entry.file_name();
                let name = name.to_str().ok_or_else(|| {
                    malformed(&path, "its name is not UTF-8 text, and no tar or index can hold it")
                })?;
                let shown = format!("{prefix}{name}");
                let kind = entry.file_type().map_err(io)?;
                if kind.is_dir() {
                    if depth >= limits::MODEL_DEPTH {
                        return Err(malformed(&path, "it lies deeper than models do").into());
                    }
                    folders.push((path, format!("{shown}/"), depth + 1));
                    continue;
                }
                let size = self.length(&path)?;
                found.push(Listed { path: shown, size, states: States::Nothing });
            }
        }
        Ok(found)
    }

    /// The length of a regular file, or of the one that an allowed link leads to.
    fn length(&self, path: &Path) -> Result<u64, store::Error> {
        let io = |source| store::Error::Io { path: path.to_path_buf(), source };
        let facts = path.symlink_metadata().map_err(io)?;
        if facts.is_file() {
            return Ok(facts.len());
        }
        if !facts.is_symlink() {
            return Err(malformed(path, "it is neither a file nor a folder"));
        }
        let target = path.canonicalize().map_err(io)?;
        if !self.roots.iter().any(|root| target.starts_with(root)) {
            return Err(malformed(path, "it is a link that leads out of the folder"));
        }
        let facts = target.metadata().map_err(io)?;
        match facts.is_file() {
            true => Ok(facts.len()),
            false => Err(malformed(path, "it is a link to something that is not a file")),
        }
    }

    /// The bytes of a file from `offset` on.
    pub(super) fn read(
        &self,
        path: &EntryPath,
        size: u64,
        offset: u64,
    ) -> Result<Box<dyn Pieces>, store::Error> {
        let path = path.under(&self.path);
        self.length(&path)?;
        let file = Regular::open(&path, Links::Followed)?;
        if file.length != size {
            let why = format!("it has {} bytes where {size} are expected", file.length);
            return Err(malformed(&path, &why));
        }
        Ok(Box::new(file.part(offset, size.saturating_sub(offset))))
    }
}
