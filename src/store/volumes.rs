//! The volumes of a bundle as a place blobs are read from, straight from the medium.
//!
//! Opens files read-only and reads by position: nothing is joined, unpacked or copied. Any byte of any blob is reached by
//! arithmetic (`bundle::geometry`). Bytes that do not open under the volume's key never leave this module; they are reported as
//! volume, chunk and byte range.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use super::{Error, Pieces, Source};
use crate::buffers::{Buffer, Pool};
use crate::bundle::geometry::Geometry;
use crate::bundle::index::{Index, IndexError};
use crate::bundle::seal::{HEADER, PLAIN, ReleaseKey, SEALED, SealError, VolumeKey};
use crate::digest::{Blob, Digest, Hasher};
use crate::limits;
use crate::path::EntryPath;
use crate::release::lock::Seal;
use crate::sys::{delivered, fs};

/// Volumes whose headers are tried before a key is held to be another bundle's; some may be damaged or lost.
const LOOKED_AT: usize = 4;
/// Units read from the medium at once.
const UNITS: usize = 8;

/// Bytes of a blob up to which the unit it lies in is kept for the blobs beside it, which lie in the same one.
const NEIGHBOURS: u64 = 16 << 10;
/// Units kept: one for each of a few readers.
const KEPT: usize = 4;

/// Stretches as they are on the medium, and opened.
static STRETCHES: Pool = Pool::new(HEADER + UNITS * SEALED, 64);

/// The payload of one bundle, readable at any byte.
pub struct Volumes {
    folders: Vec<PathBuf>,
    names: Vec<EntryPath>,
    /// Which volumes were there when the work began: what is not there later tells of the medium, not of the copy.
    there: Vec<bool>,
    chunks: Vec<Vec<Digest>>,
    shape: Geometry,
    key: Option<ReleaseKey>,
    opened: Vec<OnceLock<VolumeKey>>,
    offsets: HashMap<Digest, Extent>,
    /// Units opened lately for small blobs: volume, number, plaintext.
    kept: Mutex<VecDeque<(usize, u64, Bytes)>>,
}

#[derive(Clone, Copy)]
struct Extent {
    offset: u64,
    size: u64,
}

