//! Volumes opened ahead of whoever hashes them, so that one reader keeps two cores busy.
//!
//! Opening a stretch and hashing what it held cost about the same and need not wait for each other. A few threads open what readers
//! ask for; each reader is a little ahead of itself, and all of them together are ahead by a fixed amount, so memory does not grow with
//! their number. Where that is used up, and where there are readers enough to keep every core busy, a reader opens its next stretch itself
//! and hashes it while it is still in the core's cache.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::volumes::{Stretch, Volumes};
use super::{Error, Pieces, Source};
use crate::bundle::seal::PLAIN;
use crate::digest::Blob;

/// Units in a stretch: what a reader holds at the least.
const UNITS: u64 = 4;
/// Bytes handed out at a time.
const PIECE: usize = 2 * PLAIN;
/// Stretches that one reader is ahead at most.
const EACH: usize = 3;
/// Stretches that all readers together are ahead at most.
const ALL: usize = 16;

type Opened = Result<Bytes, Error>;
/// A volume's file and where it lies.
type Volume = Arc<(File, PathBuf)>;

struct Order {
    stretch: Stretch,
    file: Volume,
    answer: SyncSender<Opened>,
}

/// Volumes, and threads that open them.
pub struct Ahead {
    volumes: Arc<Volumes>,
    orders: Mutex<Sender<Order>>,
    under_way: Arc<AtomicUsize>,
    threads: usize,
    readers: AtomicUsize,
}

impl std::fmt::Debug for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ahead").field("volumes", &self.volumes).finish_non_exhaustive()
    }
}

impl Ahead {
    /// `threads` threads open `volumes` until this is dropped.
    #[must_use]
    pub fn new(volumes: Arc<Volumes>, threads: usize) -> Self {
        let (orders, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let under_way = Arc::new(AtomicUsize::new(0));
        let threads = threads.max(1);
        for _ in 0..threads {
            let (volumes, queue, under_way) =
                (Arc::clone(&volumes), Arc::clone(&queue), Arc::clone(&under_way));
            std::thread::spawn(move || work(&volumes, &queue, &under_way));
        }
        Self { volumes, orders: Mutex::new(orders), under_way, threads, readers: AtomicUsize::new(0) }
    }

    /// The volumes.
    #[must_use]
    pub fn volumes(&self) -> &Arc<Volumes> {
        &self.volumes
    }

    /// The payload from byte `from` up to, not including, byte `to`.
    #[must_use]
    pub fn payload(&self, from: u64, to: u64) -> Reader<'_> {
        let end = to.min(self.volumes.shape().payload());
        let at = from.min(end);
        self.readers.fetch_add(1, Ordering::Relaxed);
        Reader { ahead: self, at, end, file: None, coming: VecDeque::new(), ready: Bytes::new() }
    }

    /// Hands `order` to the threads, unless they are not needed or all of them together are ahead far enough.
    fn order(&self, order: Order) -> Result<(), Order> {
        if self.readers.load(Ordering::Relaxed) >= self.threads {
            return Err(order);
        }
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= ALL {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            return Err(order);
        }
        let sent = match self.orders.lock() {
            Ok(orders) => orders.send(order).map_err(|refused| refused.0),
            Err(_) => Err(order),
        };
        sent.inspect_err(|_| {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
        })
    }
}

fn open(volumes: &Volumes, stretch: &Stretch, file: &(File, PathBuf)) -> Opened {
    volumes.opened(stretch, &file.0, &file.1)
}

fn work(volumes: &Volumes, queue: &Mutex<Receiver<Order>>, under_way: &AtomicUsize) {
    loop {
        let order = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return,
        };
        let Ok(order) = order else { return };
        let opened = open(volumes, &order.stretch, &order.file);
        // A reader that is gone does not need it.
        let _ = order.answer.send(opened);
        under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Source for Ahead {
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, Error> {
        let (from, to) = self.volumes.extent(blob, offset)?;
        Ok(Box::new(self.payload(from, to)))
    }
}

/// Reads a run of the payload in order.
pub struct Reader<'a> {
    ahead: &'a Ahead,
    at: u64,
    end: u64,
    file: Option<(usize, Volume)>,
    coming: VecDeque<Receiver<Opened>>,
    ready: Bytes,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("at", &self.at).field("end", &self.end).finish_non_exhaustive()
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.ahead.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reader<'_> {
    fn next_stretch(&mut self) -> Result<Option<(Stretch, Volume)>, Error> {
        let volumes = &self.ahead.volumes;
        let Some(stretch) = volumes.stretches_of(UNITS, (self.at, self.end)).next() else { return Ok(None) };
        let file = match self.file.take() {
            Some((volume, file)) if volume == stretch.volume => file,
            _ => Arc::new(volumes.file(stretch.volume)?),
        };
        self.file = Some((stretch.volume, Arc::clone(&file)));
        Ok(Some((stretch, file)))
    }

    /// Asks for what comes next, as far as that is allowed; gives it at once when nothing is coming and nobody else may open it.
    fn ask(&mut self) -> Result<Option<Bytes>, Error> {
        while self.coming.len() < EACH {
            let next = match self.next_stretch() {
                // What is coming is good, and is handed out before this fault is met again.
                Err(_) if !self.coming.is_empty() => return Ok(None),
                next => next?,
            };
            let Some((stretch, file)) = next else { return Ok(None) };
            let (answer, receiver) = sync_channel(1);
            match self.ahead.order(Order { stretch, file, answer }) {
                Ok(()) => {
                    self.at += stretch.plain;
                    self.coming.push_back(receiver);
                }
                Err(_) if !self.coming.is_empty() => return Ok(None),
                Err(order) => {
                    self.at += stretch.plain;
                    return open(&self.ahead.volumes, &order.stretch, &order.file).map(Some);
                }
            }
        }
        Ok(None)
    }
}

impl Pieces for Reader<'_> {
    fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ready.is_empty() {
            let opened = match self.ask()? {
                Some(opened) => opened,
                None => match self.coming.pop_front() {
                    // A thread that ended without an answer: there is no other way to the bytes.
                    Some(coming) => coming.recv().unwrap_or(Err(Error::Interrupted))?,
                    None => return Ok(None),
                },
            };
            self.ready = opened;
        }
        // Not whole stretches, of which queues would then hold many.
        let piece = self.ready.split_to(self.ready.len().min(PIECE));
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}
