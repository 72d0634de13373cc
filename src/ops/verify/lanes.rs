//! Every byte of every volume, opened: chunk hashes, blob digests, the tar between the blobs, and the graph of the images.
//!
//! The payload is divided into lanes at blob boundaries. Each lane reads its part of the volumes once, in order; one thread reads and
//! opens, one hashes chunks, one hashes blobs. A chunk belongs to the lane its first byte is in; that lane reads it to its end.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;

use crate::bundle::index::{Index, IndexBlob};
use crate::bundle::tar;
use crate::checked::small;
use crate::digest::{Digest, Hasher};
use crate::limits::{self, CHUNK_BYTES};
use crate::oci::manifest::ManifestError;
use crate::oci::{Manifest, media};
use crate::ops::finding::{Finding, What};
use crate::ops::verify::between::{self, TarCheck};
use crate::ops::verify::{folder, graph, signatures};
use crate::plan::load::Known;
use crate::progress::{Event, Observer};
use crate::store;
use crate::store::volumes::{Stretch, Volumes};

/// Lanes at most: each holds about 10 MiB.
const LANES: usize = 4;
/// Stretches that wait for a hasher: enough that a core which hands one on finds the next, and need not sleep in between.
const WAITING: usize = 8;

/// What was seen of the content.
#[derive(Default)]
pub(super) struct Content {
    pub(super) bytes: u64,
    pub(super) blobs: usize,
    pub(super) findings: Vec<Finding>,
    /// Whether the graph of images was walked.
    pub(super) graphs: bool,
}

/// Checks everything in one reading.
pub(super) fn check(index: &Index, volumes: &Volumes, observer: &dyn Observer) -> Content {
    let cores = crate::sys::cores();
    let lanes = divide(&index.blobs, index.payload.bytes, cores.clamp(1, LANES));
    let outcomes: Vec<Lane> = std::thread::scope(|scope| {
        let running: Vec<_> =
            lanes.into_iter().map(|lane| scope.spawn(move || run(index, volumes, &lane, observer))).collect();
        running.into_iter().filter_map(|lane| lane.join().ok()).collect()
    });
    let mut content = Content::default();
    let mut good = BTreeMap::new();
    let mut bad = BTreeMap::new();
    let mut unopened = BTreeMap::new();
    let mut unread = BTreeMap::new();
    let mut short = false;
    let (mut manifests, mut payloads, mut prelude) = (HashMap::new(), HashMap::new(), Vec::new());
    for lane in outcomes {
        // Two lanes that meet inside a unit both read it, and the chunk that begins there: it counts once.
        good.extend(lane.chunks.good);
        content.blobs += lane.blobs.good;
        content.findings.extend(lane.blobs.findings);
        manifests.extend(lane.blobs.manifests);
        payloads.extend(lane.blobs.payloads);
        // Only the first lane has any.
        prelude.extend(lane.blobs.prelude);
        bad.extend(lane.chunks.bad.into_iter().map(|chunk| (chunk, ())));
        for (volume, from, to) in lane.reading.unopened {
            unopened.insert((volume, from), to);
        }
        for (volume, from, to) in lane.reading.short {
            short = true;
            if to == from {
                continue;
            }
            bad.extend((from / CHUNK_BYTES..=to.saturating_sub(1) / CHUNK_BYTES).map(|c| ((volume, c), ())));
        }
        for (volume, error) in lane.reading.unread {
            unread.entry(volume).or_insert(error);
        }
    }
    content.bytes = good.values().sum();
    bad.retain(|chunk, ()| !good.contains_key(chunk));
    // Only of bytes that are as signed can it be said that they were wrong before.
    let held = |from: u64, to: u64| {
        volumes.stretches(from, to).all(|s| {
            (s.from / CHUNK_BYTES..=s.to.saturating_sub(1) / CHUNK_BYTES)
                .all(|c| good.contains_key(&(s.volume, c)))
        })
    };
    let extents: HashMap<Digest, (u64, u64)> =
        index.blobs.iter().map(|b| (b.digest, (b.offset, b.offset + b.size))).collect();
    content.findings.retain(|finding| match &finding.what {
        What::WrongBlob { digest, .. } => extents.get(digest).is_none_or(|(from, to)| held(*from, *to)),
        What::WrongTar { offset } => held(*offset, *offset + tar::END),
        _ => true,
    });
    let unread = unread.into_iter().map(|(volume, error)| folder::unopened(volumes.name(volume), &error));
    let damaged: Vec<Finding> = unread.chain(damage(index, (&good, &bad), unopened)).collect();
    // What could not be read leaves holes in the graph that say nothing new.
    let intact = damaged.is_empty() && !short;
    content.findings.splice(0..0, damaged);
    content.graphs = intact;
    if intact {
        content.findings.extend(between::prelude(index, &prelude, &manifests));
        content.findings.extend(graph::check(index, &manifests));
        content.findings.extend(signatures::check(index, &manifests, &payloads));
    }
    content
}

