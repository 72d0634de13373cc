//! Writes the payload into volumes, each byte once: sealed on all cores, hashed on the way, written in order.
//!
//! The caller feeds payload bytes; threads seal segments of eight units, one thread puts them in order into the file, two hash the file (whole, and by
//! chunk). A file is at every moment a prefix of the finished volume, so a killed writer leaves something that
//! [`super::resume`] can take up. What is written over bytes that a killed writer left must be those very bytes: sealing other
//! plaintext under a used nonce is refused ([`Error::Resealed`]).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::Error;
use super::resume::Partial;
use crate::bundle::geometry::Geometry;
use crate::bundle::index::Volume;
use crate::bundle::seal::{PLAIN, ReleaseKey, SEALED, VolumeKey};
use crate::digest::{Digest, Hasher};
use crate::limits;
use crate::path::EntryPath;
use crate::release::lock::Seal;

/// Bytes of plaintext sealed as one piece of work.
const SEGMENT: usize = 8 * PLAIN;

/// What a writer is told at its start.
pub struct Setup<'a> {
    /// The folder the volumes' names are relative to.
    pub folder: &'a Path,
    /// The shape of the volumes.
    pub shape: Geometry,
    /// Their names.
    pub names: Vec<EntryPath>,
    /// Seals them; `None` for plain volumes.
    pub key: Option<Arc<ReleaseKey>>,
    /// The volume to begin with and what is already in it.
    pub first: usize,
    /// What a killed writer left of it.
    pub partial: Option<Partial>,
    /// Threads that seal.
    pub sealers: usize,
    /// Is told of each volume.
    pub tell: Arc<Tell>,
}

impl std::fmt::Debug for Setup<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("folder", &self.folder)
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

/// What became of a volume, told as soon as it did, so that it can be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Milestone {
    /// Volume `.0` is written whole; a killed program loses nothing of it, a power cut may.
    Written(usize, Volume),
    /// Volume `.0` is on the medium.
    Synced(usize),
}

/// Takes milestones; called from the writer's threads.
pub type Tell = dyn Fn(Milestone) -> Result<(), Error> + Send + Sync;

/// The writing end. Dropped without [`VolumeWriter::finish`], it leaves an unfinished volume behind.
pub struct VolumeWriter {
    shape: Geometry,
    volume: usize,
    at: u64,
    pending: Vec<u8>,
    jobs: Option<SyncSender<Job>>,
    keys: Option<Arc<ReleaseKey>>,
    current: Arc<Keys>,
    next_segment: u64,
    setup: Open,
    threads: Vec<JoinHandle<Result<(), Error>>>,
    collector: Option<JoinHandle<Result<(), Error>>>,
}

impl std::fmt::Debug for VolumeWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VolumeWriter")
            .field("volume", &self.volume)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

struct Open {
    folder: PathBuf,
    names: Vec<EntryPath>,
}

/// What the segments of one volume share.
struct Keys {
    key: Option<VolumeKey>,
    last_unit: u64,
}

enum Job {
    /// A new file begins; in order with the segments before and after it.
    Begin {
        sequence: u64,
        file: File,
        path: PathBuf,
        volume: usize,
        partial: Box<Start>,
    },
    Segment {
        sequence: u64,
        unit: u64,
        plain: Vec<u8>,
        keys: Arc<Keys>,
    },
    End {
        sequence: u64,
    },
}

/// How a file's hashes begin: fresh with a header, or taken up.
struct Start {
    header: Vec<u8>,
    written: u64,
    existing: u64,
    whole: Hasher,
    chunk: Hasher,
    chunks: Vec<Digest>,
}

enum Ready {
    Begin { file: File, path: PathBuf, volume: usize, start: Box<Start> },
    Bytes(Arc<Vec<u8>>),
    End,
}

enum Hash {
    Begin(Box<(Hasher, Vec<Digest>)>),
    Bytes(Arc<Vec<u8>>),
    End,
}