impl std::fmt::Debug for Volumes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volumes")
            .field("folders", &self.folders)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl Volumes {
    /// The volumes `index` lists, each in whichever of `folders` holds it. Sealed ones need `key`.
    pub fn new(folders: Vec<PathBuf>, index: &Index, key: Option<ReleaseKey>) -> Result<Self, IndexError> {
        let lies = |name: &EntryPath| folders.iter().any(|f| name.under(f).symlink_metadata().is_ok());
        Ok(Self {
            there: index.volumes.iter().map(|v| lies(&v.name)).collect(),
            folders,
            names: index.volumes.iter().map(|v| v.name.clone()).collect(),
            chunks: index.volumes.iter().map(|v| v.chunks.clone()).collect(),
            shape: index.geometry()?,
            key,
            opened: index.volumes.iter().map(|_| OnceLock::new()).collect(),
            kept: Mutex::default(),
            offsets: index
                .blobs
                .iter()
                .map(|b| (b.digest, Extent { offset: b.offset, size: b.size }))
                .collect(),
        })
    }

    /// The size of a blob that the index lists.
    #[must_use]
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        self.offsets.get(digest).map(|extent| extent.size)
    }

    /// The volumes that a blob lies in, for messages.
    #[must_use]
    pub fn whereabouts(&self, digest: &Digest) -> String {
        let Some(extent) = self.offsets.get(digest) else { return "the bundle".to_owned() };
        let first = self.shape.place(extent.offset).volume;
        let last = self.shape.place((extent.offset + extent.size).saturating_sub(1)).volume.max(first);
        match last - first {
            0 => self.name(first).to_owned(),
            _ => format!("{} to {}", self.name(first), self.name(last)),
        }
    }

    /// The shape of the volumes.
    #[must_use]
    pub fn shape(&self) -> &Geometry {
        &self.shape
    }

    /// The payload from byte `from` up to, not including, byte `to`.
    #[must_use]
    pub fn payload(&self, from: u64, to: u64) -> PayloadReader<'_> {
        let end = to.min(self.shape.payload());
        PayloadReader { volumes: self, at: from.min(end), end, file: None }
    }

    /// The payload from `at` to `end`, or to the end of the unit that `at` is in, from a unit that is kept or is kept from now on.
    fn neighbourly(&self, at: u64, end: u64) -> Result<Bytes, Error> {
        let place = self.shape.place(at);
        let (unit, skip) = (place.offset / PLAIN as u64, place.offset % PLAIN as u64);
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept().iter().find(|(v, u, _)| (*v, *u) == (place.volume, unit)).map(|(.., b)| b.clone());
        let bytes = match found {
            Some(bytes) => bytes,
            None => {
                let from = at - skip;
                let whole = self.shape.unit_plain(place.volume, unit) as u64;
                let bytes =
                    PayloadReader { volumes: self, at: from, end: from + whole, file: None }.read()?;
                let mut kept = kept();
                kept.truncate(KEPT - 1);
                kept.push_front((place.volume, unit, bytes.clone()));
                bytes
            }
        };
        let skip = crate::checked::small(skip);
        Ok(bytes.slice(skip..bytes.len().min(skip + crate::checked::small(end - at))))
    }

    /// Opens the file of `volume` for reading and says where it lies.
    pub fn file(&self, volume: usize) -> Result<(File, PathBuf), Error> {
        let name = self.names.get(volume).ok_or_else(|| Error::Malformed {
            path: PathBuf::new(),
            why: format!("the index lists no volume {volume}"),
        })?;
        open_volume(&self.folders, name).map_err(|error| match error {
            Error::Io { path, source } => self.io_fault(volume, path, source),
            error => error,
        })
    }

    /// Tells a volume that never came from a medium that was taken away.
    fn io_fault(&self, volume: usize, path: PathBuf, source: std::io::Error) -> Error {
        use rustix::io::Errno;
        let absent = source.kind() == std::io::ErrorKind::NotFound;
        let pulled = [Errno::NODEV, Errno::STALE, Errno::NOTCONN]
            .iter()
            .any(|errno| source.raw_os_error() == Some(errno.raw_os_error()));
        match self.there.get(volume) {
            Some(true) if absent || pulled => Error::Gone { path, source },
            _ if absent => Error::NoVolume { volume: self.name(volume).to_owned() },
            _ => Error::Io { path, source },
        }
    }

    /// The name of `volume`.
    #[must_use]
    pub fn name(&self, volume: usize) -> &str {
        self.names.get(volume).map_or("", EntryPath::as_str)
    }

    fn volume_key(&self, volume: usize, file: &File, path: &Path) -> Result<&VolumeKey, Error> {
        let slot = &self.opened[volume];
        if let Some(key) = slot.get() {
            return Ok(key);
        }
        let release =
            self.key.as_ref().ok_or_else(|| Error::Sealed { volume: self.name(volume).to_owned() })?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)
            .map_err(|e| self.read_fault(volume, path, (0, HEADER as u64), e))?;
        let key = release.open_header(&header).map_err(|fault| match fault {
            // A header with one bit flipped looks like one for another key: the chunk's hash tells them apart.
            SealError::NotForThisKey if self.chunk_holds(volume, 0, file) => {
                Error::WrongKey { volume: self.name(volume).to_owned() }
            }
            _ => self.damaged(volume, 0, HEADER as u64),
        })?;
        Ok(slot.get_or_init(|| key))
    }

    /// Whether chunk `chunk` of `volume` is the one that was signed. Asked only when something is wrong.
    fn chunk_holds(&self, volume: usize, chunk: u64, file: &File) -> bool {
        let from = chunk * limits::CHUNK_BYTES;
        let length = self.shape.file_length(volume).saturating_sub(from).min(limits::CHUNK_BYTES);
        let mut hasher = Hasher::new();
        let mut piece = vec![0; SEALED];
        while hasher.length() < length {
            let wanted = crate::checked::small(length - hasher.length()).min(piece.len());
            match file.read_at(&mut piece[..wanted], from + hasher.length()) {
                Ok(read) if read > 0 => hasher.update(&piece[..read]),
                _ => return false,
            }
        }
        self.signed_chunk(volume, chunk) == Some(hasher.finish())
    }

    /// A unit that does not open; in the second of its chunks when the first is as signed.
    fn damaged_unit(&self, volume: usize, (from, to): (u64, u64), file: &File) -> Error {
        let (first, last) = (from / limits::CHUNK_BYTES, to.saturating_sub(1) / limits::CHUNK_BYTES);
        let from = if first != last && self.chunk_holds(volume, first, file) {
            last * limits::CHUNK_BYTES
        } else {
            from
        };
        self.damaged(volume, from, to)
    }

    /// Where the payload holds `blob`, from its byte `offset` to its end.
    pub(super) fn extent(&self, blob: &Blob, offset: u64) -> Result<(u64, u64), Error> {
        self.offsets
            .get(&blob.digest)
            .filter(|place| place.size == blob.size && offset <= blob.size)
            .map(|place| (place.offset + offset, place.offset + place.size))
            .ok_or_else(|| Error::Missing { place: "the bundle".into(), digest: blob.digest })
    }

    /// The signed hash of a chunk.
    pub(super) fn signed_chunk(&self, volume: usize, chunk: u64) -> Option<Digest> {
        self.chunks.get(volume)?.get(crate::checked::small(chunk)).copied()
    }

    pub(super) fn damaged(&self, volume: usize, from: u64, to: u64) -> Error {
        Error::Damaged { volume: self.name(volume).to_owned(), chunk: from / limits::CHUNK_BYTES, from, to }
    }

    /// What it means that bytes `range` of `volume` could not be read: a medium that is gone, a file that ends too early, or damage.
    pub fn read_fault(&self, volume: usize, path: &Path, range: (u64, u64), source: std::io::Error) -> Error {
        if source.kind() == std::io::ErrorKind::UnexpectedEof {
            return Error::Truncated {
                volume: self.name(volume).to_owned(),
                wanted: self.shape.file_length(volume),
                got: std::fs::metadata(path).map_or(0, |m| m.len()),
            };
        }
        // An unreadable sector is damage with an address, like a flipped bit; but then the file is still there.
        match source.raw_os_error() {
            Some(5) => match self.file(volume) {
                Err(gone @ Error::Gone { .. }) => gone,
                Err(Error::Io { path, source }) => Error::Gone { path, source },
                _ => self.damaged(volume, range.0, range.1),
            },
            _ => self.io_fault(volume, path.to_owned(), source),
        }
    }
}

