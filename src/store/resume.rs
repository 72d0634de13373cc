//! Takes up a volume that a killed build left unfinished.
//!
//! Reads the file once from its start: every sealed unit that opens under the volume's own key is a unit we sealed, so the file speaks for
//! itself and no position needs to have been written down. The payload bytes met are handed out, so that the blob in progress can
//! be hashed on. A torn tail is left in place; the writer compares it with what it writes over it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::Error;
use super::writer::ChunkHasher;
use crate::bundle::geometry::Geometry;
use crate::bundle::seal::{HEADER, PLAIN, ReleaseKey, TAG, VolumeKey};
use crate::digest::{Digest, Hasher};
use crate::release::lock::Seal;

/// What is left of an unfinished volume.
#[derive(Debug)]
pub struct Partial {
    /// Bytes of plaintext that hold.
    pub plain: u64,
    /// Bytes of the file that hold.
    pub file_bytes: u64,
    /// Bytes of the file in all; those past `file_bytes` are a torn tail.
    pub existing: u64,
    /// The volume's key; `None` for a plain volume.
    pub key: Option<VolumeKey>,
    /// The hash of the file so far.
    pub whole: Hasher,
    /// The hash of the chunk in progress.
    pub chunk: Hasher,
    /// The chunks done.
    pub chunks: Vec<Digest>,
}

/// Reads what is left of `volume` at `path`; `None` when nothing of it can be kept. `payload` is given the plaintext in order.
///
/// The last unit of a volume is never kept: it is sealed again, and must come out the same.
pub fn scan(
    path: &Path,
    shape: &Geometry,
    volume: usize,
    key: Option<&ReleaseKey>,
    payload: &mut dyn FnMut(&[u8]),
) -> Result<Option<Partial>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    let existing = file.metadata().map_err(io)?.len();
    let mut whole = Hasher::new();
    let mut chunks = ChunkHasher::default();
    let key = match (shape.seal(), key) {
        (Seal::None, _) => None,
        (Seal::Age, None) => return Err(Error::Sealed { volume: path.display().to_string() }),
        (Seal::Age, Some(release)) => {
            let mut header = [0; HEADER];
            if existing < HEADER as u64 {
                return Ok(None);
            }
            file.read_exact(&mut header).map_err(io)?;
            let Ok(key) = release.open_header(&header) else { return Ok(None) };
            whole.update(&header);
            chunks.update(&header);
            Some(key)
        }
    };
    let mut plain = 0;
    let last = shape.units(volume).saturating_sub(1);
    let mut sealed = vec![0; PLAIN + TAG];
    let mut opened = vec![0; PLAIN + TAG];
    for unit in 0..last {
        let length = shape.unit_length(PLAIN);
        if existing < shape.unit_offset(unit) + length as u64 {
            break;
        }
        file.read_exact(&mut sealed[..length]).map_err(io)?;
        opened[..length].copy_from_slice(&sealed[..length]);
        if let Some(key) = &key
            && key.open(unit, false, &mut opened[..length]).is_err()
        {
            break;
        }
        whole.update(&sealed[..length]);
        chunks.update(&sealed[..length]);
        payload(&opened[..PLAIN]);
        plain += PLAIN as u64;
    }
    let file_bytes = whole.length();
    let (chunk, chunks) = chunks.put_down();
    Ok(Some(Partial { plain, file_bytes, existing, key, whole, chunk, chunks }))
}