/// A part of the payload: blobs `first..last`, bytes `from..to`.
struct Part {
    first: usize,
    last: usize,
    from: u64,
    to: u64,
}

/// Cuts the payload into at most `lanes` parts of about the same size, at the ends of blobs.
fn divide(blobs: &[IndexBlob], payload: u64, lanes: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut first, mut from) = (0, 0);
    for lane in 1..=lanes as u64 {
        let goal = payload / lanes as u64 * lane;
        let last = if lane == lanes as u64 { blobs.len() } else { nearest(blobs, goal).max(first) };
        let to = if last == blobs.len() {
            payload
        } else {
            last.checked_sub(1).map_or(from, |n| blobs[n].offset + blobs[n].size)
        };
        if to > from {
            parts.push(Part { first, last, from, to });
            (first, from) = (last, to);
        }
    }
    parts
}

/// How many blobs end before the blob's end that is nearest to `goal`, that one included.
fn nearest(blobs: &[IndexBlob], goal: u64) -> usize {
    let end = |n: usize| blobs.get(n).map_or(u64::MAX, |b| b.offset + b.size);
    let before = blobs.partition_point(|b| b.offset + b.size <= goal);
    let below = before.checked_sub(1).map_or(goal, |n| goal - end(n));
    if end(before) - goal < below { before + 1 } else { before }
}

struct Lane {
    chunks: ChunksSeen,
    blobs: BlobsSeen,
    reading: Reading,
}

/// What the reading end of a lane saw.
#[derive(Default)]
struct Reading {
    /// Bytes of a volume that do not open under the release key: volume, first, one past the last.
    unopened: Vec<(usize, u64, u64)>,
    /// Bytes of a volume that end too early or cannot be read: volume, first, one past the last.
    short: Vec<(usize, u64, u64)>,
    /// Volumes whose files cannot be opened.
    unread: Vec<(usize, store::Error)>,
}

#[derive(Default)]
struct ChunksSeen {
    /// Volume, chunk, bytes.
    good: Vec<((usize, u64), u64)>,
    bad: Vec<(usize, u64)>,
}

#[derive(Default)]
struct BlobsSeen {
    good: usize,
    findings: Vec<Finding>,
    manifests: Vec<(Digest, Known)>,
    /// What signatures of images sign.
    payloads: Vec<(Digest, Vec<u8>)>,
    /// What lies before the first blob of all.
    prelude: Vec<u8>,
}

/// File bytes of a volume, in order.
struct Raw {
    volume: usize,
    offset: u64,
    bytes: Bytes,
}

/// Payload bytes; `None` for bytes that could not be had.
struct Plain {
    offset: u64,
    length: u64,
    bytes: Option<Bytes>,
}

fn run(index: &Index, volumes: &Volumes, part: &Part, observer: &dyn Observer) -> Lane {
    std::thread::scope(|scope| {
        let (raw, raw_queue) = sync_channel::<Raw>(WAITING);
        let (plain, plain_queue) = sync_channel::<Plain>(WAITING);
        let chunks = scope.spawn(move || hash_chunks(index, &raw_queue));
        let (first, last, from) = (part.first, part.last, part.from);
        let blobs = scope.spawn(move || hash_blobs(index, first..last, from, &plain_queue));
        let reading = read(volumes, part, &raw, &plain, observer);
        drop((raw, plain));
        Lane { chunks: chunks.join().unwrap_or_default(), blobs: blobs.join().unwrap_or_default(), reading }
    })
}

