//! The one engine that moves blobs: opens, hashes while the bytes stream, and lets nothing through that is not what was asked for.
//!
//! Two ends exist. [`in_order`] feeds a sink that takes one stream (the volume writer), reading ahead with several threads;
//! [`in_parallel`] gives each blob to a worker of its own (a registry, or nowhere). Both see blobs only through [`Checked`], which holds
//! back the last piece until the digest holds: whoever finishes a blob has finished the right one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::digest::{Blob, Hasher};
use crate::progress::{Event, Observer};
use crate::store::beside::Hashing;
use crate::store::{Error, Pieces, Source};

/// A source whose blobs are what they should be: every byte handed out is hashed, and the last ones only when the digest holds.
pub struct Checked<'a> {
    source: &'a dyn Source,
    place: &'a str,
    observer: &'a dyn Observer,
    told: AtomicU64,
    /// Whether blobs are hashed beside others.
    beside: bool,
}

impl std::fmt::Debug for Checked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checked").field("place", &self.place).finish_non_exhaustive()
    }
}

impl<'a> Checked<'a> {
    /// Checks what `source`, called `place` in messages, gives for one blob; tells `observer` of each new byte once.
    #[must_use]
    pub fn new(source: &'a dyn Source, place: &'a str, observer: &'a dyn Observer) -> Self {
        Self { source, place, observer, told: AtomicU64::new(0), beside: false }
    }

    /// Hashes large blobs beside those that are read at the same time. Their hash is not known in between: [`CheckedPieces::mark`] is for
    /// others.
    #[must_use]
    pub fn beside_others(self) -> Self {
        Self { beside: true, ..self }
    }

    /// Goes on at `hasher.length()`, after bytes that were hashed before.
    pub fn go_on(&self, blob: &Blob, hasher: Hasher) -> Result<CheckedPieces<'_>, Error> {
        let at = hasher.length();
        self.told.fetch_max(at, Ordering::Relaxed);
        let inner = self.source.open(blob, at)?;
        Ok(CheckedPieces {
            check: self,
            inner,
            blob: *blob,
            hashing: Some(if self.beside { Hashing::beside(hasher, blob) } else { Hashing::Alone(hasher) }),
            rest: None,
            held: None,
            skip: 0,
            at,
            marks: VecDeque::new(),
            passed: VecDeque::new(),
        })
    }
}

impl Source for Checked<'_> {
    /// Bytes before `offset` are read and hashed too, and not handed out: an upload that goes on in the middle still ends in a digest.
    fn open<'b>(&'b self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'b>, Error> {
        let mut pieces = self.go_on(blob, Hasher::new())?;
        pieces.skip = offset;
        Ok(Box::new(pieces))
    }
}

/// The pieces of a blob, checked.
pub struct CheckedPieces<'a> {
    check: &'a Checked<'a>,
    inner: Box<dyn Pieces + 'a>,
    blob: Blob,
    hashing: Option<Hashing>,
    rest: Option<Bytes>,
    held: Option<Bytes>,
    skip: u64,
    at: u64,
    marks: VecDeque<u64>,
    passed: VecDeque<Hasher>,
}

impl std::fmt::Debug for CheckedPieces<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckedPieces")
            .field("blob", &self.blob)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl CheckedPieces<'_> {
    fn wrong(&self, got: Blob) -> Error {
        Error::Wrong { place: self.check.place.to_owned(), wanted: self.blob, got }
    }

    /// Keeps the hash as it is after each of these lengths (ascending), for [`CheckedPieces::hash_here`].
    pub fn mark(&mut self, lengths: impl IntoIterator<Item = u64>) {
        self.marks.extend(lengths);
    }

    /// Where the next piece begins, in the blob.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The hash of everything before byte `at`, when that was marked and passed.
    pub fn hash_here(&mut self, at: u64) -> Option<Hasher> {
        self.passed.pop_front_if(|hasher| hasher.length() == at)
    }

    /// The next piece as it came, hashed; `None` at the end of a blob whose digest holds. No piece crosses a mark.
    fn pull(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(hashing) = &mut self.hashing else { return Ok(None) };
        let next = match self.rest.take() {
            Some(rest) => Some(rest),
            None => self.inner.next()?,
        };
        let Some(mut piece) = next else {
            let got = self.hashing.take().unwrap_or_default().finish().finish_blob();
            return if got == self.blob { Ok(None) } else { Err(self.wrong(got)) };
        };
        let length = hashing.length();
        if let Hashing::Alone(hasher) = hashing
            && let Some(mark) = self.marks.front()
            && length + piece.len() as u64 >= *mark
            && let Ok(before) = usize::try_from(mark - length)
        {
            self.rest = Some(piece.split_off(before)).filter(|rest| !rest.is_empty());
            self.marks.pop_front();
            hasher.update(&piece);
            self.passed.push_back(hasher.clone());
            return Ok(Some(piece));
        }
        hashing.update(&piece);
        if hashing.length() > self.blob.size {
            let got = self.hashing.take().unwrap_or_default().finish().finish_blob();
            return Err(self.wrong(got));
        }
        Ok(Some(piece))
    }

    fn hand_out(&mut self, mut piece: Bytes) -> Bytes {
        self.at += piece.len() as u64;
        let before = self.check.told.fetch_max(self.at, Ordering::Relaxed);
        if self.at > before {
            self.check.observer.event(Event::Advance { bytes: self.at - before });
        }
        let skipped = usize::try_from(self.skip).map_or(piece.len(), |s| s.min(piece.len()));
        self.skip -= skipped as u64;
        piece.split_off(skipped)
    }
}

