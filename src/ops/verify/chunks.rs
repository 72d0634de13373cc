//! Every byte of every volume, without any key: chunk by chunk, on all cores.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bundle::Index;
use crate::bundle::index::Chunked;
use crate::checked::small;
use crate::digest::multi_buffer::{MultiBuffer, STREAMS, WORTHWHILE};
use crate::digest::{Digest, Hasher};
use crate::ops::finding::{Finding, What};
use crate::ops::transfer::in_parallel;
use crate::ops::verify::folder;
use crate::progress::{Event, Observer};
use crate::store;
use crate::store::volumes::{Volumes, open_volume};
use crate::sys::fs;

/// Bytes read at once: what stays in a core's own cache until it is hashed.
const PIECE: usize = 256 << 10;
/// Bytes that the system is asked for at once, ahead of the hashing.
const AHEAD: u64 = 2 << 20;
/// The same, where chunks are hashed side by side: of each.
const AHEAD_EACH: u64 = 1 << 20;
/// Bytes read at once of each of them: all together stay in a core's own cache.
const SLICE: usize = 64 << 10;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) bytes: u64,
    pub(super) findings: Vec<Finding>,
}

/// Opens the file with a number, and says where it lies.
type Open<'a> = &'a (dyn Fn(usize) -> Result<(File, PathBuf), store::Error> + Sync);
/// Says what a failed reading of a stretch of it means.
type Fault<'a> = &'a (dyn Fn(usize, &Path, (u64, u64), std::io::Error) -> store::Error + Sync);

/// Hashes every chunk of the volumes; one that cannot be opened is one finding.
pub(super) fn check(index: &Index, volumes: &Volumes, observer: &dyn Observer) -> Seen {
    let files = &index.chunked()[..index.volumes.len()];
    let fault = |number, path: &Path, range, error| volumes.read_fault(number, path, range, error);
    check_files(files, (&|number| volumes.file(number), &fault), observer)
}

/// Hashes every chunk of the parity volumes.
pub(super) fn check_parity(index: &Index, folders: &[PathBuf], observer: &dyn Observer) -> Seen {
    let files = &index.chunked()[index.volumes.len()..];
    let open = |number: usize| {
        let name = files[number].name;
        open_volume(folders, name).map_err(|error| match error {
            store::Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                store::Error::NoVolume { volume: name.to_string() }
            }
            error => error,
        })
    };
    let fault = |number: usize, path: &Path, (from, to), source: std::io::Error| match source.raw_os_error() {
        // An unreadable sector.
        Some(5) => {
            let chunk = from / files[number].step.max(1);
            store::Error::Damaged { volume: files[number].name.to_string(), chunk, from, to }
        }
        _ => store::Error::Io { path: path.to_owned(), source },
    };
    check_files(files, (&open, &fault), observer)
}

fn check_files(files: &[Chunked<'_>], (open, fault): (Open<'_>, Fault<'_>), observer: &dyn Observer) -> Seen {
    let work: Vec<(usize, u64)> = files
        .iter()
        .enumerate()
        .flat_map(|(number, volume)| (0..volume.chunks.len() as u64).map(move |chunk| (number, chunk)))
        .collect();
    let cores = crate::sys::cores();
    let check =
        Check { files, open, fault, observer, work, cores, next: Mutex::new(0), found: Mutex::default() };
    in_parallel(cores, cores, &AtomicBool::new(false), &|_| check.run());
    let mut found = check.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.bad.sort_unstable();
    let unopened = found
        .unopened
        .into_iter()
        .map(|(number, error)| folder::unopened(files[number].name.as_str(), &error));
    let bad = found.bad.into_iter().map(|(number, chunk, from, to)| {
        let path = files[number].name.to_string();
        Finding::refuse(What::Damaged { path, chunk, from, to })
    });
    Seen { bytes: found.good, findings: unopened.chain(bad).collect() }
}

/// What all cores found together.
#[derive(Default)]
struct Found {
    /// Bytes of chunks that are as signed.
    good: u64,
    /// File, chunk, first byte, one past the last.
    bad: Vec<(usize, u64, u64, u64)>,
    /// Files that cannot be opened or read.
    unopened: BTreeMap<usize, store::Error>,
}

/// The chunks of some files, being checked.
struct Check<'a> {
    files: &'a [Chunked<'a>],
    open: Open<'a>,
    fault: Fault<'a>,
    observer: &'a dyn Observer,
    /// File and chunk.
    work: Vec<(usize, u64)>,
    cores: usize,
    next: Mutex<usize>,
    found: Mutex<Found>,
}

