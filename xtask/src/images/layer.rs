//! Layers: tars of files, as they are or compressed (image-spec layer.md).

use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Compression as Level, GzBuilder};

use super::Seed;
use crate::registry::digest_of;

/// How a layer is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// The tar itself.
    None,
    /// Gzip (RFC 1952), no name, no time.
    Gzip,
    /// One Zstandard frame (RFC 8878) of raw blocks: valid, not smaller.
    Zstd,
}

/// One layer.
#[derive(Debug, Clone)]
pub struct Layer {
    /// As it is stored.
    pub bytes: Bytes,
    /// How.
    pub compression: Compression,
    /// Digest of the stored bytes.
    pub digest: String,
    /// Digest of the tar in it.
    pub diff_id: String,
}

impl Layer {
    /// A layer of these files, each a path and its content. Folders are made as needed.
    pub fn of_files(files: &[(&str, &[u8])], compression: Compression) -> io::Result<Self> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut folders: Vec<&str> = Vec::new();
        for (path, content) in files {
            for (at, _) in path.match_indices('/') {
                let folder = &path[..=at];
                if !folders.contains(&folder) {
                    folders.push(folder);
                    let mut header = header(tar::EntryType::Directory, 0o755, 0);
                    tar.append_data(&mut header, folder, io::empty())?;
                }
            }
            let mode = if path.starts_with("bin/") { 0o755 } else { 0o644 };
            let mut header = header(tar::EntryType::Regular, mode, content.len() as u64);
            tar.append_data(&mut header, path, *content)?;
        }
        Self::of_tar(&tar.into_inner()?, compression)
    }

    /// A layer with one file of `length` incompressible bytes.
    pub fn seeded(mut seed: Seed, length: usize, compression: Compression) -> io::Result<Self> {
        Self::of_files(&[("opt/data.bin", &seed.bytes(length))], compression)
    }

    /// A layer with nothing in it: the end of a tar and no more.
    pub fn empty(compression: Compression) -> io::Result<Self> {
        Self::of_files(&[], compression)
    }

    /// A layer of a finished tar.
    pub fn of_tar(tar: &[u8], compression: Compression) -> io::Result<Self> {
        let bytes = Bytes::from(match compression {
            Compression::None => tar.to_vec(),
            Compression::Gzip => {
                let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Level::default());
                gzip.write_all(tar)?;
                gzip.finish()?
            }
            Compression::Zstd => zstd(tar),
        });
        Ok(Self { digest: digest_of(&bytes), diff_id: digest_of(tar), bytes, compression })
    }
}

/// A header that says nothing about who made it and when.
pub(super) fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// RFC 8878 §3.1.1: magic, a header with an 8 MiB window and an 8-byte content size, then raw blocks of at most 128 KiB.
fn zstd(content: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 128 << 10;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xc0, 13 << 3];
    frame.extend_from_slice(&(content.len() as u64).to_le_bytes());
    let mut rest = content;
    loop {
        let (block, after) = rest.split_at(rest.len().min(BLOCK));
        // BLOCK fits 21 bits, so the size does too.
        let size = u32::try_from(block.len()).unwrap_or(u32::MAX);
        let head = (size << 3) | u32::from(after.is_empty());
        frame.extend_from_slice(&head.to_le_bytes()[..3]);
        frame.extend_from_slice(block);
        if after.is_empty() {
            return frame;
        }
        rest = after;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_make_the_same_layer() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let make =
                || Layer::of_files(&[("bin/x", b"#!/bin/sh\n"), ("etc/y/z", b"1\n")], compression).unwrap();
            assert_eq!(make().digest, make().digest);
            assert_eq!(make().diff_id == make().digest, compression == Compression::None);
        }
    }

    #[test]
    fn zstd_frames_hold_their_content() {
        for length in [0, 1, 128 << 10, (128 << 10) + 1] {
            let content = Seed::new(1).bytes(length);
            let frame = zstd(&content);
            let blocks = length.div_ceil(128 << 10).max(1);
            assert_eq!(frame.len(), 14 + 3 * blocks + length);
            assert_eq!(frame[6..14], (length as u64).to_le_bytes());
            assert_eq!(frame[14] & 1, u8::from(blocks == 1));
        }
    }
}
