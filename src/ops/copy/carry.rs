//! One file onto one place: what is missing is written, everything is read back from there, and only what is right gets its name.
//!
//! What an interrupted copy left is not believed: it is read back like the rest, and a chunk of it that is wrong is written again, once.
//! A chunk that was written just now and comes back wrong is the device's doing, and is named.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::gather::{Item, Origin, Piece};
use super::patience::patiently;
use crate::courier::{Error, Held, Place, ReadBack, Writing};
use crate::digest::{Digest, Hasher};
use crate::limits;
use crate::ops::finding::{Finding, What};
use crate::ops::transfer::in_parallel;
use crate::plan::copy::Spread;
use crate::progress::{Event, ItemState, Observer};
use crate::sys::direct::{ALIGN, PIECE, Room};

/// Those who hash for one writer, chunk by chunk in turn: a good device writes faster than one core hashes.
const JUDGES: usize = 2;
/// Pieces that wait to be written, and as many for each who hashes them: its share of a chunk, so that they work side by side.
const WAITING: usize = 8;
const _: () = assert!((WAITING * JUDGES * PIECE) as u64 >= limits::CHUNK_BYTES);
/// Those who read back at most.
const BACK: usize = 4;

/// Bytes up to which a file is read back rather than asked for its hash, which takes a program and a question more.
const SMALL: u64 = 1 << 20;

/// What became of a file.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Bytes that were written.
    pub(super) written: u64,
    /// How it was read back; `None` for one with nothing in it.
    pub(super) way: Option<ReadBack>,
    /// What is wrong with the source, and with the device. With nothing wrong it is whole.
    pub(super) findings: Vec<Finding>,
}

/// What is copied, where to, and who watches.
pub(super) struct Carry<'a> {
    pub(super) origin: &'a Origin<'a>,
    pub(super) place: &'a dyn Place,
    pub(super) observer: &'a dyn Observer,
}

/// What is wrong with pieces of the copy: their numbers, and what came instead.
type Wrong = BTreeMap<usize, String>;
/// What is wrong with pieces of the source: what they are, or what the system said.
type Bad = BTreeMap<usize, Result<Digest, String>>;

/// Bytes of `item` that will be written where `held` is there already, as far as can be told before anything is read.
pub(super) fn to_write(item: &Item, held: Held) -> u64 {
    match held {
        Held::Named(bytes) if bytes == item.bytes => 0,
        Held::Named(bytes) | Held::Begun(bytes) => item.bytes - taken_up(item, bytes),
        Held::Nothing => item.bytes,
    }
}

/// From which byte on `item` is written when `length` bytes are there.
fn taken_up(item: &Item, length: u64) -> u64 {
    let length = length.min(item.bytes);
    length - if length < item.bytes { length % ALIGN as u64 } else { 0 }
}

/// What a judge is told of the source.
enum Seen {
    /// The next bytes of a piece.
    Bytes(Bytes),
    /// That was all of the piece with this number; what the system said where some of it could not be read.
    All(usize, Option<String>),
}

/// Hashes what `queue` gives of `item`; tells which of its pieces are wrong.
fn judge(item: &Item, queue: &Receiver<Seen>) -> Bad {
    let (mut wrong, mut hasher) = (Bad::new(), Hasher::new());
    for seen in queue {
        match seen {
            Seen::Bytes(bytes) => hasher.update(&bytes),
            Seen::All(number, why) => {
                let got = std::mem::take(&mut hasher).finish();
                if let Some(why) = why {
                    wrong.insert(number, Err(why));
                } else if got != item.pieces[number].sha256 {
                    wrong.insert(number, Ok(got));
                }
            }
        }
    }
    wrong
}

/// What was told of one file: bytes that are moved again after a link dropped are not told again.
#[derive(Debug, Default)]
struct Told {
    written: AtomicU64,
    read: AtomicU64,
}

impl Told {
    /// Bytes up to `now` that are new.
    fn more(best: &AtomicU64, now: u64) -> u64 {
        now.saturating_sub(best.fetch_max(now, Ordering::Relaxed))
    }
}