/// A run of whole units of one volume: where it is in the file and in the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Which volume.
    pub volume: usize,
    /// First byte of the file; 0, and so with the header, where the volume begins.
    pub from: u64,
    /// One past the last.
    pub to: u64,
    /// First byte of payload that is asked for.
    pub payload: u64,
    /// Bytes of payload that are asked for.
    pub plain: u64,
    unit: u64,
    units: u64,
    skip: usize,
}

impl Volumes {
    /// The stretches that hold payload bytes `from..to`, in order, each of a few units.
    pub fn stretches(&self, from: u64, to: u64) -> impl Iterator<Item = Stretch> + '_ {
        self.stretches_of(UNITS as u64, (from, to))
    }

    /// The same, each of at most `most` (> 0) units.
    pub(super) fn stretches_of(
        &self,
        most: u64,
        (from, to): (u64, u64),
    ) -> impl Iterator<Item = Stretch> + '_ {
        let shape = &self.shape;
        let end = to.min(shape.payload());
        let mut at = from;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let place = shape.place(at);
            let unit = place.offset / PLAIN as u64;
            let skip = place.offset % PLAIN as u64;
            let all = shape.units(place.volume);
            let units = (skip + (end - at)).div_ceil(PLAIN as u64).min(most).min(all - unit);
            let held: u64 = (unit..unit + units).map(|u| shape.unit_plain(place.volume, u) as u64).sum();
            let plain = (held - skip).min(end - at);
            let payload = at;
            at += plain;
            let first = if unit == 0 { 0 } else { shape.unit_offset(unit) };
            let last = shape.unit_offset(unit + units).min(shape.file_length(place.volume));
            let skip = crate::checked::small(skip);
            Some(Stretch { volume: place.volume, from: first, to: last, payload, plain, unit, units, skip })
        })
    }

    /// Reads and opens `stretch`. What cannot be had from this file is looked for in the copies that other folders have, unit by unit.
    pub(super) fn opened(&self, stretch: &Stretch, file: &File, path: &Path) -> Result<Bytes, Error> {
        let from = |stretch: &Stretch, file: &File, path: &Path| {
            let raw = self.read_stretch(stretch, file, path)?;
            self.open_stretch(stretch, file, &raw)
        };
        let opened = from(stretch, file, path);
        if opened.is_ok() || self.folders.len() == 1 {
            return opened;
        }
        let name = &self.names[stretch.volume];
        let others = self.folders.iter().filter(|folder| name.under(folder) != path);
        let copies: Vec<_> =
            others.filter_map(|folder| open_volume(std::slice::from_ref(folder), name).ok()).collect();
        let mut whole = Vec::with_capacity(crate::checked::small(stretch.plain));
        for unit in self.stretches_of(1, (stretch.payload, stretch.payload + stretch.plain)) {
            let opened = from(&unit, file, path).or_else(|fault| {
                copies.iter().find_map(|(file, path)| from(&unit, file, path).ok()).ok_or(fault)
            });
            whole.extend_from_slice(&opened?);
        }
        Ok(whole.into())
    }

    /// Reads the bytes of `stretch` as they are in the file.
    pub fn read_stretch(&self, stretch: &Stretch, file: &File, path: &Path) -> Result<Buffer, Error> {
        let mut raw = stretch.room();
        file.read_exact_at(&mut raw, stretch.from)
            .map_err(|e| self.read_fault(stretch.volume, path, (stretch.from, stretch.to), e))?;
        Ok(raw)
    }

    /// Opens the bytes of `stretch` as they were read; gives the payload that was asked for.
    pub fn open_stretch(&self, stretch: &Stretch, file: &File, raw: &[u8]) -> Result<Bytes, Error> {
        let shape = &self.shape;
        let key = match shape.seal() {
            Seal::Age => Some(self.volume_key(stretch.volume, file, Path::new(self.name(stretch.volume)))?),
            Seal::None => None,
        };
        let last = shape.units(stretch.volume).saturating_sub(1);
        let mut at = crate::checked::small(shape.unit_offset(stretch.unit) - stretch.from);
        let mut opened = STRETCHES.take(crate::checked::small(stretch.units) * PLAIN);
        let mut done = 0;
        for number in stretch.unit..stretch.unit + stretch.units {
            let plain = shape.unit_plain(stretch.volume, number);
            let end = at + shape.unit_length(plain);
            let (from, to) = (stretch.from + at as u64, stretch.from + end as u64);
            let unit = raw.get(at..end).ok_or_else(|| self.damaged(stretch.volume, from, to))?;
            let room = &mut opened[done..done + plain];
            match key {
                Some(key) => key
                    .open_into(number, number == last, (unit, room))
                    .map_err(|_| self.damaged_unit(stretch.volume, (from, to), file))?,
                None => room.copy_from_slice(unit),
            }
            at = end;
            done += plain;
        }
        Ok(opened.freeze(stretch.skip..stretch.skip + crate::checked::small(stretch.plain)))
    }
}

