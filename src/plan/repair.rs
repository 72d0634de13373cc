//! What is mended from where: the pieces of a bundle that are not as signed, and who has each of them right.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::bundle::damage::{Damage, What};
use crate::bundle::index::{Chunked, Index};
use crate::bundle::names::{INDEX, SUMS};
use crate::bundle::parity::{Lost, Shape};
use crate::path::EntryPath;
use crate::text::printable;

/// A part of a bundle that is right or wrong by itself, because its hash hangs on the signature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Piece {
    /// A chunk of a volume.
    Chunk {
        /// The volume's path in the bundle.
        path: EntryPath,
        /// Which chunk, from 0.
        chunk: u64,
        /// Its first byte in the file.
        from: u64,
        /// One past its last.
        to: u64,
    },
    /// What follows the end of a volume.
    Tail {
        /// The volume's path in the bundle.
        path: EntryPath,
        /// Bytes the volume should have.
        bytes: u64,
    },
    /// A small file, whole.
    File {
        /// Its path in the bundle.
        path: EntryPath,
    },
}

impl Piece {
    /// The file it is, or is part of.
    #[must_use]
    pub fn path(&self) -> &EntryPath {
        match self {
            Self::Chunk { path, .. } | Self::Tail { path, .. } | Self::File { path } => path,
        }
    }
}

/// The pieces that `damage` names, of a bundle with these files; and the paths that are none of them.
#[must_use]
pub fn named(
    damage: &Damage,
    chunked: &[Chunked<'_>],
    listed: &dyn Fn(&EntryPath) -> bool,
) -> (BTreeSet<Piece>, BTreeSet<String>) {
    let (mut pieces, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for place in &damage.places {
        let path = place.path.parse::<EntryPath>().ok();
        let Some(path) = path.filter(|path| listed(path) || SELF_PROVED.contains(&path.as_str())) else {
            unknown.insert(printable(&place.path, 600));
            continue;
        };
        let Some(file) = chunked.iter().find(|file| *file.name == path) else {
            pieces.insert(Piece::File { path });
            continue;
        };
        let count = file.chunks.len() as u64;
        let chunks = match place.what {
            What::Whole => 0..count,
            What::Chunk(chunk) if chunk < count => chunk..chunk + 1,
            What::Chunk(chunk) => {
                unknown.insert(format!("chunk {chunk} of {path}"));
                continue;
            }
            What::Length(length) if length > file.bytes => {
                pieces.insert(Piece::Tail { path, bytes: file.bytes });
                continue;
            }
            What::Length(length) => length / file.step..count,
        };
        pieces.extend(chunks.map(|chunk| {
            let (from, to) = file.range(chunk);
            Piece::Chunk { path: path.clone(), chunk, from, to }
        }));
    }
    // These go along wherever parts go, and are looked at wherever something is mended.
    pieces.retain(|piece| !SELF_PROVED.contains(&piece.path().as_str()));
    (pieces, unknown)
}

/// What is proved before anything that is listed.
const SELF_PROVED: [&str; 2] = [SUMS, INDEX];

/// A piece that is not as signed, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which.
    pub piece: Piece,
    /// The first of the copies that has it right, by its number.
    pub copy: Option<usize>,
    /// Why nothing can be written in its place.
    pub barred: Option<String>,
}

/// Where a piece comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// A copy, by its number.
    Copy(usize),
    /// What is left of its group, and parity.
    Parity,
    /// Nowhere: what is too much is cut off.
    Cut,
}

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is mended.
    pub piece: Piece,
    /// From where.
    pub from: From,
}

/// A piece that stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub piece: Piece,
    /// Why.
    pub why: String,
}

/// What is done, in this order, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What is done: volumes first, then small files; what authenticates comes last.
    pub steps: Vec<Step>,
    /// What cannot be.
    pub left: Vec<Left>,
}

/// The parity of a bundle, as it is looked up by pieces.
#[derive(Debug, Clone)]
pub struct Parity {
    /// How it belongs to chunks.
    pub shape: Shape,
    starts: BTreeMap<EntryPath, (Kind, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Content,
    Parity,
}

/// How much of a bundle can be computed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Parity chunks for a hundred chunks.
    pub share: u64,
    /// Chunks of volumes that are not as signed.
    pub lost: u64,
    /// Parity chunks that are not as signed.
    pub lost_parity: u64,
    /// Parity chunks that are.
    pub there: u64,
    /// Chunks that must come from elsewhere before the rest can be computed.
    pub short: u64,
}