/// Reads the lane's file bytes in order; hands them to the chunk hasher as they are and to the blob hasher opened.
fn read(
    volumes: &Volumes,
    part: &Part,
    raw: &SyncSender<Raw>,
    plain: &SyncSender<Plain>,
    observer: &dyn Observer,
) -> Reading {
    let mut seen = Reading::default();
    let mut open: Option<(usize, Option<(File, PathBuf)>)> = None;
    for stretch in volumes.stretches(part.from, part.to) {
        if open.as_ref().is_none_or(|(volume, _)| *volume != stretch.volume) {
            let file = match volumes.file(stretch.volume) {
                Ok(file) => Some(file),
                Err(error) => {
                    seen.unread.push((stretch.volume, error));
                    None
                }
            };
            open = Some((stretch.volume, file));
        }
        let Some((_, Some((file, path)))) = &open else {
            let _ = plain.send(Plain { offset: stretch.payload, length: stretch.plain, bytes: None });
            continue;
        };
        let (bytes, fault) = read_stretch(volumes, file, &stretch);
        let whole = bytes.len() as u64 == stretch.to - stretch.from;
        let fault = fault.map(|error| {
            let range = (stretch.from, stretch.to);
            volumes.read_fault(stretch.volume, path, range, error)
        });
        // A medium that is gone says nothing of the bytes it held.
        if let Some(error @ (store::Error::Gone { .. } | store::Error::Io { .. })) = fault {
            seen.unread.push((stretch.volume, error));
            open = Some((stretch.volume, None));
            let _ = plain.send(Plain { offset: stretch.payload, length: stretch.plain, bytes: None });
            continue;
        }
        observer.event(Event::Advance { bytes: bytes.len() as u64 });
        let sent = raw.send(Raw { volume: stretch.volume, offset: stretch.from, bytes: bytes.clone() });
        let opened = match whole.then(|| volumes.open_stretch(&stretch, file, &bytes)) {
            Some(Ok(opened)) => Some(opened),
            Some(Err(store::Error::Damaged { from, to, .. })) => {
                seen.unopened.push((stretch.volume, from, to));
                None
            }
            Some(Err(_)) => {
                seen.unopened.push((stretch.volume, stretch.from, stretch.to));
                None
            }
            None => {
                // What lies beyond the end of a file is told by its size.
                let end =
                    file.metadata().map_or(stretch.to, |facts| facts.len()).clamp(stretch.from, stretch.to);
                seen.short.push((stretch.volume, stretch.from, end));
                None
            }
        };
        if sent.is_err()
            || plain.send(Plain { offset: stretch.payload, length: stretch.plain, bytes: opened }).is_err()
        {
            return seen;
        }
    }
    // The last chunk of the lane, to its end.
    if let Some((volume, Some((file, _)))) = &open {
        let mut at = volumes.stretches(part.from, part.to).last().map_or(0, |stretch| stretch.to);
        let end = volumes.shape().file_length(*volume).min(at.next_multiple_of(CHUNK_BYTES));
        while at < end {
            let mut bytes = vec![0; small(end - at).min(1 << 19)];
            match file.read_at(&mut bytes, at) {
                Ok(read) if read > 0 => bytes.truncate(read),
                _ => break,
            }
            let offset = at;
            at += bytes.len() as u64;
            if raw.send(Raw { volume: *volume, offset, bytes: bytes.into() }).is_err() {
                break;
            }
        }
    }
    seen
}

/// As much of a stretch as can be read; an unreadable sector ends it.
fn read_stretch(volumes: &Volumes, file: &File, stretch: &Stretch) -> (Bytes, Option<std::io::Error>) {
    let mut bytes = stretch.room();
    let mut done = 0;
    let fault = loop {
        if done == bytes.len() {
            break None;
        }
        match file.read_at(&mut bytes[done..], stretch.from + done as u64) {
            Ok(0) => break None,
            Ok(read) => done += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => break Some(error),
        }
    };
    debug_assert!(stretch.to <= volumes.shape().file_length(stretch.volume));
    (bytes.freeze(0..done), fault)
}

