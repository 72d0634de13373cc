//! Fills the planned payload into volumes, from the first byte or from where a killed run came to.

use std::sync::{Arc, Mutex};

use super::journal::Work;
use super::{Error, Plan};
use crate::bundle::tar;
use crate::digest::{Blob, Digest, Hasher};
use crate::oci::Manifest;
use crate::ops::transfer::{self, Ahead, Checked, Part};
use crate::plan::payload::{Origin, PlannedBlob, blob_name};
use crate::progress::{Event, ItemState, Observer};
use crate::release::lock::{Graph, LockedManifest};
use crate::sources::Images;
use crate::store::resume::{self, Partial};
use crate::store::writer::{Setup, VolumeWriter};
use crate::store::{self, Pieces, Source};

/// Blobs read at the same time.
const AHEAD: usize = 4;
/// Bytes of blobs read before their turn: hides the waits between small ones, and is little to read again after a kill.
const AHEAD_BYTES: u64 = 2 << 20;

/// One filling of one plan.
pub(super) struct Filling<'a> {
    pub(super) plan: &'a Plan,
    pub(super) work: &'a Arc<Work>,
    /// Everything in the payload.
    pub(super) graphs: &'a [Graph<'a>],
    /// Who has its bytes, by the number that a graph names.
    pub(super) sources: &'a [Arc<dyn Images>],
    pub(super) observer: &'a Arc<dyn Observer>,
}

/// Where to go on.
struct Position {
    /// The volume that is written next.
    volume: usize,
    /// What is left of it.
    partial: Option<Partial>,
    /// Payload bytes that are done.
    at: u64,
    /// The hash of the blob that byte `at` is in, up to there.
    hasher: Option<Hasher>,
}