impl Check<'_> {
    /// What one core does: a chunk after the other, or many side by side where the medium is quick enough that hashing is what takes the
    /// time. A slow medium is read in order.
    fn run(&self) {
        let many = MultiBuffer::get();
        let mut quick = false;
        loop {
            match (many, self.take(quick && many.is_some())) {
                (_, none) if none.is_empty() => return,
                (Some(many), several) if several.len() > 1 => {
                    let pace = self.together(many, several);
                    quick = pace.reading < pace.hashing * 8;
                }
                (_, one) => {
                    let pace = self.alone(one.start);
                    quick = pace.reading < pace.hashing * 2;
                }
            }
        }
    }

    /// The next chunks to be looked at; several only where so many are left that every core gets as many.
    fn take(&self, several: bool) -> Range<usize> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.work.len() - *next;
        let share = left / self.cores;
        let count = if several && share >= WORTHWHILE { share.min(STREAMS) } else { left.min(1) };
        let taken = *next..*next + count;
        *next = taken.end;
        taken
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hashes one chunk, and says what is wrong with it.
    fn alone(&self, item: usize) -> Pace {
        let (number, chunk) = self.work[item];
        let (open, files) = (self.open, self.files);
        // Whoever comes next to a free core finds its chunk in memory: the medium reads it while this one is hashed.
        let coming = self
            .work
            .get(item + self.cores)
            .and_then(|&(number, chunk)| Some((open(number).ok()?.0, files[number].range(chunk).0)));
        let mut pace = Pace::default();
        // Opened for each chunk: a bundle may have more volumes than a process may have open files.
        let (file, path) = match open(number) {
            Ok(file) => file,
            Err(error) => {
                self.found().unopened.entry(number).or_insert(error);
                return pace;
            }
        };
        let volume = &files[number];
        let (from, to) = volume.range(chunk);
        let ahead = |at: u64| {
            if let Some((file, from)) = &coming {
                fs::read_ahead(file, from + at, from + at + AHEAD);
            }
        };
        // Nobody came before these, who would have asked for them.
        if item < self.cores {
            fs::read_ahead(&file, from, to);
        }
        match hash_at(&file, (from, to), &ahead, &mut pace) {
            Ok(hasher) if hasher.length() == to - from => {
                self.observer.event(Event::Advance { bytes: to - from });
                if hasher.finish() == volume.chunks[small(chunk)] {
                    self.found().good += to - from;
                    return pace;
                }
            }
            // Beyond the end of a file whose size was found wrong before: a line for each chunk would say nothing new.
            Ok(hasher) if hasher.length() == 0 => return pace,
            // Cut off: the size was found before; the chunk is named all the same.
            Ok(_) => {}
            Err(error) => {
                let fault = (self.fault)(number, &path, (from, to), error);
                // A medium that is gone says nothing of the bytes it held; an unreadable sector is damage.
                if let store::Error::Gone { .. } | store::Error::Io { .. } = fault {
                    self.found().unopened.entry(number).or_insert(fault);
                    return pace;
                }
            }
        }
        self.found().bad.push((number, chunk, from, to));
        pace
    }

    /// Hashes several chunks side by side. Of those that are as long as the first, and as signed, nothing more is asked; all others are
    /// looked at again alone, by the hasher that everything else is hashed with.
    fn together(&self, many: MultiBuffer, items: Range<usize>) -> Pace {
        let mut pace = Pace::default();
        let place = |item: usize| {
            let (number, chunk) = self.work[item];
            let (from, to) = self.files[number].range(chunk);
            (number, from, to - from)
        };
        let length = place(items.start).2;
        let streams: Vec<(usize, File, u64)> = items
            .clone()
            .filter_map(|item| {
                let (number, from, its) = place(item);
                let whole = its == length && its.is_multiple_of(SLICE as u64);
                whole.then(|| Some((item, (self.open)(number).ok()?.0, from)))?
            })
            .collect();
        let good = if streams.len() >= WORTHWHILE {
            hash_together(many, &streams, length, &mut pace)
        } else {
            Vec::new()
        };
        for item in items {
            let (number, chunk) = self.work[item];
            let signed = self.files[number].chunks[small(chunk)];
            if good.contains(&(item, signed)) {
                self.observer.event(Event::Advance { bytes: length });
                self.found().good += length;
            } else {
                self.alone(item);
            }
        }
        pace
    }
}

