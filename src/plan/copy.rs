//! Which file of a bundle goes on which medium, and whether it can.
//!
//! A bundle's volumes can lie on several media; everything else goes on each, so that each says what it is and none is needed before
//! another. What a medium holds already stays where it is.

use std::collections::BTreeMap;

use crate::checked::ByteSize;
use crate::checked::round_up;
use crate::limits;
use crate::path::EntryPath;

/// One file that travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where in the folder.
    pub path: EntryPath,
    /// Its length.
    pub bytes: u64,
    /// Whether it is on one medium or on each.
    pub spread: Spread,
}

/// On how many media a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// On one of them: a volume.
    One,
    /// On each.
    Each,
}

/// What is known of one medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// How it is named in messages.
    pub name: String,
    /// What filesystem it has; empty where that cannot be told.
    pub kind: String,
    /// Bytes free; `None` where it does not tell.
    pub free: Option<u64>,
    /// Bytes that files are rounded up to.
    pub unit: u64,
    /// Bytes of the largest file it holds, where there is a limit.
    pub largest: Option<u64>,
    /// Bytes of the longest name it holds, where that is known.
    pub longest: Option<usize>,
    /// What it holds of the bundle, whole or begun, with the bytes that are there.
    pub held: BTreeMap<EntryPath, u64>,
}

/// What goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// For each medium, the numbers of the files that go on it, in the order they were given.
    pub loads: Vec<Vec<usize>>,
    /// The files that no medium has room for.
    pub left: Vec<usize>,
    /// Their bytes.
    pub left_bytes: u64,
}

/// Why there is no such copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// A file that the filesystem cannot hold.
    #[error("{path} has {bytes} bytes; {kind} on {place} holds no file of more than {limit}")]
    TooLarge {
        /// Which file.
        path: EntryPath,
        /// Its length.
        bytes: u64,
        /// Which medium.
        place: String,
        /// Its filesystem.
        kind: String,
        /// Its limit.
        limit: u64,
    },
    /// A name that the filesystem cannot hold.
    #[error("{place} holds no names of more than {limit} bytes, and a file is called {path}")]
    TooLong {
        /// Which file.
        path: EntryPath,
        /// Which medium.
        place: String,
        /// Its limit.
        limit: usize,
    },
    /// A listed file whose name is the one another has while it is written.
    #[error("{path} is called as another file is while it is being written")]
    Clash {
        /// Which file.
        path: EntryPath,
    },
    /// Not even what must be on each medium fits.
    #[error("{place} has {} free; what every medium must hold takes {}", ByteSize(*.free), ByteSize(*.need))]
    TooSmall {
        /// Which medium.
        place: String,
        /// Bytes that are needed.
        need: u64,
        /// Bytes that are there.
        free: u64,
    },
}

/// Allocation units kept free on each medium, for its folders and its own books.
const SPARE: u64 = 16;
/// What a file is called while it is being written.
#[must_use]
pub fn unfinished(name: &str) -> String {
    format!(".{name}.part")
}
/// Bytes that this adds to a name.
const MARK: usize = ".".len() + ".part".len();

