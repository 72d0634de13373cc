//! Bytes of volumes that are the signed ones, checked before the first of them is handed out.
//!
//! Whoever reads a whole blob can wait for its digest. Whoever asks for a part of one cannot, and gets bytes that were checked against
//! the signed hash of their chunk: the chunk is hashed once, with each of its 64 KiB blocks, and every block is held against its hash
//! each time it is read, because a failing medium may give other bytes the second time.
//!
//! Whole blobs of volumes that are not sealed are read so that no chunk is begun before its hash held: nothing else would show damage
//! before the end. Sealed ones show it themselves, unit by unit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::ahead::{Ahead, Reader};
use super::shared::Shared;
use super::volumes::Volumes;
use super::{Error, Pieces};
use crate::bundle::seal::PLAIN;
use crate::checked::small;
use crate::digest::{Blob, Digest, Hasher};
use crate::limits;
use crate::release::lock::Seal;

/// Bytes of a block: divides a chunk.
const BLOCK: u64 = 64 << 10;
/// Units in a stretch.
const UNITS: u64 = 4;
/// Chunks whose blocks are remembered: 8 KiB each.
const REMEMBERED: usize = 256;

/// A chunk: volume and number.
type Place = (usize, u64);

/// Volumes, read so that no wrong byte comes out.
pub struct Proven {
    ahead: Ahead,
    /// Hashes of the blocks of chunks that are as signed, the last used at the back.
    blocks: Mutex<VecDeque<(Place, Arc<[Digest]>)>>,
    /// Chunks that were as signed when they were looked at.
    good: Mutex<HashSet<Place>>,
    /// Blobs that are being read whole.
    pub(super) shared: Shared,
    /// Blobs that were not as signed when they were last read whole, and what they were: who got the beginning of one may come back for the
    /// rest, and must not get it, even from a medium that was mended meanwhile.
    suspect: Mutex<HashMap<Digest, Blob>>,
}

impl std::fmt::Debug for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proven").field("ahead", &self.ahead).finish_non_exhaustive()
    }
}

impl Proven {
    /// Reads what `ahead` opens.
    #[must_use]
    pub fn new(ahead: Ahead) -> Self {
        let shared = Shared::default();
        Self { ahead, blocks: Mutex::default(), good: Mutex::default(), shared, suspect: Mutex::default() }
    }

    /// The volumes.
    #[must_use]
    pub fn volumes(&self) -> &Volumes {
        self.ahead.volumes()
    }

    /// Bytes `from..to` of `blob`, each of them as it was signed.
    pub fn part(self: &Arc<Self>, blob: &Blob, (from, to): (u64, u64)) -> Result<Part, Error> {
        let (at, end) = self.volumes().extent(blob, from)?;
        let suspect = self.suspects().get(&blob.digest).copied();
        if let Some(got) = suspect {
            return Err(self.wrong(blob, got));
        }
        Ok(Part {
            proven: Arc::clone(self),
            at,
            end: end.min(at + to.saturating_sub(from)),
            file: None,
            ready: Bytes::new(),
        })
    }

    fn suspects(&self) -> MutexGuard<'_, HashMap<Digest, Blob>> {
        self.suspect.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges what was `got` for all of `blob`, and remembers it.
    pub(super) fn judge(&self, blob: &Blob, got: Blob) -> Result<(), Error> {
        if got == *blob {
            self.suspects().remove(&blob.digest);
            return Ok(());
        }
        self.suspects().insert(blob.digest, got);
        Err(self.wrong(blob, got))
    }

    /// Why `blob` was not itself but `got`: the chunk that is to blame, where there is one.
    fn wrong(&self, blob: &Blob, got: Blob) -> Error {
        let place = self.volumes().whereabouts(&blob.digest);
        self.look_through(blob).err().unwrap_or(Error::Wrong { place, wanted: *blob, got })
    }

    /// Hashes every chunk that `blob` lies in; an error for the first that is not the signed one.
    fn look_through(&self, blob: &Blob) -> Result<(), Error> {
        let volumes = self.volumes();
        let mut last = None;
        for stretch in volumes.stretches_of(UNITS, volumes.extent(blob, 0)?) {
            for chunk in stretch.from / limits::CHUNK_BYTES..stretch.to.div_ceil(limits::CHUNK_BYTES) {
                if last.replace((stretch.volume, chunk)) != Some((stretch.volume, chunk)) {
                    self.hash((stretch.volume, chunk), &volumes.file(stretch.volume)?, &mut |_| {})?;
                }
            }
        }
        Ok(())
    }