impl Filling<'_> {
    /// Payload bytes that need not be read again.
    pub(super) fn resumed_bytes(&self) -> Result<u64, Error> {
        Ok(self.position()?.at)
    }

    /// Fills until done. What came wrong, or cannot be gone on with, is begun again at the volume it touched.
    pub(super) fn run(&self, attempts: u32) -> Result<(), Error> {
        let mut attempt = 1;
        loop {
            let position = self.position()?;
            let from = position.volume;
            let Err(error) = self.attempt(position) else { return Ok(()) };
            let back_to = match &error {
                Error::Store(store::Error::Wrong { wanted, .. }) => {
                    self.volume_of(&wanted.digest).unwrap_or(from)
                }
                Error::Store(store::Error::Resealed { .. }) => from,
                _ => return Err(error),
            };
            self.begin_again(back_to)?;
            if attempt >= attempts {
                return Err(error);
            }
            attempt += 1;
            let (what, why) = (format!("volume {}", back_to + 1), error.to_string());
            self.observer.event(Event::Retry { what: &what, why: &why, attempt, wait_ms: 0 });
        }
    }

    fn volume_of(&self, digest: &Digest) -> Option<usize> {
        let blob = self.plan.payload.blobs.iter().find(|blob| blob.blob.digest == *digest)?;
        Some(self.plan.shape.place(blob.offset).volume)
    }

    /// Reads what is on disk. A blob that proves wrong there sends the position back to where it began.
    fn position(&self) -> Result<Position, Error> {
        let shape = &self.plan.shape;
        loop {
            let known = self.work.known();
            let volume = known.whole();
            let stands = |n: &usize| match known.synced.contains_key(n) {
                true => self.is_there(&known.written[n]),
                false => self.holds(*n, &known.written[n]),
            };
            let unsure = (0..volume).find(|n| !stands(n));
            if let Some(unsure) = unsure {
                self.begin_again(unsure)?;
                continue;
            }
            let start = volume as u64 * shape.volume_bytes();
            if volume == shape.volumes() {
                return Ok(Position { volume, partial: None, at: shape.payload(), hasher: None });
            }
            let mut follow = Follow::new(&self.plan.payload.blobs, start, known.starts.get(&volume));
            if let Some(origin) = follow.lost {
                self.begin_again(shape.place(origin).volume)?;
                continue;
            }
            let path = self.plan.volume_names()?[volume].under(self.work.folder());
            let key = self.work.key().map(Arc::as_ref);
            let partial = resume::scan(&path, shape, volume, key, &mut |bytes| follow.feed(bytes))?;
            if let Some(origin) = follow.wrong {
                self.begin_again(shape.place(origin).volume)?;
                continue;
            }
            let at = start + partial.as_ref().map_or(0, |p| p.plain);
            return Ok(Position { volume, partial, at, hasher: follow.in_progress() });
        }
    }

    /// Forgets volumes `from` and later and takes their files away, so that they get fresh file keys: what was sealed once under a key
    /// is never sealed differently under it.
    fn begin_again(&self, from: usize) -> Result<(), Error> {
        self.work.again(from)?;
        for name in self.plan.volume_names()?.iter().skip(from) {
            let path = name.under(self.work.folder());
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(crate::sys::fs::Error::Io { path, source }.into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a volume that reached the medium is there still, and whole by its length.
    fn is_there(&self, volume: &crate::bundle::index::Volume) -> bool {
        let facts = volume.name.under(self.work.folder()).symlink_metadata();
        facts.is_ok_and(|facts| facts.is_file() && facts.len() == volume.bytes)
    }

    /// Whether a volume that may not have reached the medium before the power went is there after all.
    fn holds(&self, number: usize, volume: &crate::bundle::index::Volume) -> bool {
        let path = volume.name.under(self.work.folder());
        let Ok(mut file) = std::fs::File::open(path) else { return false };
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match std::io::Read::read(&mut file, &mut buffer) {
                Ok(0) => break,
                Ok(read) => hasher.update(&buffer[..read]),
                Err(_) => return false,
            }
        }
        let held = hasher.finish() == volume.sha256;
        held && self.work.milestone(store::writer::Milestone::Synced(number)).is_ok()
    }

    fn attempt(&self, position: Position) -> Result<(), Error> {
        let (plan, blobs) = (self.plan, &self.plan.payload.blobs);
        let work = self.work;
        if position.volume >= plan.shape.volumes() {
            return Ok(());
        }
        let first = blobs.partition_point(|b| b.offset + b.blob.size <= position.at);
        let resumed = position.hasher;
        let read = |item: usize, out: &mut dyn FnMut(Part) -> Result<(), store::Error>| {
            let hasher = resumed.clone().filter(|_| item == first).unwrap_or_default();
            self.read(&blobs[item], hasher, out)
        };
        let failed = Arc::new(Mutex::new(None));
        let writer = VolumeWriter::begin(Setup {
            folder: work.folder(),
            shape: plan.shape,
            names: plan.volume_names()?,
            key: work.key().cloned(),
            first: position.volume,
            partial: position.partial,
            sealers: crate::sys::cores(),
            tell: tell(work, &failed),
        })?;
        let mut feed = Feed { writer, work, shape: plan.shape, at: position.at, hash: None };
        let outcome = self.feed_all(&mut feed, first, &read).and_then(|()| Ok(feed.writer.finish()?));
        let told = failed.lock().ok().and_then(|mut failed| failed.take());
        told.map_or(outcome, Err)
    }

    fn feed_all(&self, feed: &mut Feed<'_>, first: usize, read: &transfer::Read<'_>) -> Result<(), Error> {
        let payload = &self.plan.payload;
        let mut at = 0;
        for (name, bytes) in &payload.literals {
            at = feed.entry_head(at, name, bytes.len() as u64)?;
            feed.at_offset(at, bytes)?;
            at = feed.entry_tail(at, bytes.len() as u64)?;
        }
        let blobs = &payload.blobs;
        if let Some(before) = first.checked_sub(1).and_then(|n| blobs.get(n)) {
            feed.entry_tail(before.offset, before.blob.size)?;
        }
        let mut begun = None;
        let mut fault = None;
        let ahead = Ahead { items: AHEAD, bytes: AHEAD_BYTES, size: &|item| blobs[item].blob.size };
        let outcome = transfer::in_order(first..blobs.len(), &ahead, read, &mut |item, part| {
            let step = || -> Result<(), Error> {
                let PlannedBlob { blob, offset, .. } = &blobs[item];
                if begun != Some(item) {
                    begun = Some(item);
                    let head = offset - tar::header_length(blob.size);
                    feed.entry_head(head, &blob_name(&blob.digest), blob.size)?;
                }
                match part {
                    Some(Part::Bytes(bytes)) => feed.bytes(&bytes),
                    Some(Part::Hash(hash)) => {
                        feed.hash = Some(hash);
                        Ok(())
                    }
                    None => {
                        let name = blob.digest.short();
                        self.observer.event(Event::Item {
                            name: &name,
                            digest: Some(&blob.digest),
                            bytes: blob.size,
                            state: ItemState::Done,
                        });
                        feed.entry_tail(*offset, blob.size).map(|_| ())
                    }
                }
            };
            step().map_err(|error| match error {
                Error::Store(error) => error,
                other => {
                    fault = Some(other);
                    store::Error::Interrupted
                }
            })
        });
        match fault {
            Some(fault) => return Err(fault),
            None => outcome?,
        }
        let end = payload.bytes - tar::END;
        feed.at_offset(end, &vec![0; crate::checked::small(tar::END)])
    }

    /// Reads one blob from `hasher.length()` on.
    fn read(
        &self,
        planned: &PlannedBlob,
        hasher: Hasher,
        out: &mut dyn FnMut(Part) -> Result<(), store::Error>,
    ) -> Result<(), store::Error> {
        let graph = &self.graphs[planned.from.graph()];
        let inline = match planned.from {
            Origin::Source(_) => None,
            Origin::Inline { manifest, .. } => graph.manifests()[manifest].inline.as_deref(),
        };
        let place = graph.of.to_string();
        let blob = &planned.blob;
        let whole;
        let (source, observer): (&dyn Source, &dyn Observer) = if planned.manifest {
            let bytes = match inline {
                Some(text) => text.as_bytes().to_vec(),
                None => self.sources[graph.source].manifest(blob).map_err(|e| e.into_store(&place))?.bytes,
            };
            whole = Text(prove_manifest(graph, blob, bytes, &place)?);
            (&whole, self.observer.as_ref())
        } else if let Some(read) = self.plan.configurations.get(&blob.digest) {
            whole = Text(read.clone());
            (&whole, self.observer.as_ref())
        } else {
            (&*self.sources[graph.source], self.observer.as_ref())
        };
        let checked = Checked::new(source, &place, observer);
        let cuts = self.cuts_in(planned, hasher.length());
        let mut pieces = checked.go_on(blob, hasher)?;
        pieces.mark(cuts);
        loop {
            let at = pieces.position();
            let Some(piece) = pieces.next()? else { return Ok(()) };
            if let Some(hash) = pieces.hash_here(at) {
                out(Part::Hash(hash))?;
            }
            out(Part::Bytes(piece))?;
        }
    }

    /// The places inside a blob, past `from`, at which a volume begins.
    fn cuts_in(&self, planned: &PlannedBlob, from: u64) -> Vec<u64> {
        let volume = self.plan.shape.volume_bytes();
        let first = (planned.offset / volume + 1) * volume;
        (0..)
            .map_while(|n| first.checked_add(n * volume))
            .take_while(|cut| *cut < planned.offset + planned.blob.size)
            .map(|cut| cut - planned.offset)
            .filter(|cut| *cut > from)
            .collect()
    }
}

/// The lock is a file that people edit: what it says of a manifest must be what the manifest says.
fn prove_manifest(
    graph: &Graph<'_>,
    blob: &Blob,
    bytes: Vec<u8>,
    place: &str,
) -> Result<Vec<u8>, store::Error> {
    let got = Blob { digest: Digest::of(&bytes), size: bytes.len() as u64 };
    if got != *blob {
        return Err(store::Error::Wrong { place: place.to_owned(), wanted: *blob, got });
    }
    let locked = graph.manifests().iter().find(|m| m.digest == blob.digest);
    let agrees = locked.is_some_and(|locked| {
        Manifest::parse(&bytes, Some(&locked.media_type)).is_ok_and(|(manifest, _)| agree(locked, &manifest))
    });
    if agrees {
        Ok(bytes)
    } else {
        Err(store::Error::Disagrees { place: place.to_owned(), digest: blob.digest })
    }
}

fn agree(locked: &LockedManifest, manifest: &Manifest) -> bool {
    let digests = manifest.pointers().map(|p| (p.digest, p.size));
    if matches!(manifest, Manifest::Index { .. }) {
        return locked.children.iter().copied().eq(digests.map(|(digest, _)| digest));
    }
    locked.config.iter().chain(&locked.layers).map(|b| (b.digest, b.size)).eq(digests)
}

/// Writes milestones into the journal; why that failed is kept, for the writer only learns that it must stop.
fn tell(work: &Arc<Work>, failed: &Arc<Mutex<Option<Error>>>) -> Arc<store::writer::Tell> {
    let (work, failed) = (Arc::clone(work), Arc::clone(failed));
    Arc::new(move |milestone| {
        work.milestone(milestone).map_err(|error| {
            if let Ok(mut slot) = failed.lock() {
                slot.get_or_insert(error);
            }
            store::Error::Interrupted
        })
    })
}

/// A manifest or configuration, whole.
struct Text(Vec<u8>);

impl Source for Text {
    fn open<'a>(&'a self, _: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        let from = usize::try_from(offset).map_or(self.0.len(), |at| at.min(self.0.len()));
        let rest = bytes::Bytes::copy_from_slice(&self.0[from..]);
        Ok(Box::new(Once(Some(rest).filter(|rest| !rest.is_empty()))))
    }
}

