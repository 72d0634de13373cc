//! Hashes of streams that are worked on at the same time, fed side by side where that is faster.
//!
//! Who opens and sends a stream need not hash it at once: what must wait for the digest is the end. So pieces are handed in, and whoever
//! hands in the piece that makes enough streams have one hashes a piece of each of them ([`MultiBuffer`]). Where there are too few
//! streams, or the processor has no use for several, each is hashed by who hands it in, while it is in that core's cache. Who is in front
//! waits a moment for others, and no longer: a stream that stands still holds nobody up.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};

use crate::digest::multi_buffer::{MultiBuffer, STREAMS};
use crate::digest::{BLOCK, Blob, Hasher};

/// Pieces of one stream that wait at most: what waits is to stay in a cache.
const WAITING: usize = 2;
/// Streams side by side from which on it is faster in all: waiting for one another costs something, too.
const ENOUGH: usize = STREAMS - 1;
/// How long a stream that is in front waits for others to come level.
const PATIENCE: Duration = Duration::from_millis(1);
/// How long after its last piece a stream still counts among those that may come level: who has a slow client comes less often.
const LIVELY: Duration = Duration::from_millis(8);
/// Bytes of a piece from which on it is worth it.
const LARGE: usize = 16 << 10;
/// Bytes of a blob from which on it is hashed beside others.
const WORTH: u64 = 4 << 20;

/// The streams of this process.
static JOBS: Jobs =
    Jobs { streams: Mutex::new(Streams { slots: Vec::new(), ever: 0 }), done: Condvar::new() };

struct Jobs {
    streams: Mutex<Streams>,
    /// A hasher was put back.
    done: Condvar,
}

struct Streams {
    slots: Vec<Slot>,
    /// Streams there ever were.
    ever: u64,
}

struct Slot {
    stream: u64,
    /// None while someone feeds it.
    hasher: Option<Hasher>,
    waiting: VecDeque<Bytes>,
    /// When its last piece came.
    seen: Instant,
}

impl Slot {
    /// Whether it may soon have a piece that can be hashed beside those of others.
    fn is_lively(&self) -> bool {
        self.hasher.is_none() || self.seen.elapsed() < LIVELY
    }

    /// Whether a piece of it can be hashed beside those of others.
    fn is_ready(&self) -> bool {
        self.hasher.as_ref().is_some_and(Hasher::is_even)
            && self.waiting.front().is_some_and(|piece| piece.len() >= LARGE)
    }
}

impl Jobs {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a blob is hashed.
#[derive(Debug)]
pub enum Hashing {
    /// At once, by who reads it; others may want the hash as it is in between.
    Alone(Hasher),
    /// Beside others that are read at the same time.
    Beside(Stream),
}

impl Default for Hashing {
    fn default() -> Self {
        Self::Alone(Hasher::new())
    }
}

impl Hashing {
    /// Goes on with what `hasher` has seen, of `blob`: beside others where it is large enough for that.
    #[must_use]
    pub fn beside(hasher: Hasher, blob: &Blob) -> Self {
        match MultiBuffer::get().filter(|_| blob.size >= WORTH) {
            Some(many) => Self::Beside(Stream::new(hasher, many)),
            None => Self::Alone(hasher),
        }
    }

    /// Bytes taken in so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Alone(hasher) => hasher.length(),
            Self::Beside(stream) => stream.length,
        }
    }

    /// Takes in `piece`.
    pub fn update(&mut self, piece: &Bytes) {
        match self {
            Self::Alone(hasher) => hasher.update(piece),
            Self::Beside(stream) => stream.update(piece),
        }
    }

    /// The hash of everything that was taken in.
    #[must_use]
    pub fn finish(self) -> Hasher {
        match self {
            Self::Alone(hasher) => hasher,
            Self::Beside(stream) => stream.finish(),
        }
    }
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    number: u64,
    length: u64,
    many: MultiBuffer,
}

impl Stream {
    /// A stream that goes on after what `hasher` has seen.
    fn new(hasher: Hasher, many: MultiBuffer) -> Self {
        let length = hasher.length();
        let mut streams = JOBS.streams();
        streams.ever += 1;
        let number = streams.ever;
        streams.slots.push(Slot {
            stream: number,
            hasher: Some(hasher),
            waiting: VecDeque::new(),
            seen: Instant::now(),
        });
        Self { number, length, many }
    }