/// The digests of those of `streams` (which, the file, its first byte; each `length` bytes, of whole slices) that could be read to their ends.
fn hash_together(
    many: MultiBuffer,
    streams: &[(usize, File, u64)],
    length: u64,
    pace: &mut Pace,
) -> Vec<(usize, Digest)> {
    let mut hashers = vec![Hasher::new(); streams.len()];
    let mut buffers = vec![0; SLICE * streams.len()];
    let mut whole = vec![true; streams.len()];
    let mut at = 0;
    while at < length {
        let begun = Instant::now();
        for ((_, file, from), (buffer, whole)) in
            streams.iter().zip(buffers.chunks_exact_mut(SLICE).zip(&mut whole))
        {
            let now = from + at;
            if at.is_multiple_of(AHEAD_EACH) {
                let first = if at == 0 { now } else { now + AHEAD_EACH };
                fs::read_ahead(file, first, (now + 2 * AHEAD_EACH).min(from + length));
            }
            *whole = *whole && file.read_exact_at(buffer, now).is_ok();
        }
        let read = Instant::now();
        let slices: Vec<&[u8]> = buffers.chunks_exact(SLICE).collect();
        many.update(&mut hashers.iter_mut().collect::<Vec<_>>(), &slices);
        at += SLICE as u64;
        pace.reading += read - begun;
        pace.hashing += read.elapsed();
    }
    let hashed = streams.iter().zip(hashers).zip(whole).filter(|(_, whole)| *whole);
    hashed.map(|(((item, ..), hasher), _)| (*item, hasher.finish())).collect()
}

/// How long a core waited for bytes, and how long it hashed them.
#[derive(Debug, Default)]
struct Pace {
    reading: Duration,
    hashing: Duration,
}

/// Hashes every chunk of one copy of a volume; its length too is compared.
pub(super) fn check_file(volume: &Chunked<'_>, file: &File, observer: &dyn Observer) -> Vec<Finding> {
    let mut findings = Vec::new();
    let path = || volume.name.to_string();
    let got = file.metadata().map_or(0, |facts| facts.len());
    if got != volume.bytes {
        findings.push(Finding::refuse(What::Size { path: path(), expected: volume.bytes, got }));
    }
    for (chunk, expected) in (0..).zip(volume.chunks) {
        let (from, to) = volume.range(chunk);
        if from >= got {
            break;
        }
        let hashed = hash(file, (from, to), &|at| fs::read_ahead(file, from + at, to), observer);
        if !hashed.is_ok_and(|hasher| hasher.finish() == *expected) {
            findings.push(Finding::refuse(What::Damaged { path: path(), chunk, from, to }));
        }
    }
    findings
}

/// Hashes `from..to` of `file`; tells `ahead` how far it is, every [`AHEAD`] bytes.
pub(crate) fn hash(
    file: &File,
    (from, to): (u64, u64),
    ahead: &dyn Fn(u64),
    observer: &dyn Observer,
) -> std::io::Result<Hasher> {
    let hasher = hash_at(file, (from, to), ahead, &mut Pace::default())?;
    observer.event(Event::Advance { bytes: hasher.length() });
    Ok(hasher)
}

