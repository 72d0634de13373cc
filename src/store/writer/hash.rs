//! The hashes of what is written: of each file, and of each of its chunks.

use std::sync::mpsc::{Receiver, SyncSender};

use bytes::Bytes;

use crate::digest::{Digest, Hasher};
use crate::limits;

/// Work for a hasher.
pub(super) enum Hash {
    /// A file begins, or is taken up in the middle.
    Begin(Box<(Hasher, Vec<Digest>)>),
    /// Its next bytes.
    Bytes(Bytes),
    /// It is over.
    End,
}

/// Hashes whole files.
pub(super) fn hash_whole(queue: &Receiver<Hash>, out: &SyncSender<Digest>) {
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

/// Hashes files by chunk.
pub(super) fn hash_chunks(queue: &Receiver<Hash>, out: &SyncSender<Vec<Digest>>) {
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