/// Hashes the chunks whose first byte is among what comes.
fn hash_chunks(index: &Index, queue: &Receiver<Raw>) -> ChunksSeen {
    let mut seen = ChunksSeen::default();
    let mut current: Option<(usize, u64, u64, Hasher)> = None;
    let settle = |seen: &mut ChunksSeen, current: &mut Option<(usize, u64, u64, Hasher)>| {
        let Some((volume, chunk, _, hasher)) = current.take() else { return };
        let listed = &index.volumes[volume];
        let length = listed.bytes.saturating_sub(chunk * CHUNK_BYTES).min(CHUNK_BYTES);
        if hasher.length() == length && listed.chunks.get(small(chunk)) == Some(&hasher.finish()) {
            seen.good.push(((volume, chunk), length));
        } else {
            seen.bad.push((volume, chunk));
        }
    };
    for Raw { volume, offset, bytes } in queue {
        let mut at = offset;
        let mut rest = &*bytes;
        if current.as_ref().is_some_and(|(v, _, next, _)| (*v, *next) != (volume, at)) {
            settle(&mut seen, &mut current);
        }
        while !rest.is_empty() {
            let chunk = at / CHUNK_BYTES;
            let room = small((chunk + 1) * CHUNK_BYTES - at);
            let (now, later) = rest.split_at(room.min(rest.len()));
            if at.is_multiple_of(CHUNK_BYTES) {
                settle(&mut seen, &mut current);
                current = Some((volume, chunk, at, Hasher::new()));
            }
            at += now.len() as u64;
            if let Some((_, _, next, hasher)) = &mut current {
                hasher.update(now);
                *next = at;
            }
            rest = later;
        }
    }
    settle(&mut seen, &mut current);
    seen
}

/// Hashes the blobs `range` and compares the tar between them.
fn hash_blobs(index: &Index, range: std::ops::Range<usize>, from: u64, queue: &Receiver<Plain>) -> BlobsSeen {
    let mut state = Blobs {
        index,
        next: range.start,
        last: range.end,
        at: from,
        hasher: Hasher::new(),
        lost: false,
        tar: TarCheck::new(index, range.start, from),
        manifest: Vec::new(),
        texts: if index.images.iter().any(|image| image.cosign_key.is_some()) {
            limits::SIGNED_TEXTS_BYTES
        } else {
            0
        },
        seen: BlobsSeen::default(),
    };
    state.skip_empty();
    for plain in queue {
        match plain.bytes {
            Some(bytes) => state.feed(&bytes),
            None => state.lose(plain.offset, plain.length),
        }
    }
    state.seen.prelude = state.tar.into_prelude();
    state.seen
}

struct Blobs<'a> {
    index: &'a Index,
    next: usize,
    last: usize,
    at: u64,
    hasher: Hasher,
    lost: bool,
    tar: TarCheck,
    manifest: Vec<u8>,
    /// How many bytes of what is signed may still be kept.
    texts: u64,
    seen: BlobsSeen,
}

