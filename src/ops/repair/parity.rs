//! What no copy has right, computed from what is left and from parity.
//!
//! The whole bundle is read once, a column at a time. Nothing computed is believed: it goes into files of its own beside the volumes, in a
//! folder that a next run would take for parts, and from there into place once its hash is the signed one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::act::put;
use super::places::{part_name, read};
use crate::bundle::index::Chunked;
use crate::bundle::parity::{Lost, Solution};
use crate::checked::small;
use crate::digest::Digest;
use crate::path::EntryPath;
use crate::plan::repair::{Losses, Parity, Piece};
use crate::progress::{Event, Observer};
use crate::store;
use crate::store::parity::{Strip, each_column};
use crate::sys::fs;
use crate::sys::mend::{Large, Mending};

/// The folder of what is computed and not yet in its place; gone when all is.
pub(crate) const SCRATCH: &str = ".bundle-repair";

/// What is computed with.
pub(super) struct Computing<'a> {
    pub(super) parity: &'a Parity,
    pub(super) chunked: &'a [Chunked<'a>],
    /// The folders of the copy.
    pub(super) folders: &'a [PathBuf],
    /// The one that computed chunks wait in.
    pub(super) home: &'a Mending,
}

/// Where a computed chunk waits.
struct Waiting {
    name: EntryPath,
    large: Large,
    length: u64,
}

impl Computing<'_> {
    /// Computes the pieces of `group` that are lost, and passes each that is as signed to `place`, with the hold of its file.
    pub(super) fn group(
        &self,
        (number, losses): (u64, &Losses),
        pieces: &[&Piece],
        hold: &dyn Fn(&EntryPath) -> Result<Large, String>,
        observer: &dyn Observer,
    ) -> Vec<Result<(), String>> {
        let all = |why: String| pieces.iter().map(|_| Err(why.clone())).collect();
        let group = self.parity.shape.group(number);
        let Some(solution) = Solution::new(&group, &losses.chunks, &losses.rows) else {
            return all("more of its group is lost than there is parity".to_owned());
        };
        let waiting = match self.begin(number, pieces) {
            Ok(waiting) => waiting,
            Err(error) => return all(error.to_string()),
        };
        let (content, parity): (Vec<_>, Vec<_>) =
            self.chunked.iter().copied().partition(|file| self.parity.is_content(file.name));
        let (content, parity) = (Strip::new(self.folders, &content), Strip::new(self.folders, &parity));
        let shape = self.parity.shape;
        let lost: BTreeSet<u64> = losses.chunks.iter().copied().collect();
        let outcome = each_column(&shape, &group, &|columns, at, width| {
            columns.compute(&group, width, &mut |place, room| {
                if lost.contains(&place) {
                    room.fill(0);
                    return Ok(());
                }
                content.read(shape.number(number, place), at, room)
            })?;
            observer.event(Event::Advance { bytes: group.chunks * width });
            let mut take = |row, room: &mut [u8]| parity.read(shape.number(number, row), at, room);
            let mut give = |lost, bytes: &[u8]| {
                let Some(one) = waiting.get(&lost) else { return Ok(()) };
                let part = small(one.length.saturating_sub(at)).min(bytes.len());
                one.large.write(&bytes[..part], at).map_err(|error| match error {
                    fs::Error::Io { path, source } => store::Error::Io { path, source },
                    other => store::Error::Malformed {
                        path: one.name.under(&self.folders[0]),
                        why: other.to_string(),
                    },
                })
            };
            solution.solve((columns, width), &mut take, &mut give)
        });
        if let Err(error) = outcome {
            return all(error.to_string());
        }
        let mut room = Vec::new();
        pieces
            .iter()
            .map(|piece| {
                let lost = self.parity.slot(piece).map(|(_, lost)| lost);
                let one = lost.and_then(|lost| waiting.get(&lost)).ok_or("it was not computed")?;
                self.place(piece, one, hold, &mut room)
            })
            .collect()
    }

    fn begin(&self, number: u64, pieces: &[&Piece]) -> Result<BTreeMap<Lost, Waiting>, fs::Error> {
        // One for each lost chunk is open at the same time.
        fs::open_many();
        let mut waiting = BTreeMap::new();
        for piece in pieces {
            let Some((group, what)) = self.parity.slot(piece).filter(|(group, _)| *group == number) else {
                continue;
            };
            let (Some(digest), Some(length)) = (self.digest(piece), length(piece)) else { continue };
            let name =
                part_name(&digest).and_then(|name| format!("{SCRATCH}/{name}").parse::<EntryPath>().ok());
            let name = name.ok_or_else(|| fs::Error::NoName { path: PathBuf::from(format!("{group}")) })?;
            let large = self.home.large(&name)?;
            large.end_at(0)?;
            waiting.insert(what, Waiting { name, large, length });
        }
        Ok(waiting)
    }

    fn digest(&self, piece: &Piece) -> Option<Digest> {
        let Piece::Chunk { path, chunk, .. } = piece else { return None };
        self.chunked.iter().find(|file| file.name == path)?.chunks.get(small(*chunk)).copied()
    }

    fn place(
        &self,
        piece: &Piece,
        one: &Waiting,
        hold: &dyn Fn(&EntryPath) -> Result<Large, String>,
        room: &mut Vec<u8>,
    ) -> Result<(), String> {
        const NOT_SIGNED: &str =
            "what was computed is not what was signed: the medium gave other bytes than before";
        let Piece::Chunk { path, chunk, .. } = piece else { return Err(NOT_SIGNED.to_owned()) };
        let file = self.chunked.iter().find(|file| file.name == path).ok_or(NOT_SIGNED)?;
        read(one.large.file(), (0, one.length), room).map_err(|error| error.to_string())?;
        if Some(Digest::of(room)) != self.digest(piece) {
            return Err(NOT_SIGNED.to_owned());
        }
        put(&hold(path)?, file, *chunk, room)?;
        self.home.remove(&one.name).map_err(|error| error.to_string())
    }
}

fn length(piece: &Piece) -> Option<u64> {
    match piece {
        Piece::Chunk { from, to, .. } => Some(to - from),
        Piece::Tail { .. } | Piece::File { .. } => None,
    }
}