impl VolumeWriter {
    /// Begins at volume `setup.first`, after what `setup.partial` already holds.
    pub fn begin(setup: Setup<'_>) -> Result<Self, Error> {
        let sealers = setup.sealers.max(1);
        let (jobs, job_queue) = sync_channel::<Job>(2);
        let (ready, ready_queue) = sync_channel::<(u64, Result<Ready, Error>)>(2);
        let job_queue = Arc::new(Mutex::new(job_queue));
        let threads = (0..sealers)
            .map(|_| {
                let (queue, ready) = (Arc::clone(&job_queue), ready.clone());
                std::thread::spawn(move || seal_loop(&queue, &ready))
            })
            .collect();
        let (names, tell) = (setup.names.clone(), setup.tell);
        let collector = std::thread::spawn(move || collect(&ready_queue, &names, &tell));
        let mut writer = Self {
            shape: setup.shape,
            volume: setup.first,
            at: 0,
            pending: Vec::with_capacity(SEGMENT),
            jobs: Some(jobs),
            keys: setup.key,
            current: Arc::new(Keys { key: None, last_unit: 0 }),
            next_segment: 0,
            setup: Open { folder: setup.folder.to_owned(), names: setup.names },
            threads,
            collector: Some(collector),
        };
        if writer.volume < writer.shape.volumes() {
            writer.open_volume(setup.partial)?;
        }
        Ok(writer)
    }

    /// Appends payload bytes; they are of the payload's next bytes and do not go past its end.
    pub fn write(&mut self, mut piece: &[u8]) -> Result<(), Error> {
        while !piece.is_empty() {
            let left =
                self.shape.plain_length(self.volume).saturating_sub(self.at + self.pending.len() as u64);
            if left == 0 {
                self.close_volume()?;
                continue;
            }
            let room = (SEGMENT - self.pending.len()).min(crate::checked::small(left)).min(piece.len());
            let (now, rest) = piece.split_at(room);
            self.pending.extend_from_slice(now);
            piece = rest;
            if self.pending.len() == SEGMENT || room as u64 == left {
                self.send_segment()?;
            }
        }
        Ok(())
    }

    /// Ends the last volume and waits until all is on disk.
    pub fn finish(mut self) -> Result<(), Error> {
        if self.volume < self.shape.volumes() {
            self.send_segment()?;
            let sequence = self.sequence();
            self.send(Job::End { sequence })?;
        }
        self.jobs = None;
        self.join()
    }

    fn send_segment(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let plain = std::mem::replace(&mut self.pending, Vec::with_capacity(SEGMENT));
        let unit = self.at / PLAIN as u64;
        self.at += plain.len() as u64;
        let sequence = self.sequence();
        let keys = Arc::clone(&self.current);
        self.send(Job::Segment { sequence, unit, plain, keys })
    }

    fn close_volume(&mut self) -> Result<(), Error> {
        let sequence = self.sequence();
        self.send(Job::End { sequence })?;
        self.volume += 1;
        self.open_volume(None)
    }

    fn open_volume(&mut self, partial: Option<Partial>) -> Result<(), Error> {
        let name = self.setup.names.get(self.volume).ok_or_else(|| Error::Malformed {
            path: self.setup.folder.clone(),
            why: "more payload came than was planned".into(),
        })?;
        let path = name.under(&self.setup.folder);
        let io = |source| Error::Io { path: path.clone(), source };
        let (file, start, key) = match partial {
            Some(partial) => {
                self.at = partial.plain;
                let file = OpenOptions::new().read(true).write(true).open(&path).map_err(io)?;
                let start = Start {
                    header: vec![],
                    written: partial.file_bytes,
                    existing: partial.existing,
                    whole: partial.whole,
                    chunk: partial.chunk,
                    chunks: partial.chunks,
                };
                (file, start, partial.key)
            }
            None => {
                self.at = 0;
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o644)
                    .open(&path)
                    .map_err(io)?;
                let (header, key) = match (&self.keys, self.shape.seal()) {
                    (Some(release), Seal::Age) => {
                        let (header, key) = VolumeKey::generate(release)?;
                        (header.to_vec(), Some(key))
                    }
                    (None, Seal::Age) => return Err(Error::Sealed { volume: name.as_str().to_owned() }),
                    (_, Seal::None) => (vec![], None),
                };
                let hashers = (Hasher::new(), Hasher::new());
                let start = Start {
                    header,
                    written: 0,
                    existing: 0,
                    whole: hashers.0,
                    chunk: hashers.1,
                    chunks: vec![],
                };
                (file, start, key)
            }
        };
        let last_unit = self.shape.units(self.volume).saturating_sub(1);
        self.current = Arc::new(Keys { key, last_unit });
        let (sequence, volume) = (self.sequence(), self.volume);
        self.send(Job::Begin { sequence, file, path, volume, partial: Box::new(start) })
    }

    fn sequence(&mut self) -> u64 {
        self.next_segment += 1;
        self.next_segment - 1
    }

    fn send(&mut self, job: Job) -> Result<(), Error> {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if sent {
            return Ok(());
        }
        self.jobs = None;
        self.join()?;
        Err(Error::Interrupted)
    }

    /// Waits for all threads; the collector's fault is the cause of the others'.
    fn join(&mut self) -> Result<(), Error> {
        let collected = self.collector.take().map_or(Ok(()), ended);
        let sealed = self.threads.drain(..).map(ended).fold(Ok(()), Result::and);
        collected.and(sealed)
    }
}

