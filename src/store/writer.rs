//! Writes the payload into volumes, each byte once: sealed on all cores, hashed on the way, written in order.
//!
//! The caller feeds payload bytes; threads seal segments of a few units, one thread puts them in order into the file, two hash the file (whole,
//! and by chunk). A file is at every moment a prefix of the finished volume, so a killed writer leaves something that
//! [`super::resume`] can take up. What is written over bytes that a killed writer left must be those very bytes: sealing other
//! plaintext under a used nonce is refused ([`Error::Resealed`]).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::Error;
use super::resume::Partial;
use crate::bundle::geometry::Geometry;
use crate::bundle::index::Volume;
use crate::bundle::seal::{PLAIN, ReleaseKey, VolumeKey};
use crate::digest::{Digest, Hasher};
use crate::path::EntryPath;
use crate::release::lock::Seal;

mod collect;
mod hash;
mod segment;
mod target;

pub use hash::ChunkHasher;

use collect::{Ready, collect};
use segment::Segment;

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
    pending: Option<Segment>,
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
        segment: Segment,
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

impl VolumeWriter {
    /// Begins at volume `setup.first`, after what `setup.partial` already holds.
    pub fn begin(setup: Setup<'_>) -> Result<Self, Error> {
        let sealers = setup.sealers.max(1);
        let (jobs, job_queue) = sync_channel::<Job>(2);
        let (ready, ready_queue) = sync_channel::<(u64, Result<Ready, Error>)>(4);
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
            pending: None,
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
            let pending = self.pending.as_ref().map_or(0, Segment::plain);
            let left = self.shape.plain_length(self.volume).saturating_sub(self.at + pending as u64);
            if left == 0 {
                self.close_volume()?;
                continue;
            }
            let room = (Segment::PLAIN - pending).min(crate::checked::small(left)).min(piece.len());
            let (now, rest) = piece.split_at(room);
            let (offset, sealed) =
                (self.shape.unit_offset(self.at / PLAIN as u64), self.shape.seal() == Seal::Age);
            self.pending.get_or_insert_with(|| Segment::at(offset, sealed)).push(now);
            piece = rest;
            if pending + room == Segment::PLAIN || room as u64 == left {
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
        let Some(segment) = self.pending.take() else { return Ok(()) };
        let unit = self.at / PLAIN as u64;
        self.at += segment.plain() as u64;
        let sequence = self.sequence();
        let keys = Arc::clone(&self.current);
        self.send(Job::Segment { sequence, unit, segment, keys })
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
                let file = target::take_up(&path).map_err(io)?;
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
                let file = target::create(&path).map_err(io)?;
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
            Ok(Job::Segment { sequence, unit, mut segment, keys }) => {
                let sealed = keys.key.as_ref().map_or(Ok(()), |key| segment.seal(key, unit, keys.last_unit));
                (sequence, sealed.map(|()| Ready::Segment(segment)))
            }
        };
        if ready.send((sequence, outcome)).is_err() {
            return Ok(());
        }
    }
}