impl Parity {
    /// The parity that `index` lists.
    #[must_use]
    pub fn of(index: &Index) -> Option<Self> {
        let shape = index.parity_shape()?;
        let mut starts = BTreeMap::new();
        let mut next = [0, 0];
        for (number, file) in index.chunked().iter().enumerate() {
            let (kind, next) = match number < index.volumes.len() {
                true => (Kind::Content, &mut next[0]),
                false => (Kind::Parity, &mut next[1]),
            };
            starts.insert(file.name.clone(), (kind, *next));
            *next += file.chunks.len() as u64;
        }
        Some(Self { shape, starts })
    }

    /// Whether the file `path` is a volume of content.
    #[must_use]
    pub fn is_content(&self, path: &EntryPath) -> bool {
        self.starts.get(path).is_some_and(|(kind, _)| *kind == Kind::Content)
    }

    /// The group of a piece and its place there; `None` for what no parity is about.
    #[must_use]
    pub fn slot(&self, piece: &Piece) -> Option<(u64, Lost)> {
        let Piece::Chunk { path, chunk, .. } = piece else { return None };
        let (kind, start) = self.starts.get(path)?;
        let (group, place) = self.shape.place(start + chunk);
        Some((group, if *kind == Kind::Content { Lost::Chunk(place) } else { Lost::Row(place) }))
    }

    /// What is lost of each group, of these pieces.
    pub fn lost<'a>(&self, pieces: impl Iterator<Item = &'a Piece>) -> BTreeMap<u64, Losses> {
        let mut groups: BTreeMap<u64, Losses> = BTreeMap::new();
        for piece in pieces {
            match self.slot(piece) {
                Some((group, Lost::Chunk(place))) => groups.entry(group).or_default().chunks.push(place),
                Some((group, Lost::Row(row))) => groups.entry(group).or_default().rows.push(row),
                None => {}
            }
        }
        groups
    }

    /// How far it reaches when these pieces are lost.
    pub fn reach<'a>(&self, pieces: impl Iterator<Item = &'a Piece>) -> Reach {
        let lost = self.lost(pieces);
        let lost_parity = lost.values().map(|losses| losses.rows.len() as u64).sum();
        Reach {
            share: self.shape.share(),
            lost: lost.values().map(|losses| losses.chunks.len() as u64).sum(),
            lost_parity,
            there: self.shape.rows() - lost_parity,
            short: lost.iter().map(|(group, losses)| self.short(*group, losses)).sum(),
        }
    }

    /// Chunks by which the parity of `group` falls short.
    fn short(&self, group: u64, losses: &Losses) -> u64 {
        let there = self.shape.group(group).rows - losses.rows.len() as u64;
        (losses.chunks.len() as u64).saturating_sub(there)
    }
}

/// What is lost of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// Chunks of volumes, by their places.
    pub chunks: Vec<u64>,
    /// Parity chunks, by their rows.
    pub rows: Vec<u64>,
}

/// Plans the mending of `wrong`: from copies what they have, and from parity, if the bundle has any, what it reaches.
#[must_use]
pub fn plan(mut wrong: Vec<Wrong>, parity: Option<&Parity>) -> Plan {
    wrong.sort_by(|one, other| order(&one.piece).cmp(&order(&other.piece)));
    let mut plan = Plan::default();
    // What cannot be written is no help in computing the rest either.
    let lost =
        wrong.iter().filter(|wrong| wrong.barred.is_some() || wrong.copy.is_none()).map(|wrong| &wrong.piece);
    let lost = parity.map(|parity| parity.lost(lost)).unwrap_or_default();
    let mut computed = Vec::new();
    for Wrong { piece, copy, barred } in wrong {
        let group = parity.and_then(|parity| Some((parity, parity.slot(&piece)?.0)));
        let short = group.and_then(|(parity, group)| Some(parity.short(group, lost.get(&group)?)));
        let (from, why) = match (&piece, barred, copy, short) {
            (_, Some(why), ..) => (None, why),
            (Piece::Tail { .. }, ..) => (Some(From::Cut), String::new()),
            (.., Some(copy), _) => (Some(From::Copy(copy)), String::new()),
            (.., Some(0)) => (Some(From::Parity), String::new()),
            (.., Some(short)) => {
                (None, format!("no copy has it right, and parity falls {short} chunks short"))
            }
            _ => (None, "no copy has it right".to_owned()),
        };
        match from {
            Some(From::Parity) => computed.push(Step { piece, from: From::Parity }),
            Some(from) => plan.steps.push(Step { piece, from }),
            None => plan.left.push(Left { piece, why }),
        }
    }
    // Computing reads what copies mend.
    let at = plan.steps.iter().take_while(|step| !matches!(step.piece, Piece::File { .. })).count();
    plan.steps.splice(at..at, computed);
    plan
}