    /// The rest of `blob` from byte `offset`: of volumes that are not sealed, no chunk is begun before its hash held.
    pub(super) fn rest(self: &Arc<Self>, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces>, Error> {
        let (at, end) = self.volumes().extent(blob, offset)?;
        Ok(match self.volumes().shape().seal() {
            Seal::Age => Box::new(self.ahead.payload(at, end)),
            Seal::None => Box::new(Plain { proven: Arc::clone(self), at, end, inner: None }),
        })
    }

    /// Reads bytes `from..to` of the file of `volume`, as they were signed.
    fn read(&self, volume: usize, (from, to): (u64, u64), file: &(File, PathBuf)) -> Result<Vec<u8>, Error> {
        let volumes = self.volumes();
        let first = from / BLOCK * BLOCK;
        let last = (to.div_ceil(BLOCK) * BLOCK).min(volumes.shape().file_length(volume));
        let mut raw = vec![0; small(last - first)];
        file.0
            .read_exact_at(&mut raw, first)
            .map_err(|e| volumes.read_fault(volume, &file.1, (first, last), e))?;
        let per_chunk = limits::CHUNK_BYTES / BLOCK;
        let mut chunk = None;
        for (number, block) in (first / BLOCK..).zip(raw.chunks(small(BLOCK))) {
            let place = (volume, number / per_chunk);
            let signed = match &chunk {
                Some((known, blocks)) if *known == place => Arc::clone(blocks),
                _ => self.blocks(place, file)?,
            };
            if signed.get(small(number % per_chunk)) != Some(&Digest::of(block)) {
                let at = number * BLOCK;
                return Err(volumes.damaged(volume, at, at + block.len() as u64));
            }
            chunk = Some((place, signed));
        }
        raw.truncate(small(to - first));
        raw.drain(..small(from - first));
        Ok(raw)
    }

    /// The hashes of the blocks of a chunk that is as signed.
    fn blocks(&self, place: Place, file: &(File, PathBuf)) -> Result<Arc<[Digest]>, Error> {
        let remembered = || self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut all = remembered();
            if let Some(at) = all.iter().rposition(|(known, _)| *known == place)
                && let Some(entry) = all.remove(at)
            {
                let blocks = Arc::clone(&entry.1);
                all.push_back(entry);
                return Ok(blocks);
            }
        }
        let mut blocks = Vec::new();
        self.hash(place, file, &mut |block| blocks.push(Digest::of(block)))?;
        let blocks: Arc<[Digest]> = blocks.into();
        let mut all = remembered();
        if all.len() >= REMEMBERED {
            all.pop_front();
        }
        all.push_back((place, Arc::clone(&blocks)));
        Ok(blocks)
    }

    /// Reads a chunk, block by block; an error when it is not the signed one.
    fn hash(
        &self,
        (volume, chunk): Place,
        file: &(File, PathBuf),
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Error> {
        let volumes = self.volumes();
        let from = chunk * limits::CHUNK_BYTES;
        let to = (from + limits::CHUNK_BYTES).min(volumes.shape().file_length(volume));
        let mut hasher = Hasher::new();
        let mut block = vec![0; small(BLOCK)];
        let mut at = from;
        while at < to {
            let length = small((to - at).min(BLOCK));
            file.0
                .read_exact_at(&mut block[..length], at)
                .map_err(|e| volumes.read_fault(volume, &file.1, (at, at + length as u64), e))?;
            hasher.update(&block[..length]);
            each(&block[..length]);
            at += length as u64;
        }
        if volumes.signed_chunk(volume, chunk) == Some(hasher.finish()) {
            Ok(())
        } else {
            Err(volumes.damaged(volume, from, to))
        }
    }

    /// Makes sure that the chunk of a plain volume that holds payload byte `at` is as signed; gives the byte after its last.
    pub(super) fn prove(&self, at: u64) -> Result<u64, Error> {
        let volumes = self.volumes();
        let shape = volumes.shape();
        let place = shape.place(at);
        let chunk = (place.volume, place.offset / limits::CHUNK_BYTES);
        let end = ((chunk.1 + 1) * limits::CHUNK_BYTES).min(shape.plain_length(place.volume));
        let known = || self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if !known().contains(&chunk) {
            let file = volumes.file(place.volume)?;
            self.hash(chunk, &file, &mut |_| {})?;
            known().insert(chunk);
        }
        Ok(at - place.offset + end)
    }
}

/// A run of the payload of plain volumes, no chunk begun before it is proven.
struct Plain {
    proven: Arc<Proven>,
    at: u64,
    end: u64,
    inner: Option<Reader>,
}

impl Pieces for Plain {
    fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(inner) = &mut self.inner
                && let Some(piece) = inner.next()?
            {
                return Ok(Some(piece));
            }
            if self.at >= self.end {
                return Ok(None);
            }
            let until = self.proven.prove(self.at)?.min(self.end);
            self.inner = Some(self.proven.ahead.payload(self.at, until));
            self.at = until;
        }
    }
}

/// A part of a blob, every byte as signed.
pub struct Part {
    proven: Arc<Proven>,
    at: u64,
    end: u64,
    file: Option<(usize, (File, PathBuf))>,
    ready: Bytes,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("at", &self.at).field("end", &self.end).finish_non_exhaustive()
    }
}

impl Part {
    fn fill(&mut self) -> Result<(), Error> {
        let proven = Arc::clone(&self.proven);
        let volumes = proven.volumes();
        let Some(stretch) = volumes.stretches_of(UNITS, (self.at, self.end)).next() else { return Ok(()) };
        let open = match self.file.take() {
            Some(open) if open.0 == stretch.volume => open,
            _ => (stretch.volume, volumes.file(stretch.volume)?),
        };
        let raw = self.proven.read(stretch.volume, (stretch.from, stretch.to), &open.1)?;
        self.ready = volumes.open_stretch(&stretch, &open.1.0, &raw)?;
        self.file = Some(open);
        self.at += stretch.plain;
        Ok(())
    }
}

impl Pieces for Part {
    fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ready.is_empty() && self.at < self.end {
            self.fill()?;
        }
        let piece = self.ready.split_to(self.ready.len().min(PLAIN));
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}