fn ended(thread: JoinHandle<Result<(), Error>>) -> Result<(), Error> {
    thread.join().unwrap_or(Err(Error::Interrupted))
}

fn seal_loop(
    queue: &Mutex<Receiver<Job>>,
    ready: &SyncSender<(u64, Result<Ready, Error>)>,
) -> Result<(), Error> {
    loop {
        let job = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return Err(Error::Interrupted),
        };
        let (sequence, outcome) = match job {
            Err(_) => return Ok(()),
            Ok(Job::Begin { sequence, file, path, volume, partial }) => {
                (sequence, Ok(Ready::Begin { file, path, volume, start: partial }))
            }
            Ok(Job::End { sequence }) => (sequence, Ok(Ready::End)),
            Ok(Job::Segment { sequence, unit, plain, keys }) => {
                (sequence, seal(unit, plain, &keys).map(|bytes| Ready::Bytes(Arc::new(bytes))))
            }
        };
        if ready.send((sequence, outcome)).is_err() {
            return Ok(());
        }
    }
}

fn seal(first: u64, plain: Vec<u8>, keys: &Keys) -> Result<Vec<u8>, Error> {
    let Some(key) = &keys.key else { return Ok(plain) };
    let mut sealed = Vec::with_capacity(plain.len().div_ceil(PLAIN) * SEALED);
    for (unit, chunk) in (first..).zip(plain.chunks(PLAIN)) {
        key.seal(unit, unit == keys.last_unit, chunk, &mut sealed)?;
    }
    Ok(sealed)
}

/// Puts segments in order, writes them, and keeps the two hashers fed.
fn collect(
    ready: &Receiver<(u64, Result<Ready, Error>)>,
    names: &[EntryPath],
    tell: &Arc<Tell>,
) -> Result<(), Error> {
    std::thread::scope(|scope| {
        let (whole, whole_queue) = sync_channel::<Hash>(2);
        let (chunk, chunk_queue) = sync_channel::<Hash>(2);
        let (digests, digest_queue) = sync_channel::<Digest>(1);
        let (lists, list_queue) = sync_channel::<Vec<Digest>>(1);
        scope.spawn(move || hash_whole(&whole_queue, &digests));
        scope.spawn(move || hash_chunks(&chunk_queue, &lists));
        let hash = |work: fn(Arc<Vec<u8>>) -> Hash, bytes: &Arc<Vec<u8>>| {
            whole
                .send(work(Arc::clone(bytes)))
                .and_then(|()| chunk.send(work(Arc::clone(bytes))))
                .map_err(|_| Error::Interrupted)
        };
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        let mut open: Option<Target> = None;
        let mut syncs: Vec<JoinHandle<Result<(), Error>>> = vec![];
        for (sequence, outcome) in ready {
            waiting.insert(sequence, outcome);
            while let Some(outcome) = waiting.remove(&next) {
                next += 1;
                match outcome? {
                    Ready::Begin { file, path, volume, start } => {
                        let start = *start;
                        let begin = |hasher, list| Hash::Begin(Box::new((hasher, list)));
                        whole.send(begin(start.whole, vec![])).map_err(|_| Error::Interrupted)?;
                        chunk.send(begin(start.chunk, start.chunks)).map_err(|_| Error::Interrupted)?;
                        let name = names.get(volume).ok_or(Error::Interrupted)?.clone();
                        let mut target =
                            Target { file, path, name, volume, at: start.written, existing: start.existing };
                        if !start.header.is_empty() {
                            let header = Arc::new(start.header);
                            target.write(&header)?;
                            hash(Hash::Bytes, &header)?;
                        }
                        open = Some(target);
                    }
                    Ready::Bytes(bytes) => {
                        open.as_mut().ok_or(Error::Interrupted)?.write(&bytes)?;
                        hash(Hash::Bytes, &bytes)?;
                    }
                    Ready::End => {
                        let target = open.take().ok_or(Error::Interrupted)?;
                        whole
                            .send(Hash::End)
                            .and_then(|()| chunk.send(Hash::End))
                            .map_err(|_| Error::Interrupted)?;
                        let sha256 = digest_queue.recv().map_err(|_| Error::Interrupted)?;
                        let chunks = list_queue.recv().map_err(|_| Error::Interrupted)?;
                        let volume = Volume { bytes: target.at, chunks, name: target.name.clone(), sha256 };
                        let (number, tell) = (target.volume, Arc::clone(tell));
                        tell(Milestone::Written(number, volume))?;
                        syncs.push(std::thread::spawn(move || {
                            target.close()?;
                            tell(Milestone::Synced(number))
                        }));
                    }
                }
            }
        }
        syncs.into_iter().map(ended).fold(Ok(()), Result::and)
    })
}

