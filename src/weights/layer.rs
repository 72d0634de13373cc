//! One file as one layer: an uncompressed tar with the folders above the file, and the file.
//!
//! image-spec layer.md: a layer is a tar of whole files, and a later layer's file hides an earlier one's of the same path. Nothing in it
//! joins parts of a file, and neither do the snapshotters that mount it (overlayfs shows the topmost). So a file larger than a layer may
//! be cannot be carried in pieces, and is refused ([`TooLarge`]).
//!
//! Every header is the same on every machine: owner 0, time 0, mode 0644, folders 0755.

use crate::bundle::tar;
use crate::checked;
use crate::checked::ByteSize;
use crate::path::EntryPath;

/// The layout of one layer; the file's bytes are elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What comes before the file's bytes.
    pub head: Vec<u8>,
    /// Bytes of the file.
    pub file: u64,
    /// Zero bytes after the file's.
    pub tail: u64,
}

/// A file whose layer would be larger than the release allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} would be a layer of {layer} bytes; max-layer is {max}", max = max.0)]
pub struct TooLarge {
    /// Which file.
    pub path: String,
    /// Bytes of its layer.
    pub layer: u64,
    /// What the release allows.
    pub max: ByteSize,
}

impl Layer {
    /// The layer of a file at `path` of `size` bytes; `None` past all sizes.
    #[must_use]
    pub fn new(path: &EntryPath, size: u64) -> Option<Self> {
        let mut head = Vec::new();
        for (end, _) in path.as_str().match_indices('/') {
            head.extend_from_slice(&tar::folder_entry(&path.as_str()[..=end]));
        }
        head.extend_from_slice(&tar::file_entry(path.as_str(), size));
        let layer = Self { head, file: size, tail: tar::padding(size) + tar::END };
        checked::sum([layer.head.len() as u64, layer.file, layer.tail]).map(|_| layer)
    }

    /// Bytes of the whole tar.
    #[must_use]
    pub fn size(&self) -> u64 {
        // `new` has proved that this does not wrap.
        self.head.len() as u64 + self.file + self.tail
    }

    /// Holds the layer to `max`.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub fn within(self, path: &EntryPath, max: ByteSize) -> Result<Self, TooLarge> {
        match self.size() <= max.0 {
            true => Ok(self),
            false => Err(TooLarge { path: path.to_string(), layer: self.size(), max }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn bytes(path: &str, file: &[u8]) -> Vec<u8> {
        let layer = Layer::new(&path.parse().unwrap(), file.len() as u64).unwrap();
        let mut out = layer.head.clone();
        out.extend_from_slice(file);
        out.resize(checked::small(layer.size()), 0);
        out
    }

    #[test]
    fn the_tar_library_reads_what_is_written_here() {
        let long = format!("{}/{}/weights.safetensors", "a".repeat(120), "b".repeat(200));
        for path in
            ["model.safetensors", "a/b/c.json", "ünï/cödé.txt", &long, &"x".repeat(100), &"y".repeat(101)]
        {
            let tar = bytes(path, b"weights");
            assert_eq!(tar.len() % 512, 0);
            let mut archive = ::tar::Archive::new(&tar[..]);
            let mut seen = Vec::new();
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, 0));
                seen.push(entry.path().unwrap().to_str().unwrap().to_owned());
                let mut content = String::new();
                entry.read_to_string(&mut content).unwrap();
                assert_eq!(content.is_empty(), entry.header().entry_type().is_dir());
            }
            let mut wanted: Vec<String> =
                path.match_indices('/').map(|(at, _)| path[..=at].to_owned()).collect();
            wanted.push(path.to_owned());
            assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn a_layer_at_the_limit_is_accepted() {
        let path = "x".parse().unwrap();
        let layer = Layer::new(&path, 1000).unwrap();
        assert_eq!(layer.size(), 512 + 1024 + 1024);
        assert!(layer.clone().within(&path, ByteSize(2560)).is_ok());
        assert!(layer.within(&path, ByteSize(2559)).is_err());
        assert_eq!(Layer::new(&path, u64::MAX), None);
    }
}
