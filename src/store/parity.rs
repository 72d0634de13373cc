//! Columns of a bundle's chunks: the same few bytes of every chunk of a group, read from the volumes and worked on by several threads.
//!
//! Reads every chunk once, a little at a time and far apart: what a disk does at the speed of its random reads of some KiB.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::Error;
use super::volumes::open_volume;
use crate::bundle::index::Chunked;
use crate::bundle::parity::{Columns, GRAIN, Group, Shape};
use crate::checked::small;
use crate::sys::fs;

/// Bytes of memory for columns, of all threads together.
const MEMORY: u64 = 64 << 20;
/// Bytes of a column that are read at once, at most: devices give no more for longer reads.
const WIDEST: u64 = 64 << 10;
/// Threads at most; more would make columns narrow.
const THREADS: usize = 4;
/// Files kept open at the same time, of each kind.
const OPEN: usize = 256;

/// Chunks of several files, numbered through.
pub struct Strip<'a> {
    folders: &'a [PathBuf],
    files: &'a [Chunked<'a>],
    /// The number of the first chunk of each file.
    starts: Vec<u64>,
    open: Vec<OnceLock<File>>,
}

impl<'a> Strip<'a> {
    /// The chunks of `files`, each in whichever of `folders` holds it.
    #[must_use]
    pub fn new(folders: &'a [PathBuf], files: &'a [Chunked<'a>]) -> Self {
        let starts = files.iter().scan(0, |next, file| {
            let start = *next;
            *next += file.chunks.len() as u64;
            Some(start)
        });
        let open = files.iter().take(OPEN).map(|_| OnceLock::new()).collect();
        Self { folders, files, starts: starts.collect(), open }
    }

    /// The file of chunk `number`, and which of its chunks that is.
    fn find(&self, number: u64) -> Option<(usize, u64)> {
        let file = self.starts.partition_point(|start| *start <= number).checked_sub(1)?;
        Some((file, number - self.starts[file]))
    }

    /// Fills `room` with the bytes of chunk `number` from its byte `at` on; with zeros where it has ended.
    ///
    /// # Errors
    /// What the system refused.
    pub fn read(&self, number: u64, at: u64, room: &mut [u8]) -> Result<(), Error> {
        let Some((file, chunk)) = self.find(number) else {
            room.fill(0);
            return Ok(());
        };
        let (from, to) = self.files[file].range(chunk);
        let there = small(to.saturating_sub(from + at)).min(room.len());
        room[there..].fill(0);
        if there == 0 {
            return Ok(());
        }
        let name = self.files[file].name;
        let read = |open: &File, room: &mut [u8]| {
            open.read_exact_at(room, from + at)
                .map_err(|source| Error::Io { path: name.under(&self.folders[0]), source })
        };
        match self.open.get(file) {
            None => read(&self.opened(file)?, &mut room[..there]),
            Some(slot) => {
                let open = match slot.get() {
                    Some(open) => open,
                    None => {
                        let open = self.opened(file)?;
                        slot.get_or_init(|| open)
                    }
                };
                read(open, &mut room[..there])
            }
        }
    }

    fn opened(&self, file: usize) -> Result<File, Error> {
        let (open, _) = open_volume(self.folders, self.files[file].name)?;
        fs::read_scattered(&open);
        Ok(open)
    }
}

/// Works on every column of `group`: `work` gets room, the column's first byte in each chunk, and how many bytes it has. Several at the
/// same time, in no order; stops at the first fault.
///
/// # Errors
/// The first fault of `work`.
pub fn each_column(
    shape: &Shape,
    group: &Group,
    work: &(dyn Fn(&mut Columns, u64, u64) -> Result<(), Error> + Sync),
) -> Result<(), Error> {
    let threads = crate::sys::cores().min(THREADS);
    let width =
        (MEMORY / threads as u64 / group.weight() / GRAIN * GRAIN).clamp(GRAIN, WIDEST).min(shape.length());
    let fault = Mutex::new(None);
    let stop = AtomicBool::new(false);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut columns = Columns::new(group, width);
                while !stop.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed).saturating_mul(width);
                    if at >= shape.length() {
                        break;
                    }
                    if let Err(error) = work(&mut columns, at, width.min(shape.length() - at)) {
                        stop.store(true, Ordering::Relaxed);
                        fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                }
            });
        }
    });
    fault.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