/// Divides `files` among `media`, the first one filled first.
///
/// # Errors
/// A medium that cannot hold a file or a name at all, or not even what goes on each.
pub fn plan(files: &[File], media: &[Medium]) -> Result<Plan, CopyError> {
    names(files)?;
    let mut loads: Vec<Vec<usize>> = Vec::new();
    let mut rooms = Vec::new();
    let each = |file: &&File| file.spread == Spread::Each;
    for medium in media {
        for file in files {
            medium.can_name(file)?;
        }
        for file in files.iter().filter(each) {
            medium.can_hold(file)?;
        }
        let room = medium.room(files);
        let need: u64 = files.iter().filter(each).map(|file| medium.cost(file)).fold(0, u64::saturating_add);
        if let Some(free) = room.filter(|room| *room < need) {
            return Err(CopyError::TooSmall { place: medium.name.clone(), need, free });
        }
        loads.push((0..files.len()).filter(|number| files[*number].spread == Spread::Each).collect());
        rooms.push(room.map(|room| room - need));
    }
    let mut waiting: Vec<usize> = Vec::new();
    // What is there already first: it must not lose its room to another.
    for (number, file) in files.iter().enumerate().filter(|(_, file)| file.spread == Spread::One) {
        let holds = |medium: &Medium| medium.held.get(&file.path).copied().unwrap_or(0);
        let most = (0..media.len())
            .filter(|at| holds(&media[*at]) > 0)
            .max_by_key(|at| (holds(&media[*at]), usize::MAX - at));
        match most.filter(|at| take(&mut rooms[*at], media[*at].cost(file))) {
            Some(at) => loads[at].push(number),
            None => waiting.push(number),
        }
    }
    let mut left = Vec::new();
    for number in waiting {
        let file = &files[number];
        for medium in media {
            medium.can_hold(file)?;
        }
        match (0..media.len()).find(|at| take(&mut rooms[*at], media[*at].cost(file))) {
            Some(at) => loads[at].push(number),
            None => left.push(number),
        }
    }
    for load in &mut loads {
        load.sort_unstable();
    }
    let left_bytes = left.iter().map(|number| files[*number].bytes).sum();
    Ok(Plan { loads, left, left_bytes })
}

/// Takes `cost` off `room` when it is there.
fn take(room: &mut Option<u64>, cost: u64) -> bool {
    match room {
        None => true,
        Some(room) => room.checked_sub(cost).map(|less| *room = less).is_some(),
    }
}

/// No file may have the name that another has while it is written.
fn names(files: &[File]) -> Result<(), CopyError> {
    let taken: std::collections::HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for file in files {
        let path = file.path.as_str();
        let part = match path.rsplit_once('/') {
            Some((folder, name)) => format!("{folder}/{}", unfinished(name)),
            None => unfinished(path),
        };
        if taken.contains(part.as_str()) {
            return Err(CopyError::Clash { path: file.path.clone() });
        }
    }
    Ok(())
}

impl Medium {
    /// Bytes a file takes.
    fn cost(&self, file: &File) -> u64 {
        round_up(file.bytes, self.unit).unwrap_or(u64::MAX)
    }

    /// Bytes there are for the bundle: those free, and those it takes already.
    fn room(&self, files: &[File]) -> Option<u64> {
        let free = self.free?.saturating_sub(SPARE * self.unit);
        let held = files.iter().filter_map(|file| self.held.get(&file.path));
        Some(held.fold(free, |sum, bytes| sum.saturating_add(round_up(*bytes, self.unit).unwrap_or(0))))
    }

    fn can_hold(&self, file: &File) -> Result<(), CopyError> {
        match self.largest {
            Some(limit) if file.bytes > limit => Err(CopyError::TooLarge {
                path: file.path.clone(),
                bytes: file.bytes,
                place: self.name.clone(),
                kind: self.kind.clone(),
                limit,
            }),
            _ => Ok(()),
        }
    }