struct Once(Option<bytes::Bytes>);

impl Pieces for Once {
    fn next(&mut self) -> Result<Option<bytes::Bytes>, store::Error> {
        Ok(self.0.take())
    }
}

/// The payload's bytes on their way to the writer; passes over what is done and notes each volume's start.
struct Feed<'a> {
    writer: VolumeWriter,
    work: &'a Work,
    shape: crate::bundle::Geometry,
    at: u64,
    hash: Option<Hasher>,
}

impl Feed<'_> {
    /// The header of an entry that begins at `at`; gives where its data begins.
    fn entry_head(&mut self, at: u64, name: &str, size: u64) -> Result<u64, Error> {
        let data = at + tar::header_length(size);
        if data > self.at {
            self.at_offset(at, &tar::header(name, size))?;
        }
        Ok(data)
    }

    /// The padding of an entry whose data begins at `data`; gives where the next entry begins.
    fn entry_tail(&mut self, data: u64, size: u64) -> Result<u64, Error> {
        let zeros = tar::padding(size);
        self.at_offset(data + size, &[0; 512][..crate::checked::small(zeros)])?;
        Ok(data + size + zeros)
    }

    /// Bytes whose place in the payload is known; those that are done are passed over.
    fn at_offset(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        if offset > self.at {
            let why = format!("payload byte {offset} came where byte {} is due", self.at);
            return Err(Error::Journal { path: self.work.folder().to_owned(), why });
        }
        let done = crate::checked::small(self.at - offset).min(bytes.len());
        self.bytes(&bytes[done..])
    }

    fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let volume = self.shape.volume_bytes();
            if self.at > 0 && self.at.is_multiple_of(volume) {
                self.work.start(self.shape.place(self.at).volume, self.hash.take())?;
            }
            let room = volume - self.at % volume;
            let (now, rest) = bytes.split_at(crate::checked::small(room).min(bytes.len()));
            self.writer.write(now)?;
            self.at += now.len() as u64;
            bytes = rest;
        }
        Ok(())
    }
}

