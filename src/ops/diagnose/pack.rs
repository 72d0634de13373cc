//! A `tar.zst`, file by file: each is a zstd frame of its own, and frames one after another are one stream (RFC 8878, 3).

use std::io::Write as _;
use std::path::Path;

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::Entry;
use crate::sys::fs::{self, Draft};

/// Bytes of a block of a tar.
const BLOCK: usize = 512;

/// The file being written; gone when it is not finished.
pub(super) struct Pack {
    draft: Draft,
    target: std::path::PathBuf,
    root: String,
    time: u64,
    files: Vec<Entry>,
    bytes: u64,
}

impl Pack {
    /// Begins `target`. `now` is what its files are dated.
    pub(super) fn begin(target: &Path, now: Option<i64>) -> Result<Self, fs::Error> {
        // It may hold what a pattern did not know.
        let draft = Draft::begin(target, fs::PRIVATE)?;
        let time = now.and_then(|now| u64::try_from(now).ok()).unwrap_or(0);
        let (root, target) = ("diagnosis".to_owned(), target.to_owned());
        Ok(Self { draft, target, root, time, files: Vec::new(), bytes: 0 })
    }

    /// Adds a file.
    pub(super) fn add(&mut self, path: &str, content: &[u8]) -> Result<(), fs::Error> {
        let mut header = tar::Header::new_ustar();
        let error = |source| fs::Error::Io { path: self.target.clone(), source };
        header.set_path(format!("{}/{path}", self.root)).map_err(error)?;
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(self.time);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        self.files.push(Entry { path: path.to_owned(), bytes: content.len() as u64 });
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), fs::Error> {
        let packed = compress_to_vec(bytes, CompressionLevel::Fastest);
        self.bytes += packed.len() as u64;
        self.draft.write_all(&packed).map_err(|source| fs::Error::Io { path: self.target.clone(), source })
    }

    /// Puts it in its place; gives what is in it, and its bytes.
    pub(super) fn finish(mut self) -> Result<(Vec<Entry>, u64), fs::Error> {
        self.write(&[0; 2 * BLOCK])?;
        self.draft.create()?;
        Ok((self.files, self.bytes))
    }

    /// What is in it so far.
    pub(super) fn files(&self) -> &[Entry] {
        &self.files
    }
}
