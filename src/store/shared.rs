//! Whole blobs for several readers at the same time, opened and hashed once for all of them.
//!
//! When a site's nodes are told of a new image, they all pull the same layers at about the same time. Of those who read one blob, whoever
//! comes first to a piece opens and hashes it; who comes to it soon after takes what was made, with the hash as it is behind it, and so
//! still ends in the blob's digest. Those in front wait a moment for one who began a little later, or would lose touch, so that clients of
//! about the same speed stay together; a slow client soon had all of that patience: it is left behind, and makes pieces of its own. A blob
//! that one alone reads is read as if this were not here.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::beside::Hashing;
use super::proven::Proven;
use super::{Error, Pieces};
use crate::bundle::seal::PLAIN;
use crate::digest::{Blob, Digest, Hasher};
use crate::release::lock::Seal;

/// Bytes of a piece, counted from the beginning of the volume, so that all readers of a blob cut it at the same places.
const PIECE: u64 = 4 * PLAIN as u64;
/// Bytes of pieces that are kept of one blob, at most, for those who are a little behind.
const BEHIND: usize = 4 << 20;
/// The same of all blobs.
const BEHIND_ALL: usize = 32 << 20;
/// Bytes that one may be behind and still be waited for.
const NEAR: u64 = 64 << 20;
/// How long those in front wait for one who would lose touch, in all.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long one in front waits for others, in all, however many of them there are.
const WAITS: Duration = Duration::from_secs(1);

/// The blobs that are being read.
#[derive(Default)]
pub(super) struct Shared {
    flows: Mutex<HashMap<Digest, Arc<Flow>>>,
}

/// A blob that is being read.
#[derive(Default)]
struct Flow {
    state: Mutex<State>,
    /// A piece was made, or a reader went on.
    moved: Condvar,
}

#[derive(Default)]
struct State {
    readers: Vec<Standing>,
    /// Readers there ever were.
    ever: u64,
    /// Pieces made lately, the newest last.
    pieces: VecDeque<Made>,
    /// First bytes of pieces that someone is making.
    coming: Vec<u64>,
    /// Whether someone counts how long those behind are waited for.
    counted: bool,
}

/// Where a reader is.
struct Standing {
    reader: u64,
    /// First byte that it has not got.
    at: u64,
    /// How long it will be waited for.
    patience: Duration,
    /// The thread it reads on: who waits for another on its own thread keeps that one from coming.
    thread: ThreadId,
}

#[derive(Clone)]
struct Made {
    from: u64,
    bytes: Bytes,
    /// The hash of the blob up to the piece's end.
    hasher: Hasher,
}

impl Flow {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Bytes that may be kept of one blob now.
    fn most(&self) -> usize {
        let flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner).len();
        (BEHIND_ALL / flows.max(1)).min(BEHIND)
    }
}

impl State {
    /// Whether one more piece can be kept only without the oldest.
    fn full(&self, most: usize) -> bool {
        !self.pieces.is_empty() && (self.pieces.len() as u64 + 1) * PIECE > most as u64
    }

    /// Readers who would not find their next piece any more once the one at `at` is made, and are worth waiting for: near enough, with more
    /// of the `size` bytes to come than they are behind, and not kept waiting by this very thread.
    fn late(&mut self, (at, size): (u64, u64), most: usize) -> impl Iterator<Item = &mut Standing> {
        let own = std::thread::current().id();
        self.readers.iter_mut().filter(move |standing| {
            let behind = at.saturating_sub(standing.at);
            let touch = behind + PIECE > most as u64 && behind <= NEAR.min(size - at);
            touch && !standing.patience.is_zero() && standing.thread != own
        })
    }
}

/// What a reader does to get its next piece.
enum Turn {
    /// Take what another made.
    Take(Made),
    /// Make it, for others too.
    Make,
    /// Nobody else reads the blob.
    Alone,
}

/// A blob from its first byte to its last; the last piece comes when the digest holds.
pub struct Whole {
    proven: Arc<Proven>,
    flow: Arc<Flow>,
    /// Which reader of the flow this is.
    reader: u64,
    blob: Blob,
    hashing: Hashing,
    /// How long it will still wait for others.
    patience: Duration,
    alone: Option<Box<dyn Pieces>>,
    held: Option<Bytes>,
}

impl std::fmt::Debug for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whole")
            .field("blob", &self.blob)
            .field("at", &self.hashing.length())
            .finish_non_exhaustive()
    }
}

impl Proven {
    /// Reads `blob` whole. Not a byte of it is wrong, and its last ones come only when its digest holds.
    pub fn whole(self: &Arc<Self>, blob: &Blob) -> Result<Whole, Error> {
        self.volumes().extent(blob, 0)?;
        let mut flows = self.shared.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let flow = Arc::clone(flows.entry(blob.digest).or_default());
        let reader = {
            let mut state = flow.state();
            state.ever += 1;
            let reader = state.ever;
            let thread = std::thread::current().id();
            state.readers.push(Standing { reader, at: 0, patience: PATIENCE, thread });
            reader
        };
        let proven = Arc::clone(self);
        Ok(Whole {
            proven,
            flow,
            reader,
            blob: *blob,
            hashing: Hashing::default(),
            patience: WAITS,
            alone: None,
            held: None,
        })
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        let mut flows = self.proven.shared.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.flow.state();
        state.readers.retain(|standing| standing.reader != self.reader);
        if state.readers.is_empty() {
            flows.remove(&self.blob.digest);
        }
        self.flow.moved.notify_all();
    }
}