/// Follows payload bytes read back from disk: hashes the blob in progress and proves those that end.
struct Follow<'a> {
    blobs: &'a [PlannedBlob],
    next: usize,
    at: u64,
    hasher: Hasher,
    /// Payload offset of a blob whose bytes proved wrong.
    wrong: Option<u64>,
    /// Payload offset of a blob that began in an earlier volume and whose hash there is not known.
    lost: Option<u64>,
}

impl<'a> Follow<'a> {
    fn new(blobs: &'a [PlannedBlob], at: u64, before: Option<&Hasher>) -> Self {
        let next = blobs.partition_point(|b| b.offset + b.blob.size <= at);
        let mut follow = Self { blobs, next, at, hasher: Hasher::new(), wrong: None, lost: None };
        if let Some(blob) = blobs.get(next).filter(|b| b.offset < at) {
            match before.filter(|hasher| hasher.length() == at - blob.offset) {
                Some(hasher) => follow.hasher = hasher.clone(),
                None => follow.lost = Some(blob.offset),
            }
        }
        follow
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty()
            && self.wrong.is_none()
            && let Some(blob) = self.blobs.get(self.next)
        {
            let end = blob.offset + blob.blob.size;
            let (before, inside) = (blob.offset.saturating_sub(self.at), end - self.at.min(end));
            if before > 0 {
                let skip = crate::checked::small(before).min(bytes.len());
                self.at += skip as u64;
                bytes = &bytes[skip..];
                continue;
            }
            let take = crate::checked::small(inside).min(bytes.len());
            self.hasher.update(&bytes[..take]);
            self.at += take as u64;
            bytes = &bytes[take..];
            if self.at == end {
                if std::mem::take(&mut self.hasher).finish_blob() != blob.blob {
                    self.wrong = Some(blob.offset);
                }
                self.next += 1;
            }
        }
        self.at += bytes.len() as u64;
    }

    /// The hash of the blob that the last byte was in, when it is not over.
    fn in_progress(self) -> Option<Hasher> {
        Some(self.hasher).filter(|hasher| hasher.length() > 0)
    }
}