fn hash_at(
    file: &File,
    (from, to): (u64, u64),
    ahead: &dyn Fn(u64),
    pace: &mut Pace,
) -> std::io::Result<Hasher> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; PIECE];
    let (mut at, mut told) = (from, from);
    while at < to {
        if at >= told {
            ahead(told - from);
            told += AHEAD;
        }
        let begun = Instant::now();
        let wanted = small(to - at).min(PIECE);
        let read = match file.read_at(&mut buffer[..wanted], at) {
            Ok(0) => break,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let reading = begun.elapsed();
        hasher.update(&buffer[..read]);
        at += read as u64;
        pace.reading += reading;
        pace.hashing += begun.elapsed().saturating_sub(reading);
    }
    Ok(hasher)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::path::EntryPath;
    use crate::progress::Silent;

    const STEP: u64 = 2 * SLICE as u64;

    /// Files of `lengths` bytes, what was signed of them, and where they lie.
    fn files(lengths: &[u64]) -> (tempfile::TempDir, Vec<(EntryPath, u64, Vec<Digest>)>) {
        let folder = tempfile::tempdir().unwrap();
        let mut all = Vec::new();
        for (number, length) in lengths.iter().enumerate() {
            let name = format!("volume-{number}").parse::<EntryPath>().unwrap();
            let bytes: Vec<u8> = (0..small(*length)).map(|n| (n * n + number).to_le_bytes()[1]).collect();
            std::fs::write(name.under(folder.path()), &bytes).unwrap();
            let chunks = bytes.chunks(small(STEP)).map(Digest::of).collect();
            all.push((name, *length, chunks));
        }
        (folder, all)
    }

    #[test]
    fn chunks_side_by_side_and_one_by_one_are_judged_the_same() {
        // A tail that is no whole slice, a file of one chunk, and more chunks than are hashed at once.
        let (folder, all) = files(&[21 * STEP + 5, STEP, 30 * STEP]);
        let sha256 = Digest::of(b"");
        let chunked: Vec<Chunked<'_>> = all
            .iter()
            .map(|(name, bytes, chunks)| Chunked { name, bytes: *bytes, step: STEP, chunks, sha256 })
            .collect();
        let path = |number: usize| all[number].0.under(folder.path());
        // One bit in a chunk; a file that ends in the middle of another.
        let mut bytes = std::fs::read(path(0)).unwrap();
        bytes[small(3 * STEP) + 7] ^= 4;
        std::fs::write(path(0), bytes).unwrap();
        File::options().write(true).open(path(2)).unwrap().set_len(27 * STEP + 100).unwrap();

        let open: Open<'_> = &|number| {
            let path = path(number);
            File::open(&path)
                .map(|file| (file, path.clone()))
                .map_err(|source| store::Error::Io { path, source })
        };
        let fault: Fault<'_> = &|_, path, _, source| store::Error::Io { path: path.to_owned(), source };
        let work: Vec<(usize, u64)> = (0..3)
            .flat_map(|number| (0..chunked[number].chunks.len() as u64).map(move |chunk| (number, chunk)))
            .collect();
        let check = || Check {
            files: &chunked,
            open,
            fault,
            observer: &Silent,
            work: work.clone(),
            cores: 1,
            next: Mutex::new(0),
            found: Mutex::default(),
        };
        let alone = check();
        for item in 0..work.len() {
            alone.alone(item);
        }
        let expected = alone.found.into_inner().unwrap();
        let bad: Vec<(usize, u64)> = expected.bad.iter().map(|(file, chunk, ..)| (*file, *chunk)).collect();
        assert_eq!(bad, [(0, 3), (2, 27)]);
        assert_eq!(expected.good, 21 * STEP + 5 - STEP + STEP + 27 * STEP);

        if let Some(many) = MultiBuffer::get() {
            let together = check();
            for from in (0..work.len()).step_by(STREAMS) {
                together.together(many, from..(from + STREAMS).min(work.len()));
            }
            let found = together.found.into_inner().unwrap();
            assert_eq!((found.good, found.bad), (expected.good, expected.bad.clone()));
        }
        let seen = check_files(&chunked, (open, fault), &Silent);
        assert_eq!((seen.bytes, seen.findings.len()), (expected.good, 2));
    }
}