impl<'a> Blobs<'a> {
    fn current(&self) -> Option<&'a IndexBlob> {
        let index: &'a Index = self.index;
        index.blobs.get(self.next).filter(|_| self.next < self.last)
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (before, inside) = match self.current() {
                Some(blob) => {
                    (blob.offset.saturating_sub(self.at), blob.offset + blob.size - self.at.max(blob.offset))
                }
                None => (self.index.payload.bytes.saturating_sub(self.at).max(1), 0),
            };
            let take = small(if before > 0 { before } else { inside }).min(bytes.len());
            let (now, rest) = bytes.split_at(take);
            if before > 0 {
                self.tar.feed(self.at, now, &mut self.seen.findings);
            } else {
                self.hasher.update(now);
                if self.current().is_some_and(is_kept) {
                    self.manifest.extend_from_slice(now);
                }
            }
            self.at += take as u64;
            bytes = rest;
            self.settle();
        }
    }

    /// Passes over bytes that could not be had.
    fn lose(&mut self, offset: u64, length: u64) {
        self.at = offset + length;
        self.lost = true;
        self.tar.lose();
        while let Some(blob) = self.current()
            && blob.offset + blob.size <= self.at
        {
            self.reset();
        }
        self.lost = self.current().is_some_and(|blob| blob.offset < self.at);
    }

    /// Takes in a manifest whose digest held.
    fn manifest(&mut self, blob: &IndexBlob) {
        let digest = blob.digest;
        let parsed = if blob.size > limits::MANIFEST_BYTES {
            Err(ManifestError::TooLarge)
        } else {
            Manifest::parse(&self.manifest, Some(&blob.media_type))
        };
        match parsed {
            Ok((manifest, media_type)) => {
                self.seen.manifests.push((digest, Known::new(media_type, manifest)));
            }
            Err(error) => {
                let detail = error.to_string();
                self.seen.findings.push(Finding::refuse(What::WrongManifest { digest, detail }));
            }
        }
    }

    /// Keeps what a signature of an image signs, where images must be signed.
    fn keep(&mut self, blob: &IndexBlob) {
        match self.texts.checked_sub(blob.size) {
            Some(left) => {
                self.texts = left;
                self.seen.payloads.push((blob.digest, std::mem::take(&mut self.manifest)));
            }
            None if self.index.images.iter().any(|image| image.cosign_key.is_some()) => {
                let most = limits::SIGNED_TEXTS_BYTES;
                let detail = format!(
                    "the signatures of images sign more than the {most} bytes that are kept of that: {} was not looked at",
                    blob.digest
                );
                self.seen.findings.push(Finding::refuse(What::Unchecked { detail }));
            }
            None => {}
        }
    }

    fn reset(&mut self) {
        self.next += 1;
        self.hasher = Hasher::new();
        self.manifest.clear();
        self.lost = false;
        self.tar.after(self.index, self.next);
    }

    fn skip_empty(&mut self) {
        if self.current().is_some_and(|blob| blob.size == 0 && blob.offset <= self.at) {
            self.settle();
        }
    }

    fn settle(&mut self) {
        while let Some(blob) = self.current()
            && self.at == blob.offset + blob.size
        {
            if !self.lost {
                let got = std::mem::take(&mut self.hasher).finish();
                if got == blob.digest {
                    self.seen.good += 1;
                    if is_manifest(blob) {
                        self.manifest(blob);
                    } else if is_kept(blob) {
                        self.keep(blob);
                    }
                } else {
                    self.seen.findings.push(Finding::refuse(What::WrongBlob { digest: blob.digest, got }));
                }
            }
            self.reset();
        }
    }
}

fn is_manifest(blob: &IndexBlob) -> bool {
    media::is_manifest(&blob.media_type) || media::is_index(&blob.media_type)
}

/// Whether the bytes are kept until their digest is known: those of manifests, and the small texts that signatures of images sign.
fn is_kept(blob: &IndexBlob) -> bool {
    (is_manifest(blob) && blob.size <= limits::MANIFEST_BYTES) || signatures::is_payload(blob)
}

/// Something of each chunk, or byte, of a volume.
type ByPlace<T> = BTreeMap<(usize, u64), T>;

/// Damaged chunks, narrowed to the units that do not open; and what does not open although its chunk is as signed.
fn damage(index: &Index, (good, bad): (&ByPlace<u64>, &ByPlace<()>), unopened: ByPlace<u64>) -> Vec<Finding> {
    let path = |volume: usize| index.volumes[volume].name.to_string();
    let mut ranges: ByPlace<(u64, u64)> = BTreeMap::new();
    let mut findings = Vec::new();
    for ((volume, from), to) in unopened {
        let chunks = from / CHUNK_BYTES..=(to - 1) / CHUNK_BYTES;
        let hit: Vec<u64> = chunks.filter(|chunk| !good.contains_key(&(volume, *chunk))).collect();
        if hit.is_empty() {
            findings.push(Finding::refuse(What::NotOpened { path: path(volume), from, to }));
        }
        for chunk in hit {
            let range = ranges.entry((volume, chunk)).or_insert((u64::MAX, 0));
            *range =
                (range.0.min(from.max(chunk * CHUNK_BYTES)), range.1.max(to.min((chunk + 1) * CHUNK_BYTES)));
        }
    }
    for (volume, chunk) in bad.keys() {
        let whole = (chunk * CHUNK_BYTES, index.volumes[*volume].bytes.min((chunk + 1) * CHUNK_BYTES));
        let (from, to) = ranges.remove(&(*volume, *chunk)).unwrap_or(whole);
        findings.push(Finding::refuse(What::Damaged { path: path(*volume), chunk: *chunk, from, to }));
    }
    findings
}