/// What is listed comes before what lists it, and that before what signs it: a copy whose mending was cut short never looks more whole than
/// it is.
fn order(piece: &Piece) -> (u8, &Piece) {
    let rank = match piece {
        Piece::Chunk { .. } | Piece::Tail { .. } => 0,
        Piece::File { path } => match path.as_str() {
            INDEX => 2,
            SUMS => 4,
            name if name.starts_with("SHA256SUMS.") => 3,
            _ => 1,
        },
    };
    (rank, piece)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        text.parse().unwrap()
    }

    fn file(name: &str) -> Piece {
        Piece::File { path: path(name) }
    }

    fn chunk(name: &str, chunk: u64) -> Piece {
        Piece::Chunk { path: path(name), chunk, from: chunk * 16, to: chunk * 16 + 16 }
    }

    #[test]
    fn a_report_names_pieces_of_this_bundle_and_nothing_else() {
        use crate::bundle::damage::Place;
        let (name, chunks) = (path("volumes/a"), [crate::digest::Digest::of(b""); 3]);
        let chunked = [Chunked { name: &name, bytes: 40, step: 16, chunks: &chunks, sha256: chunks[0] }];
        let all = [0, 1, 2].map(|n| Piece::Chunk {
            path: name.clone(),
            chunk: n,
            from: n * 16,
            to: (n * 16 + 16).min(40),
        });
        let tail = Piece::Tail { path: name.clone(), bytes: 40 };
        let cases: [(&str, What, Vec<Piece>, &[&str]); 10] = [
            ("volumes/a", What::Whole, all.to_vec(), &[]),
            ("volumes/a", What::Chunk(2), all[2..].to_vec(), &[]),
            ("volumes/a", What::Chunk(3), vec![], &["chunk 3 of volumes/a"]),
            ("volumes/a", What::Chunk(u64::MAX), vec![], &["chunk 18446744073709551615 of volumes/a"]),
            ("volumes/a", What::Length(17), all[1..].to_vec(), &[]),
            ("volumes/a", What::Length(u64::MAX), vec![tail], &[]),
            ("README.md", What::Whole, vec![file("README.md")], &[]),
            ("bundle.json", What::Whole, vec![], &[]),
            ("grants/x.age", What::Whole, vec![], &["grants/x.age"]),
            ("../x", What::Whole, vec![], &["../x"]),
        ];
        for (at, what, pieces, unknown) in cases {
            let damage = Damage { places: vec![Place { path: at.to_owned(), what }], ..Damage::default() };
            let listed =
                |path: &EntryPath| ["volumes/a", "README.md", "bundle.json"].contains(&path.as_str());
            let (got, strange) = named(&damage, &chunked, &listed);
            assert_eq!(got.into_iter().collect::<Vec<_>>(), pieces, "{at} {what:?}");
            assert_eq!(strange.into_iter().collect::<Vec<_>>(), unknown, "{at} {what:?}");
        }
    }

    #[test]
    fn what_authenticates_comes_last_and_what_nobody_has_is_left() {
        let tail = Piece::Tail { path: path("volumes/a"), bytes: 32 };
        let wrong = [
            (file("SHA256SUMS"), Some(1), None),
            (file("SHA256SUMS.00.sig"), Some(0), None),
            (file("bundle.json"), Some(0), None),
            (file("README.md"), Some(0), None),
            (tail.clone(), None, None),
            (chunk("volumes/a", 1), Some(0), None),
            (chunk("volumes/a", 0), None, None),
            (chunk("volumes/b", 0), Some(0), Some("it is not an ordinary file".to_owned())),
        ];
        let wrong = wrong.map(|(piece, copy, barred)| Wrong { piece, copy, barred });
        let plan = plan(wrong.to_vec(), None);
        let steps: Vec<(Piece, From)> = plan.steps.into_iter().map(|step| (step.piece, step.from)).collect();
        let expected = [
            (chunk("volumes/a", 1), From::Copy(0)),
            (tail, From::Cut),
            (file("README.md"), From::Copy(0)),
            (file("bundle.json"), From::Copy(0)),
            (file("SHA256SUMS.00.sig"), From::Copy(0)),
            (file("SHA256SUMS"), From::Copy(1)),
        ];
        assert_eq!(steps, expected);
        let left: Vec<(Piece, String)> = plan.left.into_iter().map(|left| (left.piece, left.why)).collect();
        let expected = [
            (chunk("volumes/a", 0), "no copy has it right".to_owned()),
            (chunk("volumes/b", 0), "it is not an ordinary file".to_owned()),
        ];
        assert_eq!(left, expected);
    }
}