/// A piece that is being made: gone without one, whoever waits for it makes it himself.
struct Coming<'a> {
    flow: &'a Flow,
    from: u64,
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.flow.state().coming.retain(|from| *from != self.from);
        self.flow.moved.notify_all();
    }
}

impl Whole {
    fn turn(&mut self, at: u64) -> Turn {
        let (size, most) = (self.blob.size, self.proven.shared.most());
        let flow = Arc::clone(&self.flow);
        let mut state = flow.state();
        // Who reads alone tells of it only here: another may have begun since.
        self.got(&mut state, at);
        loop {
            if let Some(made) = state.pieces.iter().find(|piece| piece.from == at).cloned() {
                self.got(&mut state, at + made.bytes.len() as u64);
                return Turn::Take(made);
            }
            if state.readers.len() == 1 {
                state.pieces.clear();
                return Turn::Alone;
            }
            if state.coming.contains(&at) {
                state = flow.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let late = state.late((at, size), most).map(|standing| standing.patience).max();
            let Some(patience) = late.filter(|_| !self.patience.is_zero()) else {
                state.coming.push(at);
                return Turn::Make;
            };
            let counts = !std::mem::replace(&mut state.counted, true);
            let begun = Instant::now();
            let waited = flow.moved.wait_timeout(state, patience.min(self.patience));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            let waited = begun.elapsed();
            self.patience = self.patience.saturating_sub(waited);
            if counts {
                state.counted = false;
                // All of them were waited for at the same time.
                state
                    .late((at, size), most)
                    .for_each(|late| late.patience = late.patience.saturating_sub(waited));
            }
        }
    }

    /// Notes that this reader has got everything before `at`.
    fn got(&self, state: &mut State, at: u64) {
        if let Some(own) = state.readers.iter_mut().find(|standing| standing.reader == self.reader) {
            own.at = at;
        }
        // Someone in front may have waited for this.
        self.flow.moved.notify_all();
    }

    /// The next piece, hashed; none at the end of the blob.
    fn pull(&mut self) -> Result<Option<Bytes>, Error> {
        let at = self.hashing.length();
        if at >= self.blob.size {
            return Ok(None);
        }
        match self.turn(at) {
            Turn::Alone => self.go_alone(at),
            Turn::Take(made) => {
                self.alone = None;
                self.hashing = Hashing::Alone(made.hasher);
                Ok(Some(made.bytes))
            }
            Turn::Make => {
                self.alone = None;
                self.make(at)
            }
        }
    }

    /// Reads on from `at` as if nobody else read the blob.
    fn go_alone(&mut self, at: u64) -> Result<Option<Bytes>, Error> {
        let pieces = match &mut self.alone {
            Some(pieces) => pieces,
            none => {
                self.hashing = Hashing::beside(std::mem::take(&mut self.hashing).finish(), &self.blob);
                none.insert(self.proven.rest(&self.blob, at)?)
            }
        };
        let bytes = pieces.next()?;
        if let Some(bytes) = &bytes {
            self.hashing.update(bytes);
        }
        Ok(bytes)
    }

    /// Makes the piece at `at`, for all who want it.
    fn make(&mut self, at: u64) -> Result<Option<Bytes>, Error> {
        let coming = Coming { flow: &self.flow, from: at };
        let Some(bytes) = self.proven.piece(&self.blob, at)? else { return Ok(None) };
        let mut hasher = std::mem::take(&mut self.hashing).finish();
        hasher.update(&bytes);
        let most = self.proven.shared.most();
        let mut state = self.flow.state();
        // Pieces that nobody is near enough to take are not kept.
        let near = |other: &Standing| other.at <= at && at - other.at <= most as u64;
        if state.readers.iter().any(|other| other.reader != self.reader && near(other)) {
            while state.full(most) {
                state.pieces.pop_front();
            }
            state.pieces.push_back(Made { from: at, bytes: bytes.clone(), hasher: hasher.clone() });
        }
        self.got(&mut state, hasher.length());
        drop(state);
        drop(coming);
        self.hashing = Hashing::Alone(hasher);
        Ok(Some(bytes))
    }
}

impl Pieces for Whole {
    fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(piece) = self.pull()? else { break };
            if let Some(held) = self.held.replace(piece) {
                return Ok(Some(held));
            }
        }
        let last = self.held.take();
        if last.is_none() && self.blob.size > 0 {
            return Ok(None);
        }
        let hasher = std::mem::take(&mut self.hashing).finish();
        self.hashing = Hashing::Alone(hasher.clone());
        let got = hasher.finish_blob();
        self.proven.judge(&self.blob, got)?;
        Ok(last)
    }
}

impl Proven {
    /// Bytes of `blob` from `at` to where all who read it cut it next; none at its end.
    fn piece(&self, blob: &Blob, at: u64) -> Result<Option<Bytes>, Error> {
        let volumes = self.volumes();
        let (from, to) = volumes.extent(blob, at)?;
        let shape = volumes.shape();
        let place = shape.place(from);
        let cut = ((place.offset / PIECE + 1) * PIECE).min(shape.plain_length(place.volume));
        // Nothing else would show damage of what is not sealed.
        if shape.seal() == Seal::None {
            self.prove(from)?;
        }
        volumes.payload(from, to.min(from - place.offset + cut)).next()
    }
}
