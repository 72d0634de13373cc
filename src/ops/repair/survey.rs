//! What of a copy is not as signed, and which of the other copies has it right.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::places::Places;
use crate::bundle::index::Chunked;
use crate::bundle::names::{INDEX, SUMS};
use crate::checked::small;
use crate::digest::Digest;
use crate::ops::finding::{Finding, What};
use crate::ops::open::Authenticated;
use crate::ops::open::copies::Known;
use crate::ops::transfer::in_parallel;
use crate::ops::verify::chunks::hash;
use crate::path::EntryPath;
use crate::plan::repair::{Piece, Wrong};
use crate::progress::{Event, Observer};
use crate::store;
use crate::store::volumes::open_volume;
use crate::sys::{delivered, fs};

/// What was seen.
#[derive(Default)]
pub(super) struct Seen {
    /// Bytes of volumes that were looked at.
    pub(super) bytes: u64,
    pub(super) wrong: Vec<Wrong>,
    /// Whether any chunk is as signed: only a copy of this very bundle has one.
    pub(super) any_chunk: bool,
    pub(super) findings: Vec<Finding>,
}

/// Looks at every piece, or at those alone that are named.
pub(super) fn survey(
    known: &Known,
    bundle: &Authenticated,
    (chunked, only): (&[Chunked<'_>], Option<&BTreeSet<Piece>>),
    places: &Places<'_>,
    observer: &dyn Observer,
) -> Seen {
    let mut seen = large(bundle, (chunked, only), places, observer);
    let names: BTreeSet<&EntryPath> = chunked.iter().map(|file| file.name).collect();
    let most = bundle.index.get().most();
    for (path, digest) in bundle.sums.iter().filter(|(path, _)| !names.contains(path)) {
        let piece = Piece::File { path: path.clone() };
        // The index is small, and without it nothing of the bundle is of use.
        if only.is_some_and(|only| !only.contains(&piece)) && path.as_str() != INDEX {
            continue;
        }
        let most = most(path);
        if delivered::hash(bundle.home(), path, most).is_ok_and(|got| got == *digest) {
            continue;
        }
        let copy = places.small(path, digest, most);
        seen.wrong.push(Wrong { piece, copy, barred: None });
    }
    // These are held already, so it does not matter which copy they came from; but they are named after the one that was gone by.
    let lists = std::iter::once((SUMS, known.sums.as_slice()));
    let signatures = known.signatures.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    for (name, bytes) in lists.chain(signatures) {
        let Ok(path) = name.parse::<EntryPath>() else { continue };
        if delivered::read(bundle.home(), &path, bytes.len() as u64).is_ok_and(|own| own == bytes) {
            continue;
        }
        let copy = places.small(&path, &Digest::of(bytes), bytes.len() as u64);
        seen.wrong.push(Wrong { piece: Piece::File { path }, copy, barred: None });
    }
    seen
}

/// How the file of a volume is there.
enum There {
    /// Open, with so many bytes.
    Yes(u64),
    /// Not at all.
    No,
    /// In a way that nothing can be written to.
    Barred(String),
}

fn large(
    bundle: &Authenticated,
    (chunked, only): (&[Chunked<'_>], Option<&BTreeSet<Piece>>),
    places: &Places<'_>,
    observer: &dyn Observer,
) -> Seen {
    let there: Vec<There> = chunked
        .iter()
        .map(|file| match open_volume(&bundle.folders, file.name) {
            Ok((open, _)) => There::Yes(open.metadata().map_or(0, |facts| facts.len())),
            Err(store::Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => There::No,
            Err(store::Error::Io { source, .. }) => There::Barred(source.to_string()),
            Err(_) => {
                There::Barred("something that is no ordinary file is in its place; take it away".to_owned())
            }
        })
        .collect();
    let work: Vec<(usize, u64)> = chunked
        .iter()
        .enumerate()
        .flat_map(|(number, file)| (0..file.chunks.len() as u64).map(move |chunk| (number, chunk)))
        .filter(|(number, chunk)| only.is_none_or(|only| only.contains(&piece(&chunked[*number], *chunk))))
        .collect();
    let length = |(number, chunk): &(usize, u64)| {
        let (from, to) = chunked[*number].range(*chunk);
        to - from
    };
    let bytes = work.iter().map(length).sum();
    observer.event(Event::Begin { verb: "check", bytes, items: work.len() as u64 });
    let bad = Mutex::new(Vec::new());
    let good = AtomicU64::new(0);
    let cores = crate::sys::cores();
    in_parallel(work.len(), cores, &AtomicBool::new(false), &|item| {
        let (number, chunk) = work[item];
        let file = &chunked[number];
        let range = file.range(chunk);
        let held = matches!(there[number], There::Yes(_))
            && open_volume(&bundle.folders, file.name).is_ok_and(|(open, _)| {
                fs::read_ahead(&open, range.0, range.1);
                hash(&open, range, &|_| {}, observer)
                    .is_ok_and(|got| got.finish() == file.chunks[small(chunk)])
            });
        match held {
            true => drop(good.fetch_add(1, Ordering::Relaxed)),
            false => bad.lock().unwrap_or_else(PoisonError::into_inner).push((number, chunk)),
        }
    });
    let mut bad = bad.into_inner().unwrap_or_else(PoisonError::into_inner);
    bad.sort_unstable();
    observer.event(Event::End);
    let mut seen = Seen { bytes, any_chunk: good.into_inner() > 0, ..Seen::default() };
    let mut room = Vec::new();
    for (number, chunk) in bad {
        let file = &chunked[number];
        let piece = piece(file, chunk);
        let barred = match &there[number] {
            There::Barred(why) => Some(why.clone()),
            There::Yes(_) | There::No => None,
        };
        seen.wrong.push(Wrong { piece, copy: places.chunk(file, chunk, &mut room), barred });
    }
    for (file, there) in chunked.iter().zip(&there) {
        match there {
            There::Yes(length) if *length > file.bytes => {
                let piece = Piece::Tail { path: file.name.clone(), bytes: file.bytes };
                seen.wrong.push(Wrong { piece, copy: None, barred: None });
            }
            _ => {}
        }
        let several =
            bundle.folders.iter().filter(|folder| file.name.under(folder).symlink_metadata().is_ok()).count();
        if several > 1 {
            let detail = format!("{} is in more than one folder; only the first was looked at", file.name);
            seen.findings.push(Finding::warn(What::Unchecked { detail }));
        }
    }
    seen
}

fn piece(file: &Chunked<'_>, chunk: u64) -> Piece {
    let (from, to) = file.range(chunk);
    Piece::Chunk { path: file.name.clone(), chunk, from, to }
}
