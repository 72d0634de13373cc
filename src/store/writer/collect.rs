//! Puts sealed segments in order, writes them, and keeps the two hashers fed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;

use super::hash::{Hash, hash_chunks, hash_whole};
use super::segment::Segment;
use super::target::Target;
use super::{Milestone, Start, Tell, ended};
use crate::bundle::index::Volume;
use crate::digest::Digest;
use crate::path::EntryPath;
use crate::store::Error;

/// Segments that wait for a hasher. They are written already, or about to be: a killed writer loses none of them.
const WAITING: usize = 8;

/// Volumes on their way to the medium while the next one is written.
const SYNCS: usize = 2;

/// Something whose turn comes by its number.
pub(super) enum Ready {
    /// A file begins.
    Begin { file: File, path: PathBuf, volume: usize, start: Box<Start> },
    /// Its next segment, sealed.
    Segment(Segment),
    /// It is over.
    End,
}

/// Carries out what comes, by number; gives the first fault.
pub(super) fn collect(
    ready: &Receiver<(u64, Result<Ready, Error>)>,
    names: &[EntryPath],
    tell: &Arc<Tell>,
) -> Result<(), Error> {
    std::thread::scope(|scope| {
        let (whole, whole_queue) = sync_channel::<Hash>(WAITING);
        let (chunk, chunk_queue) = sync_channel::<Hash>(WAITING);
        let (digests, digest_queue) = sync_channel::<Digest>(1);
        let (lists, list_queue) = sync_channel::<Vec<Digest>>(1);
        scope.spawn(move || hash_whole(&whole_queue, &digests));
        scope.spawn(move || hash_chunks(&chunk_queue, &lists));
        let mut hashers = Hashers { whole, chunk, digest_queue, list_queue };
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
                        let name = names.get(volume).ok_or(Error::Interrupted)?.clone();
                        let place = (start.written, start.existing);
                        let mut target = Target::new((file, path), (volume, name), place)?;
                        target.begin(&start.header);
                        hashers.begin(*start)?;
                        open = Some(target);
                    }
                    Ready::Segment(segment) => {
                        let target = open.as_mut().ok_or(Error::Interrupted)?;
                        let (bytes, blocks) = target.take(segment);
                        hashers.bytes(&bytes)?;
                        target.write(&blocks)?;
                    }
                    Ready::End => {
                        let mut target = open.take().ok_or(Error::Interrupted)?;
                        target.complete()?;
                        let (sha256, chunks) = hashers.end()?;
                        let volume = Volume { bytes: target.at, chunks, name: target.name.clone(), sha256 };
                        let (number, tell) = (target.volume, Arc::clone(tell));
                        tell(Milestone::Written(number, volume))?;
                        // A medium that fails is told of a volume later, not at the end.
                        if syncs.len() >= SYNCS {
                            ended(syncs.remove(0))?;
                        }
                        syncs.push(std::thread::spawn(move || {
                            target.sync()?;
                            tell(Milestone::Synced(number))
                        }));
                    }
                }
            }
        }
        syncs.into_iter().map(ended).fold(Ok(()), Result::and)
    })
}

/// The ways to and from the two hashers.
struct Hashers {
    whole: SyncSender<Hash>,
    chunk: SyncSender<Hash>,
    digest_queue: Receiver<Digest>,
    list_queue: Receiver<Vec<Digest>>,
}

impl Hashers {
    fn send(&mut self, whole: Hash, chunk: Hash) -> Result<(), Error> {
        self.whole.send(whole).and_then(|()| self.chunk.send(chunk)).map_err(|_| Error::Interrupted)
    }

    fn begin(&mut self, start: Start) -> Result<(), Error> {
        let begin = |hasher, list| Hash::Begin(Box::new((hasher, list)));
        self.send(begin(start.whole, vec![]), begin(start.chunk, start.chunks))?;
        self.bytes(&start.header.into())
    }

    fn bytes(&mut self, bytes: &Bytes) -> Result<(), Error> {
        self.send(Hash::Bytes(bytes.clone()), Hash::Bytes(bytes.clone()))
    }

    fn end(&mut self) -> Result<(Digest, Vec<Digest>), Error> {
        self.send(Hash::End, Hash::End)?;
        let digest = self.digest_queue.recv().map_err(|_| Error::Interrupted)?;
        Ok((digest, self.list_queue.recv().map_err(|_| Error::Interrupted)?))
    }
}