impl Stretch {
    /// Room for its bytes as they are on the medium.
    #[must_use]
    pub fn room(&self) -> Buffer {
        STRETCHES.take(crate::checked::small(self.to - self.from))
    }
}

/// Whether `key` opens the first volume of `index` that can be looked at, of the few that are looked at.
///
/// Tells a grant for this bundle from one that holds another identity; says nothing of the volumes' bytes.
#[must_use]
pub fn fits(key: &ReleaseKey, folders: &[PathBuf], index: &Index) -> bool {
    index.volumes.iter().take(LOOKED_AT).any(|volume| {
        let mut header = [0; HEADER];
        open_volume(folders, &volume.name).is_ok_and(|(file, _)| {
            file.read_exact_at(&mut header, 0).is_ok() && key.open_header(&header).is_ok()
        })
    })
}

/// Whether `key` is another bundle's: a volume that is as it was signed, of the few that are looked at, is not sealed for it.
#[must_use]
pub fn foreign(key: ReleaseKey, folders: &[PathBuf], index: &Index) -> bool {
    let Ok(volumes) = Volumes::new(folders.to_vec(), index, Some(key)) else { return false };
    (0..index.volumes.len().min(LOOKED_AT)).any(|volume| {
        let opened = volumes.file(volume).map(|(file, path)| volumes.volume_key(volume, &file, &path).err());
        matches!(opened, Ok(Some(Error::WrongKey { .. })))
    })
}

