//! Mending: one step after the other, each proved before it is written and after.

use std::path::{Path, PathBuf};

use super::parity::{Computing, SCRATCH};
use super::places::{CHUNKS, Places, read};
use crate::bundle::index::Chunked;
use crate::bundle::names::SUMS;
use crate::checked::small;
use crate::digest::{Digest, Hasher};
use crate::ops::open::Authenticated;
use crate::ops::open::copies::Known;
use crate::path::EntryPath;
use crate::plan::repair::{From, Parity, Piece, Plan};
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
    pub(super) parity: Option<&'a Parity>,
    pub(super) places: &'a Places<'a>,
    pub(super) mending: &'a [(PathBuf, Mending)],
}

impl Acting<'_> {
    /// Takes every step; gives what became of each, or why not.
    pub(super) fn run(&self, plan: &Plan, observer: &dyn Observer) -> Vec<Result<(), String>> {
        let steps = &plan.steps;
        let mut room = Vec::new();
        let mut done: Vec<Result<(), String>> = Vec::new();
        for step in steps {
            let (outcome, bytes) = match (&step.piece, step.from) {
                (_, From::Parity) => {
                    // All at once, when the first is due: they are computed in one reading.
                    if done.len() == steps.iter().take_while(|step| step.from != From::Parity).count() {
                        let computed = self.compute(plan, &done, observer);
                        done.extend(computed);
                    }
                    continue;
                }
                (Piece::Chunk { path, chunk, from, to }, copy) => {
                    (self.chunk((path, *chunk), copy, &mut room), to - from)
                }
                (Piece::Tail { path, bytes }, _) => (self.cut(path, *bytes), 0),
                (Piece::File { path }, copy) => (self.small(path, copy), 0),
            };
            let state = if outcome.is_ok() { ItemState::Done } else { ItemState::Failed };
            observer.event(Event::Advance { bytes });
            observer.event(Event::Item { name: step.piece.path().as_str(), digest: None, bytes, state });
            done.push(outcome);
        }
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

    /// Computes what comes from parity, in the order of the steps that want it. `done` is what became of those before.
    fn compute(
        &self,
        plan: &Plan,
        done: &[Result<(), String>],
        observer: &dyn Observer,
    ) -> Vec<Result<(), String>> {
        let wanted: Vec<&Piece> =
            plan.steps.iter().filter(|step| step.from == From::Parity).map(|step| &step.piece).collect();
        let Some(parity) = self.parity else {
            return wanted.iter().map(|_| Err(NO_MORE.to_owned())).collect();
        };
        let failed =
            plan.steps.iter().zip(done).filter(|(_, outcome)| outcome.is_err()).map(|(step, _)| &step.piece);
        let left = plan.left.iter().map(|left| &left.piece);
        let lost = parity.lost(wanted.iter().copied().chain(failed).chain(left));
        let home = self.home();
        let computing = Computing { parity, chunked: self.chunked, folders: &self.bundle.folders, home };
        let group = |piece: &Piece| parity.slot(piece).map(|(group, _)| group);
        let mut outcomes: Vec<Result<(), String>> = wanted.iter().map(|_| Err(NO_MORE.to_owned())).collect();
        for (number, losses) in &lost {
            let places: Vec<usize> =
                (0..wanted.len()).filter(|at| group(wanted[*at]) == Some(*number)).collect();
            let pieces: Vec<&Piece> = places.iter().map(|at| wanted[*at]).collect();
            if pieces.is_empty() {
                continue;
            }
            let hold = |path: &EntryPath| self.large(path);
            let found = computing.group((*number, losses), &pieces, &hold, observer);
            for (at, outcome) in places.into_iter().zip(found) {
                outcomes[at] = outcome;
            }
        }
        outcomes
    }

    /// The folder of the small files.
    fn home(&self) -> &Mending {
        let home = self.mending.iter().find(|(folder, _)| folder == self.bundle.home());
        &home.unwrap_or(&self.mending[0]).1
    }

    fn chunk(&self, (path, chunk): (&EntryPath, u64), from: From, room: &mut Vec<u8>) -> Result<(), String> {
        let file = self.chunked.iter().find(|file| file.name == path).ok_or(NO_MORE)?;
        let held = match from {
            From::Copy(number) => self.places.chunk_of(number, file, chunk, room),
            From::Parity | From::Cut => false,
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
        let found = self.mending.iter().find(|(folder, _)| there(folder));
        found.map_or_else(|| self.home(), |(_, mending)| mending)
    }

    fn cut(&self, path: &EntryPath, bytes: u64) -> Result<(), String> {
        self.large(path)?.end_at(bytes).map_err(|error| error.to_string())
    }

    fn small(&self, path: &EntryPath, from: From) -> Result<(), String> {
        let told = |error: fs::Error| error.to_string();
        let From::Copy(number) = from else { return Err(NO_MORE.to_owned()) };
        let mode = if self.bundle.index.get().runs(path) { fs::PROGRAM } else { fs::PUBLIC };
        let mut draft = self.home().small(path, mode).map_err(told)?;
        let most = self.bundle.index.get().most()(path);
        let got = self.places.pass(number, (path, most), &mut |piece| draft.put(piece)).map_err(told)?;
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

/// Takes away what was computed on the way, by this run or by one that was killed: all of it is in its place, or is computed again.
pub(super) fn sweep(mending: &[(PathBuf, Mending)]) {
    let chunks = format!("{SCRATCH}/{CHUNKS}");
    for (folder, mending) in mending {
        let Ok(entries) = std::fs::read_dir(folder.join(&chunks)) else { continue };
        for entry in entries.flatten() {
            let name = entry
                .file_name()
                .to_str()
                .and_then(|name| format!("{chunks}/{name}").parse::<EntryPath>().ok());
            // What cannot be taken away is named by the next check.
            let _ = name.map(|name| mending.remove(&name));
        }
        mending.remove_folders(&[&chunks, SCRATCH]);
    }
}