struct Target {
    file: File,
    path: PathBuf,
    name: EntryPath,
    volume: usize,
    at: u64,
    existing: u64,
}

impl Target {
    fn io(&self, source: std::io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let known = crate::checked::small(self.existing.saturating_sub(self.at)).min(bytes.len());
        if known > 0 {
            let mut before = vec![0; known];
            self.file.read_exact_at(&mut before, self.at).map_err(|e| self.io(e))?;
            if before != bytes[..known] {
                return Err(Error::Resealed { volume: self.name.as_str().to_owned(), at: self.at });
            }
        }
        self.file.write_all_at(bytes, self.at).map_err(|e| self.io(e))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn close(mut self) -> Result<(), Error> {
        self.file.set_len(self.at).map_err(|e| self.io(e))?;
        self.file.flush().map_err(|e| self.io(e))?;
        self.file.sync_data().map_err(|e| self.io(e))
    }
}

fn hash_whole(queue: &Receiver<Hash>, out: &SyncSender<Digest>) {
    let mut hasher = Hasher::new();
    for work in queue {
        match work {
            Hash::Begin(start) => hasher = start.0,
            Hash::Bytes(bytes) => hasher.update(&bytes),
            Hash::End => {
                if out.send(std::mem::take(&mut hasher).finish()).is_err() {
                    return;
                }
            }
        }
    }
}

fn hash_chunks(queue: &Receiver<Hash>, out: &SyncSender<Vec<Digest>>) {
    let mut chunks = ChunkHasher::default();
    for work in queue {
        match work {
            Hash::Begin(start) => chunks = ChunkHasher::take_up(start.0, start.1),
            Hash::Bytes(bytes) => chunks.update(&bytes),
            Hash::End => {
                if out.send(std::mem::take(&mut chunks).finish()).is_err() {
                    return;
                }
            }
        }
    }
}

/// Hashes a file in chunks of `limits::CHUNK_BYTES`.
#[derive(Debug, Default)]
pub struct ChunkHasher {
    current: Hasher,
    done: Vec<Digest>,
}

impl ChunkHasher {
    /// Goes on within a chunk that `current` has begun, after the chunks `done`.
    #[must_use]
    pub fn take_up(current: Hasher, done: Vec<Digest>) -> Self {
        Self { current, done }
    }

    /// Takes in the file's next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = crate::checked::small(limits::CHUNK_BYTES - self.current.length());
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.current.update(now);
            bytes = rest;
            if self.current.length() == limits::CHUNK_BYTES {
                self.done.push(std::mem::take(&mut self.current).finish());
            }
        }
    }

    /// The chunk in progress and the chunks done.
    #[must_use]
    pub fn put_down(self) -> (Hasher, Vec<Digest>) {
        (self.current, self.done)
    }

    /// The digests of all chunks, the last perhaps short.
    #[must_use]
    pub fn finish(mut self) -> Vec<Digest> {
        if self.current.length() > 0 {
            self.done.push(self.current.finish());
        }
        self.done
    }
}
