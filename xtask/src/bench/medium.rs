//! What the medium can do: the bundle's own amount of data, in the bundle's own folder, right beside the command that is measured.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rustix::fs::{Advice, OFlags, fadvise};

/// Bytes written or read by one call.
const BLOCK: usize = 1 << 20;
/// What direct writes are aligned to.
const ALIGN: usize = 4096;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Through the page cache.
    Cached,
    /// Past it.
    Direct,
}

/// Has all dirty data of the machine written out, so that what follows pays for itself alone.
pub(super) fn settle() {
    rustix::fs::sync();
}

/// Bytes per second of writing `bytes` into a new file in `folder`, and syncing it; the file is gone afterwards.
pub(super) fn write(folder: &Path, bytes: u64, way: Way) -> Result<f64, String> {
    settle();
    let path = folder.join("probe");
    let rate = write_file(&path, bytes, way).map_err(|e| format!("{}: {e}", path.display()));
    let _ = std::fs::remove_file(&path);
    settle();
    rate
}

/// The faster way of writing, and how fast it is.
pub(super) fn best(folder: &Path, bytes: u64) -> Result<(Way, f64), String> {
    let direct = write(folder, bytes, Way::Direct).unwrap_or(0.0);
    let cached = write(folder, bytes, Way::Cached)?;
    Ok(if direct > cached { (Way::Direct, direct) } else { (Way::Cached, cached) })
}

fn write_file(path: &Path, bytes: u64, way: Way) -> io::Result<f64> {
    let room = vec![3u8; BLOCK + ALIGN];
    let block = aligned(&room);
    let started = Instant::now();
    let file = create(path, way)?;
    for at in (0..bytes / BLOCK as u64).map(|n| n * BLOCK as u64) {
        file.write_all_at(block, at)?;
    }
    file.sync_data()?;
    Ok(bytes as f64 / started.elapsed().as_secs_f64())
}

/// A new file. Where the filesystem cannot write past the page cache, that is an error, and the measure is left out.
pub(super) fn create(path: &Path, way: Way) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if way == Way::Direct {
        options.custom_flags(i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0));
    }
    options.open(path)
}

/// [`BLOCK`] bytes of `room` at an address that direct writes may begin at.
fn aligned(room: &[u8]) -> &[u8] {
    let skip = room.as_ptr().align_offset(ALIGN).min(ALIGN);
    &room[skip..skip + BLOCK]
}

/// Drops what the page cache holds of `files`, so that the next reader meets the medium.
pub(super) fn forget(files: &[PathBuf]) {
    settle();
    for file in files {
        if let Ok(file) = File::open(file) {
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
        }
    }
}

/// Bytes per second of reading `files` with `cores` threads that look at nothing.
pub(super) fn read(files: &[PathBuf], cores: usize) -> Result<f64, String> {
    let started = Instant::now();
    let bytes = pieces(files, cores, BLOCK, &|| |_: &mut [u8]| Ok(()))?;
    Ok(bytes as f64 / started.elapsed().as_secs_f64())
}

/// Bytes that the system is asked for at once.
const ASK: u64 = 2 << 20;
/// How far before they are due.
const AHEAD: u64 = 16 << 20;

/// Gives every piece of `files` to one of `cores` workers, each made by `worker`, in no order; the bytes that were read. The medium is
/// asked for what comes next before it is due, so that it reads while the workers work.
pub(super) fn pieces<W>(
    files: &[PathBuf],
    cores: usize,
    piece: usize,
    worker: &(dyn Fn() -> W + Sync),
) -> Result<u64, String>
where
    W: FnMut(&mut [u8]) -> io::Result<()>,
{
    let mut work = Vec::new();
    for path in files {
        let io = |e: io::Error| format!("{}: {e}", path.display());
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        work.push((file, length, length.div_ceil(piece as u64)));
    }
    let (next, total) = (AtomicU64::new(0), AtomicU64::new(0));
    let turn = || -> io::Result<()> {
        let (mut buffer, mut handle) = (vec![0u8; piece], worker());
        loop {
            let mut number = next.fetch_add(1, Ordering::Relaxed);
            let Some((file, length)) = work.iter().find_map(|(file, length, pieces)| {
                if number < *pieces {
                    return Some((file, *length));
                }
                number -= pieces;
                None
            }) else {
                return Ok(());
            };
            let from = number * piece as u64;
            let wanted = usize::try_from(length - from).unwrap_or(piece).min(piece);
            if from.is_multiple_of(ASK) {
                let _ = fadvise(file, from + AHEAD, NonZeroU64::new(ASK), Advice::WillNeed);
            }
            file.read_exact_at(&mut buffer[..wanted], from)?;
            handle(&mut buffer[..wanted])?;
            total.fetch_add(wanted as u64, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(turn)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(outcome) => outcome.map_err(|e| e.to_string()),
            Err(_) => Err("a measuring thread ended early".to_owned()),
        })
    })?;
    Ok(total.into_inner())
}