/// Opens the volume `name` in the first of `folders` that holds it.
pub fn open_volume(folders: &[PathBuf], name: &EntryPath) -> Result<(File, PathBuf), Error> {
    let mut missing = None;
    for folder in folders {
        match delivered::open(folder, name) {
            Ok(file) => return Ok((file, name.under(folder))),
            Err(fs::Error::Io { path, source }) if source.kind() == std::io::ErrorKind::NotFound => {
                missing.get_or_insert(Error::Io { path, source });
            }
            Err(fs::Error::Io { path, source }) => return Err(Error::Io { path, source }),
            // The door has one more answer.
            Err(_) => {
                let why = "it is not an ordinary file".to_owned();
                return Err(Error::Malformed { path: name.under(folder), why });
            }
        }
    }
    Err(missing
        .unwrap_or_else(|| Error::Malformed { path: PathBuf::new(), why: "no folder was given".into() }))
}

impl Source for Volumes {
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, Error> {
        let (from, to) = self.extent(blob, offset)?;
        Ok(Box::new(self.payload(from, to)))
    }
}

/// Reads a stretch of the payload in order.
#[derive(Debug)]
pub struct PayloadReader<'a> {
    volumes: &'a Volumes,
    at: u64,
    end: u64,
    file: Option<(usize, File, PathBuf)>,
}

impl PayloadReader<'_> {
    /// The next stretch; none of it at the end.
    fn read(&mut self) -> Result<Bytes, Error> {
        let Some(stretch) = self.volumes.stretches(self.at, self.end).next() else { return Ok(Bytes::new()) };
        let open = match self.file.take() {
            Some(open) if open.0 == stretch.volume => open,
            _ => {
                let (file, path) = self.volumes.file(stretch.volume)?;
                (stretch.volume, file, path)
            }
        };
        let piece = self.volumes.opened(&stretch, &open.1, &open.2)?;
        self.file = Some(open);
        self.at += stretch.plain;
        Ok(piece)
    }
}

impl Pieces for PayloadReader<'_> {
    fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.at < self.end && self.end - self.at <= NEIGHBOURS {
            let piece = self.volumes.neighbourly(self.at, self.end)?;
            self.at += piece.len() as u64;
            return Ok(Some(piece));
        }
        Ok(Some(self.read()?).filter(|piece| !piece.is_empty()))
    }
}