    /// Hands in `piece`.
    fn update(&mut self, piece: &Bytes) {
        self.length += piece.len() as u64;
        let mut streams = JOBS.streams();
        if let Some(own) = streams.slot(self.number) {
            own.waiting.push_back(piece.clone());
            own.seen = Instant::now();
        }
        let begun = Instant::now();
        loop {
            let ready = streams.slots.iter().filter(|slot| slot.is_ready()).count();
            let all = streams.slots.iter().filter(|slot| slot.is_lively()).count();
            let Some(own) = streams.slot(self.number) else { return };
            let (waiting, free) = (own.waiting.len(), own.hasher.is_some());
            // A stream that was cut inside of a block is never hashed beside others: it waits for nobody.
            let uneven = own.hasher.as_ref().is_some_and(|hasher| !hasher.is_even());
            let many = Some(self.many).filter(|_| all >= ENOUGH && !uneven);
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match many {
                _ if waiting == 0 => return,
                Some(many) if ready >= STREAMS.min(all) || (ready >= ENOUGH && left.is_zero()) => {
                    together(many, streams);
                    streams = JOBS.streams();
                    // Others may have been in front: what waits stays little.
                    if streams.slot(self.number).is_none_or(|own| own.waiting.len() <= WAITING) {
                        return;
                    }
                }
                Some(_) if waiting <= WAITING => return,
                Some(_) if !left.is_zero() => {
                    let waited = JOBS.done.wait_timeout(streams, left);
                    streams = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                _ if free => {
                    alone(self.number, streams);
                    streams = JOBS.streams();
                }
                _ => streams = JOBS.done.wait(streams).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// The hasher, with everything taken in.
    fn finish(self) -> Hasher {
        let mut streams = JOBS.streams();
        loop {
            let Some(at) = streams.slots.iter().position(|slot| slot.stream == self.number) else {
                return Hasher::new();
            };
            if let Some(mut hasher) = streams.slots[at].hasher.take() {
                let slot = streams.slots.swap_remove(at);
                drop(streams);
                slot.waiting.iter().for_each(|piece| hasher.update(piece));
                return hasher;
            }
            streams = JOBS.done.wait(streams).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        JOBS.streams().slots.retain(|slot| slot.stream != self.number);
    }
}

impl Streams {
    fn slot(&mut self, stream: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.stream == stream)
    }

    fn put_back(&mut self, stream: u64, hasher: Hasher, rest: Bytes) {
        // A stream may have been given up meanwhile.
        if let Some(slot) = self.slot(stream) {
            slot.hasher = Some(hasher);
            if !rest.is_empty() {
                slot.waiting.push_front(rest);
            }
        }
    }
}

/// Hashes the first piece that waits of one stream.
fn alone(stream: u64, mut streams: MutexGuard<'_, Streams>) {
    let Some(slot) = streams.slot(stream) else { return };
    let Some(mut hasher) = slot.hasher.take() else { return };
    let piece = slot.waiting.pop_front().unwrap_or_default();
    drop(streams);
    hasher.update(&piece);
    JOBS.streams().put_back(stream, hasher, Bytes::new());
    JOBS.done.notify_all();
}

/// Hashes as much of the first piece of several streams as all of them have.
fn together(many: MultiBuffer, mut streams: MutexGuard<'_, Streams>) {
    let mut taken: Vec<(u64, Hasher, Bytes)> = Vec::with_capacity(STREAMS);
    for slot in streams.slots.iter_mut().filter(|slot| slot.is_ready()).take(STREAMS) {
        if let (Some(hasher), Some(piece)) = (slot.hasher.take(), slot.waiting.pop_front()) {
            taken.push((slot.stream, hasher, piece));
        }
    }
    drop(streams);
    let length = taken.iter().map(|(.., piece)| piece.len()).min().unwrap_or(0) / BLOCK * BLOCK;
    let mut hashers = Vec::with_capacity(STREAMS);
    let mut pieces = Vec::with_capacity(STREAMS);
    for (_, hasher, piece) in &mut taken {
        hashers.push(hasher);
        pieces.push(&piece[..length]);
    }
    many.update(&mut hashers, &pieces);
    let mut streams = JOBS.streams();
    for (stream, hasher, mut piece) in taken {
        piece.advance(length);
        streams.put_back(stream, hasher, piece);
    }
    drop(streams);
    JOBS.done.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    /// As many streams as wanted; none where the processor has no use for several.
    fn streams(count: usize) -> Vec<Stream> {
        let many = MultiBuffer::get();
        (0..count).filter_map(|_| Some(Stream::new(Hasher::new(), many?))).collect()
    }

    #[test]
    fn blobs_of_any_number_and_pieces_end_in_their_digests() {
        let worth = Blob { digest: Digest::of(b""), size: WORTH };
        for count in [1, ENOUGH, 3 * STREAMS] {
            std::thread::scope(|scope| {
                for number in 0..count {
                    scope.spawn(move || {
                        let data: Vec<u8> =
                            (0..300_000 + number).map(|n| (n * n + number).to_le_bytes()[1]).collect();
                        let mut hashing = Hashing::beside(Hasher::new(), &worth);
                        for piece in data.chunks([1 << 17, 70_000, 65_536, 1000][number % 4]) {
                            hashing.update(&Bytes::copy_from_slice(piece));
                        }
                        assert_eq!(hashing.length(), data.len() as u64);
                        assert_eq!(hashing.finish().finish(), Digest::of(&data), "{number} of {count}");
                    });
                }
            });
        }
    }

    #[test]
    fn a_stream_that_is_given_up_leaves_nothing_behind() {
        let mut given_up = streams(STREAMS);
        let piece = Bytes::from(vec![7; LARGE]);
        given_up.iter_mut().for_each(|stream| stream.update(&piece));
        let numbers: Vec<u64> = given_up.iter().map(|stream| stream.number).collect();
        drop(given_up);
        let left = JOBS.streams();
        assert!(!left.slots.iter().any(|slot| numbers.contains(&slot.stream)));
    }

    #[test]
    fn streams_that_stand_still_hold_nobody_up_and_little_waits() {
        let mut idle = streams(2 * STREAMS);
        let piece = Bytes::from(vec![7; LARGE]);
        idle.iter_mut().for_each(|stream| stream.update(&piece));
        let begun = Instant::now();
        for mut stream in streams(1) {
            for _ in 0..3200 {
                stream.update(&piece);
                let waiting = JOBS.streams().slot(stream.number).map_or(0, |slot| slot.waiting.len());
                assert!(waiting <= WAITING, "{waiting} pieces wait");
            }
            assert_eq!(stream.finish().finish(), Digest::of(&vec![7; 3200 * LARGE]));
        }
        // Waiting each time would be more than three seconds.
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}
