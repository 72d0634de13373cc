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
use crate::digest::Blob;

/// Units in a stretch: what a reader holds at the least. Larger ones cost fewer calls and wakings.
const UNITS: u64 = 8;
/// The same where there are more readers than [`FEW`], because of their memory.
const UNITS_OF_MANY: u64 = 4;
/// Readers that may hold large stretches.
const FEW: usize = 16;
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
    inner: Arc<Inner>,
}

/// What readers share.
struct Inner {
    volumes: Arc<Volumes>,
    orders: Mutex<Sender<Order>>,
    under_way: Arc<AtomicUsize>,
    threads: usize,
    readers: AtomicUsize,
}

impl std::fmt::Debug for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ahead").field("volumes", self.volumes()).finish_non_exhaustive()
    }
}

impl Ahead {
    /// `threads` threads open `volumes` until this and its readers are dropped.
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
        let orders = Mutex::new(orders);
        Self { inner: Arc::new(Inner { volumes, orders, under_way, threads, readers: AtomicUsize::new(0) }) }
    }

    /// The volumes.
    #[must_use]
    pub fn volumes(&self) -> &Arc<Volumes> {
        &self.inner.volumes
    }

    /// The payload from byte `from` up to, not including, byte `to`.
    #[must_use]
    pub fn payload(&self, from: u64, to: u64) -> Reader {
        let inner = Arc::clone(&self.inner);
        let end = to.min(inner.volumes.shape().payload());
        let at = from.min(end);
        inner.readers.fetch_add(1, Ordering::Relaxed);
        Reader { inner, at, end, file: None, coming: VecDeque::new() }
    }
}

impl Inner {
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
        let (from, to) = self.volumes().extent(blob, offset)?;
        Ok(Box::new(self.payload(from, to)))
    }
}

/// Reads a run of the payload in order.
pub struct Reader {
    inner: Arc<Inner>,
    at: u64,
    end: u64,
    file: Option<(usize, Volume)>,
    coming: VecDeque<Receiver<Opened>>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("at", &self.at).field("end", &self.end).finish_non_exhaustive()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.inner.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reader {
    fn next_stretch(&mut self) -> Result<Option<(Stretch, Volume)>, Error> {
        let volumes = &self.inner.volumes;
        let few = self.inner.readers.load(Ordering::Relaxed) <= FEW;
        let units = if few { UNITS } else { UNITS_OF_MANY };
        let Some(stretch) = volumes.stretches_of(units, (self.at, self.end)).next() else { return Ok(None) };
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
            match self.inner.order(Order { stretch, file, answer }) {
                Ok(()) => {
                    self.at += stretch.plain;
                    self.coming.push_back(receiver);
                }
                Err(_) if !self.coming.is_empty() => return Ok(None),
                Err(order) => {
                    self.at += stretch.plain;
                    return open(&self.inner.volumes, &order.stretch, &order.file).map(Some);
                }
            }
        }
        Ok(None)
    }
}

impl Pieces for Reader {
    fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let opened = match self.ask()? {
            Some(opened) => opened,
            None => match self.coming.pop_front() {
                // A thread that ended without an answer: there is no other way to the bytes.
                Some(coming) => coming.recv().unwrap_or(Err(Error::Interrupted))?,
                None => return Ok(None),
            },
        };
        Ok(Some(opened).filter(|opened| !opened.is_empty()))
    }
}
