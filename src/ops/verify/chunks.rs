//! Every byte of every volume, without any key: chunk by chunk, on all cores.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::bundle::Index;
use crate::bundle::index::Chunked;
use crate::digest::Hasher;
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
    let unopened = Mutex::new(BTreeMap::new());
    let good = AtomicU64::new(0);
    let bad = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    in_parallel(work.len(), cores, &AtomicBool::new(false), &|item| {
        let (number, chunk) = work[item];
        // Whoever comes next to a free core finds its chunk in memory: the medium reads it while this one is hashed.
        let coming = work
            .get(item + cores)
            .and_then(|&(number, chunk)| Some((open(number).ok()?.0, files[number].range(chunk).0)));
        // Opened for each chunk: a bundle may have more volumes than a process may have open files.
        let (file, path) = match open(number) {
            Ok(file) => file,
            Err(error) => {
                unopened.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_insert(error);
                return;
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
        if item < cores {
            fs::read_ahead(&file, from, to);
        }
        match hash(&file, (from, to), &ahead, observer) {
            Ok(hasher) if hasher.length() == to - from => {
                if hasher.finish() == volume.chunks[crate::checked::small(chunk)] {
                    good.fetch_add(to - from, Ordering::Relaxed);
                    return;
                }
            }
            // Beyond the end of a file whose size was found wrong before: a line for each chunk would say nothing new.
            Ok(hasher) if hasher.length() == 0 => return,
            // Cut off: the size was found before; the chunk is named all the same.
            Ok(_) => {}
            Err(error) => {
                let fault = fault(number, &path, (from, to), error);
                // A medium that is gone says nothing of the bytes it held; an unreadable sector is damage.
                if let store::Error::Gone { .. } | store::Error::Io { .. } = fault {
                    unopened.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_insert(fault);
                    return;
                }
            }
        }
        bad.lock().unwrap_or_else(PoisonError::into_inner).push((number, chunk, from, to));
    });
    let mut bad = bad.into_inner().unwrap_or_else(PoisonError::into_inner);
    bad.sort_unstable();
    let unopened = unopened.into_inner().unwrap_or_else(PoisonError::into_inner);
    let unopened =
        unopened.into_iter().map(|(number, error)| folder::unopened(files[number].name.as_str(), &error));
    let bad = bad.into_iter().map(|(number, chunk, from, to)| {
        let path = files[number].name.to_string();
        Finding::refuse(What::Damaged { path, chunk, from, to })
    });
    Seen { bytes: good.into_inner(), findings: unopened.chain(bad).collect() }
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
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; PIECE];
    let (mut at, mut told) = (from, from);
    while at < to {
        if at >= told {
            ahead(told - from);
            told += AHEAD;
        }
        let wanted = crate::checked::small(to - at).min(PIECE);
        let read = match file.read_at(&mut buffer[..wanted], at) {
            Ok(0) => break,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        hasher.update(&buffer[..read]);
        at += read as u64;
    }
    observer.event(Event::Advance { bytes: at - from });
    Ok(hasher)
}
