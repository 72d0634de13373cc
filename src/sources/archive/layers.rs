//! The layers of an archive: what each is, and its digests, learnt by reading it once.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};
use std::sync::{Mutex, PoisonError};

use flate2::bufread::MultiGzDecoder;

use super::entries::Extent;
use crate::checked::small;
use crate::digest::{Blob, Digest, Hasher};
use crate::limits;
use crate::oci::media;
use crate::sources::file::Regular;
use crate::store;

/// What is known of a layer once it has been read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer {
    /// Digest and size as stored.
    pub(super) blob: Blob,
    /// Digest of the tar inside; `None` for Zstandard, which is not opened here: whoever runs the image checks it.
    pub(super) diff_id: Option<Digest>,
    /// What it is.
    pub(super) media_type: &'static str,
}

/// Layers read so far, by where they lie.
#[derive(Debug, Default)]
pub(super) struct Layers {
    known: Mutex<HashMap<Extent, Layer>>,
}

impl Layers {
    /// The layer at `extent` of `file`, read now if it has not been. One at a time, so that none is read twice.
    pub(super) fn learn(&self, file: &Regular, extent: Extent) -> Result<Layer, store::Error> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layer) = known.get(&extent) {
            return Ok(*layer);
        }
        let layer =
            read(file, extent).map_err(|source| store::Error::Io { path: file.path.clone(), source })?;
        known.insert(extent, layer);
        Ok(layer)
    }

    /// Where a layer of that digest lies, among those that have been read.
    pub(super) fn place(&self, blob: &Blob) -> Option<Extent> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(_, layer)| layer.blob == *blob).map(|(extent, _)| *extent)
    }
}

/// A reader that hashes what passes.
struct Hashing<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

fn drain(reader: &mut impl Read) -> io::Result<()> {
    let mut buffer = vec![0; small(limits::PIECE_BYTES)];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn read(file: &Regular, extent: Extent) -> io::Result<Layer> {
    let mut magic = [0; 4];
    let mut front = file.part(extent.offset, extent.size.min(4));
    let mut filled = 0;
    while filled < magic.len() {
        match front.read(&mut magic[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    let mut stored = Hashing { inner: file.part(extent.offset, extent.size), hasher: Hasher::new() };
    if magic.starts_with(&[0x1f, 0x8b]) {
        let buffered = BufReader::with_capacity(small(limits::PIECE_BYTES), &mut stored);
        let mut opened = Hashing { inner: MultiGzDecoder::new(buffered), hasher: Hasher::new() };
        drain(&mut opened)?;
        let diff_id = Some(opened.hasher.finish());
        drain(&mut stored)?;
        return Ok(Layer { blob: stored.hasher.finish_blob(), diff_id, media_type: media::OCI_LAYER_GZIP });
    }
    drain(&mut stored)?;
    let blob = stored.hasher.finish_blob();
    if magic == [0x28, 0xb5, 0x2f, 0xfd] {
        return Ok(Layer { blob, diff_id: None, media_type: media::OCI_LAYER_ZSTD });
    }
    Ok(Layer { blob, diff_id: Some(blob.digest), media_type: media::OCI_LAYER })
}