impl Pieces for CheckedPieces<'_> {
    fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(piece) = self.pull()? else {
                let last = self.held.take().map(|held| self.hand_out(held));
                return Ok(last.filter(|piece| !piece.is_empty()));
            };
            if let Some(held) = self.held.replace(piece) {
                let out = self.hand_out(held);
                if !out.is_empty() {
                    return Ok(Some(out));
                }
            }
        }
    }
}

/// What [`in_order`] hands on.
#[derive(Debug)]
pub enum Part {
    /// Bytes of the current blob.
    Bytes(Bytes),
    /// The hash of the current blob so far, at a place the caller asked to be told of.
    Hash(Hasher),
}

/// Reads one blob and gives its parts to `out`; an error of `out` ends the reading.
pub type Read<'a> = dyn Fn(usize, &mut dyn FnMut(Part) -> Result<(), Error>) -> Result<(), Error> + Sync + 'a;

/// How far [`in_order`] reads ahead of the item that is being handed on.
pub struct Ahead<'a> {
    /// Items in progress, the current one among them; at least 1.
    pub items: usize,
    /// Bytes of the items after the current one. What a network has under way for them is read again when the process is killed;
    /// an item larger than this is opened when its turn has come.
    pub bytes: u64,
    /// Bytes of an item.
    pub size: &'a dyn Fn(usize) -> u64,
}

impl std::fmt::Debug for Ahead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ahead")
            .field("items", &self.items)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Parts of an item that wait to be handed on: enough that neither side sleeps over each, and little to read again after a kill.
const PARTS: usize = 4;

/// Reads items with `ahead.items` threads and hands their parts on, item after item, in order.
///
/// `each` is called with an item's number and its parts; at its end with `None`. Items in progress have a few pieces waiting each,
/// so memory does not grow with their size.
pub fn in_order(
    items: std::ops::Range<usize>,
    ahead: &Ahead<'_>,
    read: &Read<'_>,
    each: &mut dyn FnMut(usize, Option<Part>) -> Result<(), Error>,
) -> Result<(), Error> {
    let most = ahead.items.max(1);
    std::thread::scope(|scope| {
        let (orders, queue) = sync_channel::<(usize, SyncSender<Result<Part, Error>>)>(0);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..most.min(items.len()) {
            let queue = Arc::clone(&queue);
            scope.spawn(move || read_loop(&queue, read));
        }
        let mut waiting: VecDeque<Receiver<Result<Part, Error>>> = VecDeque::new();
        let mut upcoming = items.clone().peekable();
        let mut begun_bytes = 0_u64;
        for item in items {
            // `item` is the current one, or becomes it below: it does not count as read ahead.
            if !waiting.is_empty() {
                begun_bytes -= (ahead.size)(item);
            }
            while waiting.len() < most
                && let Some(next) = upcoming.next_if(|next| {
                    *next == item || begun_bytes.saturating_add((ahead.size)(*next)) <= ahead.bytes
                })
            {
                if next != item {
                    begun_bytes += (ahead.size)(next);
                }
                let (parts, receiver) = sync_channel(PARTS);
                orders.send((next, parts)).map_err(|_| Error::Interrupted)?;
                waiting.push_back(receiver);
            }
            let parts = waiting.pop_front().ok_or(Error::Interrupted)?;
            for part in parts {
                each(item, Some(part?))?;
            }
            each(item, None)?;
        }
        Ok(())
    })
}

type Orders = Receiver<(usize, SyncSender<Result<Part, Error>>)>;

fn read_loop(queue: &Mutex<Orders>, read: &Read<'_>) {
    loop {
        let order = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return,
        };
        let Ok((item, parts)) = order else { return };
        let outcome = read(item, &mut |part| parts.send(Ok(part)).map_err(|_| Error::Interrupted));
        if let Err(error) = outcome {
            // The receiver is gone only when the whole transfer ended for another reason.
            let _ = parts.send(Err(error));
        }
    }
}