impl Carry<'_> {
    /// Copies `item`, also over links that drop; `Err` when the place fails as a whole.
    pub(super) fn item(&self, item: &Item, held: Held) -> Result<Carried, Error> {
        let told = Told::default();
        let (mut first, reached) = (Some(held), AtomicU64::new(0));
        let mut carry = || {
            let held = match first.take() {
                Some(held) => held,
                None => self.place.held(&item.path)?,
            };
            // What was sent and did not arrive has not moved.
            if let Held::Begun(bytes) | Held::Named(bytes) = held {
                reached.fetch_max(bytes, Ordering::Relaxed);
            }
            self.carry(item, held, &told)
        };
        let moved = || reached.load(Ordering::Relaxed) + told.read.load(Ordering::Relaxed);
        let carried = patiently(self.observer, &mut carry, &moved);
        let state = match &carried {
            Ok(carried) if !carried.findings.is_empty() => ItemState::Failed,
            Ok(Carried { written: 0, .. }) => ItemState::Present,
            Ok(_) => ItemState::Done,
            Err(_) => ItemState::Failed,
        };
        self.observer.event(Event::Item {
            name: item.path.as_str(),
            digest: Some(&item.sha256),
            bytes: item.bytes,
            state,
        });
        carried
    }

    fn carry(&self, item: &Item, held: Held, told: &Told) -> Result<Carried, Error> {
        let mut carried = Carried::default();
        let all: Vec<usize> = (0..item.pieces.len()).collect();
        let mut wrong = Wrong::new();
        let named = held == Held::Named(item.bytes);
        if named {
            wrong = self.read_back(item, held, (&all, &mut carried, Some(told)))?;
            if wrong.is_empty() {
                return Ok(carried);
            }
        }
        let mut part = self.place.begin(&item.path, item.program)?;
        let start = if named { item.bytes } else { taken_up(item, part.length()) };
        let begun = Held::Begun(item.bytes);
        let missing: Vec<usize> =
            all.iter().copied().filter(|n| item.pieces[*n].to > start || (item.bytes == 0)).collect();
        let mut bad = self.write(item, part.as_mut(), (&missing, start, Some(told)), &mut carried)?;
        part.settle(item.bytes)?;
        if !named {
            let look: Vec<usize> = all.iter().copied().filter(|n| !bad.contains_key(n)).collect();
            wrong = self.read_back(item, begun, (&look, &mut carried, Some(told)))?;
        }
        // Of what was there before, what is wrong gets a second chance.
        let again: Vec<usize> = wrong.keys().copied().filter(|n| item.pieces[*n].from < start).collect();
        if !again.is_empty() {
            bad.extend(self.write(item, part.as_mut(), (&again, 0, None), &mut carried)?);
            part.settle(item.bytes)?;
            wrong.retain(|n, _| !again.contains(n));
            let look: Vec<usize> = again.into_iter().filter(|n| !bad.contains_key(n)).collect();
            let mut unseen = Carried::default();
            wrong.extend(self.read_back(item, begun, (&look, &mut unseen, None))?);
            carried.way = carried.way.max(unseen.way);
        }
        drop(part);
        carried
            .findings
            .extend(bad.into_iter().map(|(n, instead)| Finding::refuse(Self::damaged(item, n, instead))));
        let miswritten = |(n, why): (usize, String)| {
            let Piece { from, to, .. } = item.pieces[n];
            let (place, path) = (self.place.name().to_owned(), item.path.to_string());
            Finding::refuse(What::Miswritten { place, path, chunk: n as u64, from, to, why })
        };
        carried.findings.extend(wrong.into_iter().map(miswritten));
        if carried.findings.is_empty() {
            self.place.publish(&item.path)?;
        }
        Ok(carried)
    }

    /// What is wrong with a piece of the source.
    fn damaged(item: &Item, number: usize, instead: Result<Digest, String>) -> What {
        let Piece { from, to, sha256 } = item.pieces[number];
        let path = item.path.to_string();
        match (item.spread, instead) {
            (Spread::One, _) => What::Damaged { path, chunk: number as u64, from, to },
            (Spread::Each, Err(why)) => What::Unreadable { path, why },
            (Spread::Each, Ok(got)) => What::Changed { path, expected: sha256, got },
        }
    }

    /// Reads the pieces `numbers` of the source, judges them, and writes of them what begins at byte `start`; gives those that are wrong in
    /// the source, with what the system said. They are written too, so that what is beyond them has its place.
    fn write(
        &self,
        item: &Item,
        part: &mut dyn Writing,
        (numbers, start, told): (&[usize], u64, Option<&Told>),
        carried: &mut Carried,
    ) -> Result<Bad, Error> {
        if numbers.is_empty() {
            return Ok(Bad::new());
        }
        if let Some(told) = told {
            told.written.fetch_max(start, Ordering::Relaxed);
        }
        let judges = if self.place.parallel() > 1 { 1 } else { JUDGES.min(crate::sys::cores()) };
        std::thread::scope(|scope| {
            let (mut judging, mut judged) = (Vec::new(), Vec::new());
            for _ in 0..judges {
                let (send, queue) = sync_channel(WAITING);
                judging.push(scope.spawn(move || judge(item, &queue)));
                judged.push(send);
            }
            let (send, pieces) = sync_channel::<(u64, Bytes)>(WAITING);
            scope.spawn(move || self.read(item, (numbers, start), (&judged, &send)));
            for (at, bytes) in pieces {
                let length = bytes.len() as u64;
                // The reader ends when nobody takes what it reads.
                part.write(at, bytes)?;
                carried.written += length;
                if let Some(told) = told {
                    let bytes = Told::more(&told.written, at + length);
                    self.observer.event(Event::Advance { bytes });
                }
            }
            // A reader that ended early has left a hole, which is found when it is read back.
            Ok(judging.into_iter().flat_map(|judge| judge.join().unwrap_or_default()).collect())
        })
    }

    /// Reads the pieces `numbers` one after the other; gives what begins at byte `start` to be written, and all of it to be judged, chunk by
    /// chunk to each judge in turn.
    fn read(
        &self,
        item: &Item,
        (numbers, start): (&[usize], u64),
        (judges, send): (&[SyncSender<Seen>], &SyncSender<(u64, Bytes)>),
    ) {
        let opened = match &item.known {
            Some(_) => None,
            None => Some(self.origin.open(item)),
        };
        for (number, judge) in numbers.iter().zip(judges.iter().cycle()) {
            let Piece { from, to, .. } = item.pieces[*number];
            let (mut at, mut why) = (from, None);
            while at < to {
                let length = crate::checked::small(to - at).min(PIECE);
                let mut room = Room::new();
                let space = room.bytes(length);
                let outcome = match (&opened, &item.known) {
                    (Some(Ok(file)), _) => file.read_exact_at(space, at).map_err(|error| error.to_string()),
                    (Some(Err(what)), _) => Err(what.to_string()),
                    (None, Some(known)) => {
                        let from = crate::checked::small(at);
                        space.copy_from_slice(&known[from..from + length]);
                        Ok(())
                    }
                    (None, None) => Err(String::new()),
                };
                if let Err(error) = outcome {
                    space.fill(0);
                    why.get_or_insert(error);
                }
                let bytes = room.freeze(length);
                let skip = start.saturating_sub(at).min(length as u64);
                if skip < length as u64
                    && send.send((at + skip, bytes.slice(crate::checked::small(skip)..))).is_err()
                {
                    return;
                }
                at += length as u64;
                let _ = judge.send(Seen::Bytes(bytes));
            }
            let _ = judge.send(Seen::All(*number, why));
        }
    }

    /// Reads the pieces `numbers` back from where they lie; gives those that are wrong, with what came instead.
    fn read_back(
        &self,
        item: &Item,
        held: Held,
        (numbers, carried, told): (&[usize], &mut Carried, Option<&Told>),
    ) -> Result<Wrong, Error> {
        let reader = self.place.reader(&item.path, held)?;
        let length: u64 =
            numbers.iter().map(|number| item.pieces[*number].to - item.pieces[*number].from).sum();
        if item.bytes > SMALL && reader.digest()? == Some(item.sha256) {
            if item.bytes > 0 {
                carried.way = carried.way.max(Some(reader.way()));
            }
            if let Some(told) = told {
                self.observer.event(Event::Advance { bytes: Told::more(&told.read, length) });
            }
            return Ok(Wrong::new());
        }
        let seen = AtomicU64::new(0);
        let wrong = Mutex::new(Wrong::new());
        let failed = Mutex::new(None);
        let stop = AtomicBool::new(false);
        // Some read while others hash.
        in_parallel(numbers.len(), (2 * crate::sys::cores()).min(BACK), &stop, &|which| {
            let number = numbers[which];
            let Piece { from, to, sha256 } = item.pieces[number];
            let mut hasher = Hasher::new();
            let outcome = reader.read(from, to, &mut |piece| {
                hasher.update(piece);
                let now = seen.fetch_add(piece.len() as u64, Ordering::Relaxed) + piece.len() as u64;
                if let Some(told) = told {
                    self.observer.event(Event::Advance { bytes: Told::more(&told.read, now) });
                }
            });
            let why = match outcome {
                Ok(()) if hasher.length() < to - from => {
                    Some(format!("{} bytes of {} came back", hasher.length(), to - from))
                }
                Ok(()) if hasher.finish() != sha256 => Some("other bytes came back".to_owned()),
                Ok(()) => None,
                Err(Error::Io { source, .. }) => Some(source.to_string()),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    None
                }
            };
            if let Some(why) = why {
                wrong.lock().unwrap_or_else(PoisonError::into_inner).insert(number, why);
            }
        });
        if item.bytes > 0 {
            carried.way = carried.way.max(Some(reader.way()));
        }
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(wrong.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}
