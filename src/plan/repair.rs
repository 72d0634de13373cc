//! What is mended from where: the pieces of a bundle that are not as signed, and who has each of them right.

use serde::Serialize;

use crate::path::EntryPath;

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

/// Plans the mending of `wrong`.
#[must_use]
pub fn plan(mut wrong: Vec<Wrong>) -> Plan {
    wrong.sort_by(|one, other| order(&one.piece).cmp(&order(&other.piece)));
    let mut plan = Plan::default();
    for Wrong { piece, copy, barred } in wrong {
        let from = match (&piece, copy) {
            (Piece::Tail { .. }, _) => Some(From::Cut),
            (_, copy) => copy.map(From::Copy),
        };
        match (barred, from) {
            (Some(why), _) => plan.left.push(Left { piece, why }),
            (None, Some(from)) => plan.steps.push(Step { piece, from }),
            (None, None) => plan.left.push(Left { piece, why: "no copy has it right".to_owned() }),
        }
    }
    plan
}

/// What is listed comes before what lists it, and that before what signs it: a copy whose mending was cut short never looks more whole than
/// it is.
fn order(piece: &Piece) -> (u8, &Piece) {
    let rank = match piece {
        Piece::Chunk { .. } | Piece::Tail { .. } => 0,
        Piece::File { path } => match path.as_str() {
            "bundle.json" => 2,
            "SHA256SUMS" => 4,
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
        let plan = plan(wrong.to_vec());
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
