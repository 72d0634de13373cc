//! Mending: one step after the other, each proved before it is written and after.

use std::path::{Path, PathBuf};

use super::places::{Places, read};
use crate::bundle::index::Chunked;
use crate::checked::small;
use crate::digest::{Digest, Hasher};
use crate::ops::open::Authenticated;
use crate::ops::open::copies::Known;
use crate::ops::sign::SUMS;
use crate::path::EntryPath;
use crate::plan::repair::{From, Piece, Step};
use crate::progress::{Event, ItemState, Observer};
use crate::sys::fs;
use crate::sys::mend::{Large, Mending};

/// What is said of a copy that had a piece right when it was asked first, and has no more.
const NO_MORE: &str = "the copy that had it right does not any more";
/// What is said of a device that does not keep what it is given.
const NOT_KEPT: &str = "it was written, and what is read back is something else: the medium does not keep it";

/// What mending works with.
pub(super) struct Acting<'a> {
    pub(super) known: &'a Known,
    pub(super) bundle: &'a Authenticated,
    pub(super) chunked: &'a [Chunked<'a>],
    pub(super) places: &'a Places<'a>,
    pub(super) mending: &'a [(PathBuf, Mending)],
}

impl Acting<'_> {
    /// Takes every step; gives what became of each, or why not.
    pub(super) fn run(&self, steps: &[Step], observer: &dyn Observer) -> Vec<Result<(), String>> {
        let mut room = Vec::new();
        let mut done: Vec<Result<(), String>> = steps
            .iter()
            .map(|step| {
                let (outcome, bytes) = match &step.piece {
                    Piece::Chunk { path, chunk, from, to } => {
                        (self.chunk((path, *chunk), step.from, &mut room), to - from)
                    }
                    Piece::Tail { path, bytes } => (self.cut(path, *bytes), 0),
                    Piece::File { path } => (self.small(path, step.from), 0),
                };
                let state = if outcome.is_ok() { ItemState::Done } else { ItemState::Failed };
                observer.event(Event::Advance { bytes });
                observer.event(Event::Item { name: step.piece.path().as_str(), digest: None, bytes, state });
                outcome
            })
            .collect();
        // A volume that was made anew has a name that a power cut could still take away.
        let mut settled: Option<(&EntryPath, Result<(), String>)> = None;
        for (step, outcome) in steps.iter().zip(&mut done) {
            let Piece::Chunk { path, .. } = &step.piece else { continue };
            if settled.as_ref().is_none_or(|(other, _)| *other != path) {
                let settle = || self.large(path)?.settle().map_err(|error| error.to_string());
                settled = Some((path, settle()));
            }
            if let (Ok(()), Some((_, Err(why)))) = (&outcome, &settled) {
                *outcome = Err(why.clone());
            }
        }
        done
    }

    fn chunk(&self, (path, chunk): (&EntryPath, u64), from: From, room: &mut Vec<u8>) -> Result<(), String> {
        let file = self.chunked.iter().find(|file| file.name == path).ok_or(NO_MORE)?;
        let held = match from {
            From::Copy(number) => self.places.chunk_of(number, file, chunk, room),
            From::Cut => false,
        };
        if !held {
            return Err(NO_MORE.to_owned());
        }
        let large = self.large(path)?;
        put(&large, file, chunk, room)
    }

    fn large(&self, path: &EntryPath) -> Result<Large, String> {
        self.hold(path).large(path).map_err(|error| match error {
            fs::Error::Irregular { .. } => {
                "it is no ordinary file, or has a second name elsewhere: copy the folder, and mend the copy"
                    .to_owned()
            }
            error => error.to_string(),
        })
    }

    /// The folder that holds `path`; the first when none does.
    fn hold(&self, path: &EntryPath) -> &Mending {
        let there = |folder: &Path| path.under(folder).symlink_metadata().is_ok();
        let first = || self.mending.iter().find(|(folder, _)| folder == self.bundle.home());
        let found = self.mending.iter().find(|(folder, _)| there(folder)).or_else(first);
        &found.unwrap_or(&self.mending[0]).1
    }

    fn cut(&self, path: &EntryPath, bytes: u64) -> Result<(), String> {
        self.large(path)?.end_at(bytes).map_err(|error| error.to_string())
    }

    fn small(&self, path: &EntryPath, from: From) -> Result<(), String> {
        let told = |error: fs::Error| error.to_string();
        let From::Copy(number) = from else { return Err(NO_MORE.to_owned()) };
        let (_, mending) =
            self.mending.iter().find(|(folder, _)| folder == self.bundle.home()).unwrap_or(&self.mending[0]);
        let mode = if self.places.runs(number, path) { fs::PROGRAM } else { fs::PUBLIC };
        let mut draft = mending.small(path, mode).map_err(told)?;
        let got = self.places.pass(number, path, &mut |piece| draft.put(piece)).map_err(told)?;
        if self.listed(path) != Some(got) {
            return Err(NO_MORE.to_owned());
        }
        draft.replace().map_err(told)
    }

    /// What a small file should hash to.
    fn listed(&self, path: &EntryPath) -> Option<Digest> {
        if path.as_str() == SUMS {
            return Some(Digest::of(&self.known.sums));
        }
        let signature = self.known.signatures.iter().find(|(name, _)| name == path.as_str());
        signature.map(|(_, bytes)| Digest::of(bytes)).or_else(|| self.bundle.sums.get(path).copied())
    }
}

/// Puts `bytes`, which are as signed, in their place, and reads them back from the device.
pub(super) fn put(large: &Large, file: &Chunked<'_>, chunk: u64, bytes: &mut Vec<u8>) -> Result<(), String> {
    let (from, to) = file.range(chunk);
    large.put(bytes, from).map_err(|error| error.to_string())?;
    read(large.file(), (from, to), bytes).map_err(|error| error.to_string())?;
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    match file.chunks.get(small(chunk)) {
        Some(digest) if hasher.finish() == *digest => Ok(()),
        _ => Err(NOT_KEPT.to_owned()),
    }
}