/// Carries out `work` for each of `0..count` on `workers` threads. A failure of one does not stop the others; `stop` does.
pub fn in_parallel(count: usize, workers: usize, stop: &AtomicBool, work: &(dyn Fn(usize) + Sync)) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, count.max(1)) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    if item >= count {
                        return;
                    }
                    work(item);
                }
            });
        }
    });
}

/// The whole of a blob small enough to hold, checked.
pub fn read_whole(source: &Checked<'_>, blob: &Blob) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut pieces = source.open(blob, 0)?;
    while let Some(piece) = pieces.next()? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::progress::Silent;

    struct Canned(Vec<Bytes>);

    impl Source for Canned {
        fn open<'a>(&'a self, _: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, Error> {
            let mut all: Vec<u8> = self.0.concat();
            all.drain(..usize::try_from(offset).unwrap());
            Ok(Box::new(Rest(all.chunks(3).map(Bytes::copy_from_slice).collect())))
        }
    }

    struct Rest(VecDeque<Bytes>);

    impl Pieces for Rest {
        fn next(&mut self) -> Result<Option<Bytes>, Error> {
            Ok(self.0.pop_front())
        }
    }

    fn blob(bytes: &[u8]) -> Blob {
        Blob { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }

    #[test]
    fn right_bytes_pass_from_any_offset() {
        let canned = Canned(vec![Bytes::from_static(b"hello world")]);
        let checked = Checked::new(&canned, "here", &Silent);
        for offset in 0..=11 {
            let mut got = vec![];
            let mut pieces = checked.open(&blob(b"hello world"), offset).unwrap();
            while let Some(piece) = pieces.next().unwrap() {
                got.extend_from_slice(&piece);
            }
            assert_eq!(got, b"hello world"[usize::try_from(offset).unwrap()..]);
        }
        assert_eq!(checked.told.load(Ordering::Relaxed), 11);
    }

    #[test]
    fn wrong_bytes_never_come_out_whole() {
        for given in [&b"hello worle"[..], b"hello worl", b"hello world!", b""] {
            let canned = Canned(vec![Bytes::copy_from_slice(given)]);
            let checked = Checked::new(&canned, "here", &Silent);
            let mut got = 0;
            let mut pieces = checked.open(&blob(b"hello world"), 0).unwrap();
            let error = loop {
                match pieces.next() {
                    Ok(Some(piece)) => got += piece.len(),
                    Ok(None) => panic!("{given:?} passed"),
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, Error::Wrong { .. }));
            assert!(got < 11);
        }
    }

    fn ahead(items: usize, bytes: u64) -> Ahead<'static> {
        Ahead { items, bytes, size: &|item| item as u64 }
    }

    #[test]
    fn what_is_large_is_not_opened_before_its_turn() {
        let open = Mutex::new(vec![]);
        let read = |item: usize, out: &mut dyn FnMut(Part) -> Result<(), Error>| {
            open.lock().unwrap().push(item);
            out(Part::Bytes(Bytes::from_static(b"x")))
        };
        let sizes = [1, 1, 90, 1, 1, 90, 90];
        let ahead = Ahead { items: 4, bytes: 10, size: &|item| sizes[item] };
        in_order(0..7, &ahead, &read, &mut |item, part| {
            if part.is_some() {
                std::thread::sleep(std::time::Duration::from_millis(5));
                let open = open.lock().unwrap();
                let beyond: u64 = open.iter().filter(|other| **other > item).map(|other| sizes[*other]).sum();
                assert!(beyond <= 10, "{open:?} at {item}");
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(open.into_inner().unwrap().len(), 7);
    }

    #[test]
    fn items_come_in_order_whatever_the_threads_do() {
        let mut seen = vec![];
        let read = |item: usize, out: &mut dyn FnMut(Part) -> Result<(), Error>| {
            std::thread::sleep(std::time::Duration::from_millis((item as u64 * 7) % 5));
            for _ in 0..item % 4 {
                out(Part::Bytes(Bytes::from(item.to_string())))?;
            }
            Ok(())
        };
        in_order(3..40, &ahead(5, 12), &read, &mut |item, part| {
            seen.push((item, part.is_some()));
            Ok(())
        })
        .unwrap();
        let expected: Vec<_> =
            (3..40).flat_map(|i| std::iter::repeat_n((i, true), i % 4).chain([(i, false)])).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_fault_ends_the_whole_and_leaves_no_thread_behind() {
        let read = |item: usize, out: &mut dyn FnMut(Part) -> Result<(), Error>| {
            if item == 4 {
                return Err(Error::Interrupted);
            }
            out(Part::Bytes(Bytes::from_static(b"x")))
        };
        let mut ended = vec![];
        let outcome = in_order(0..100, &ahead(3, 1000), &read, &mut |item, part| {
            if part.is_none() {
                ended.push(item);
            }
            Ok(())
        });
        assert!(outcome.is_err());
        assert_eq!(ended, [0, 1, 2, 3]);
    }
}