    fn can_name(&self, file: &File) -> Result<(), CopyError> {
        let most = self.longest.unwrap_or(limits::NAME_BYTES).min(limits::NAME_BYTES);
        let longest =
            file.path.as_str().split('/').map(str::len).max().unwrap_or(0).max(file.path.name().len() + MARK);
        if longest > most {
            return Err(CopyError::TooLong {
                path: file.path.clone(),
                place: self.name.clone(),
                limit: most,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn files() -> Vec<File> {
        let file = |path: &str, bytes, spread| File { path: path.parse().unwrap(), bytes, spread };
        let mut files = vec![file("README.md", 10, Spread::Each), file("bundle.json", MIB, Spread::Each)];
        files.extend((1..=4).map(|n| file(&format!("volumes/{n}"), 10 * MIB, Spread::One)));
        files
    }

    fn medium(name: &str, free: Option<u64>) -> Medium {
        Medium {
            name: name.into(),
            kind: "vfat".into(),
            free,
            unit: 4096,
            largest: None,
            longest: Some(255),
            held: BTreeMap::new(),
        }
    }

    fn held(mut medium: Medium, what: &[(&str, u64)]) -> Medium {
        medium.held = what.iter().map(|(path, bytes)| (path.parse().unwrap(), *bytes)).collect();
        medium
    }

    #[test]
    fn volumes_fill_one_medium_after_the_other_and_the_rest_is_on_each() {
        /// A reason, the media, what goes on each, what is left.
        type Case = (&'static str, Vec<Medium>, Vec<Vec<usize>>, Vec<usize>);
        let cases: [Case; 7] = [
            ("room for all", vec![medium("a", Some(50 * MIB))], vec![vec![0, 1, 2, 3, 4, 5]], vec![]),
            ("it does not tell", vec![medium("a", None)], vec![vec![0, 1, 2, 3, 4, 5]], vec![]),
            ("one is too small", vec![medium("a", Some(25 * MIB))], vec![vec![0, 1, 2, 3]], vec![4, 5]),
            (
                "two",
                vec![medium("a", Some(25 * MIB)), medium("b", Some(25 * MIB))],
                vec![vec![0, 1, 2, 3], vec![0, 1, 4, 5]],
                vec![],
            ),
            (
                "the second is not needed",
                vec![medium("a", Some(50 * MIB)), medium("b", Some(25 * MIB))],
                vec![vec![0, 1, 2, 3, 4, 5], vec![0, 1]],
                vec![],
            ),
            (
                "what is there stays",
                vec![
                    medium("a", Some(50 * MIB)),
                    held(medium("b", Some(2 * MIB)), &[("volumes/1", 10 * MIB), ("volumes/3", 3 * MIB)]),
                ],
                vec![vec![0, 1, 3, 4, 5], vec![0, 1, 2]],
                vec![],
            ),
            (
                "what is begun is ended where it was begun",
                vec![
                    medium("a", Some(50 * MIB)),
                    held(medium("b", Some(9 * MIB)), &[("volumes/3", 3 * MIB)]),
                ],
                vec![vec![0, 1, 2, 3, 5], vec![0, 1, 4]],
                vec![],
            ),
        ];
        for (reason, media, loads, left) in cases {
            let plan = plan(&files(), &media).unwrap();
            assert_eq!((plan.loads, plan.left.clone()), (loads, left), "{reason}");
            assert_eq!(plan.left_bytes, plan.left.len() as u64 * 10 * MIB, "{reason}");
        }
    }

    #[test]
    fn a_full_medium_that_holds_all_of_it_needs_no_room() {
        let mut full = medium("a", Some(SPARE * 4096));
        full.held = files().into_iter().map(|file| (file.path, file.bytes)).collect();
        assert!(plan(&files(), &[full]).unwrap().left.is_empty());
    }

    #[test]
    fn the_last_byte_of_room_is_used_and_one_less_is_too_little() {
        let need = 41 * MIB + 4096 + SPARE * 4096;
        assert!(plan(&files(), &[medium("a", Some(need))]).unwrap().left.is_empty());
        assert_eq!(plan(&files(), &[medium("a", Some(need - 1))]).unwrap().left, [5]);
        let small = plan(&files(), &[medium("a", Some(MIB))]).unwrap_err();
        assert!(matches!(small, CopyError::TooSmall { need, .. } if need == MIB + 4096), "{small}");
    }

    #[test]
    fn what_a_filesystem_cannot_hold_is_named_before_anything_is_written() {
        let fat = Medium { largest: Some(limits::FAT_FILE_BYTES), ..medium("a", None) };
        let mut all = files();
        all[3].bytes = limits::FAT_FILE_BYTES;
        assert!(plan(&all, std::slice::from_ref(&fat)).is_ok());
        all[3].bytes += 1;
        let error = plan(&all, std::slice::from_ref(&fat)).unwrap_err();
        assert!(
            matches!(&error, CopyError::TooLarge { path, .. } if path.as_str() == "volumes/2"),
            "{error}"
        );

        let short = Medium { longest: Some(17), ..medium("a", None) };
        assert!(plan(&files(), std::slice::from_ref(&short)).is_ok());
        let short = Medium { longest: Some(16), ..short };
        assert!(matches!(plan(&files(), &[short]), Err(CopyError::TooLong { limit: 16, .. })));

        let mut clash = files();
        clash[0].path = ".bundle.json.part".parse().unwrap();
        assert!(matches!(plan(&clash, &[medium("a", None)]), Err(CopyError::Clash { .. })));
    }
}
