//! `bundle parts`: cuts what a damage report names out of a good copy, into a small folder that `bundle repair` takes.
//!
//! Needs no key, and proves nothing by itself: each chunk is called as its hash, which the signed index on the other side lists. What is
//! cut is compared with the index here, so that a second damaged copy is not sent in place of the first.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::bundle::canonical;
use crate::bundle::damage::Damage;
use crate::bundle::index::{Chunked, Release};
use crate::bundle::names::{INDEX, SUMS};
use crate::bundle::sums::Sums;
use crate::checked::small;
use crate::digest::{Blob, Digest};
use crate::limits;
use crate::ops::finding::{Finding, What, refused};
use crate::ops::open;
use crate::ops::repair::part_name;
use crate::path::EntryPath;
use crate::plan::repair::{Piece, named};
use crate::progress::{Event, Observer};
use crate::store::volumes::open_volume;
use crate::sys::place::Folder;
use crate::sys::{delivered, fs};

/// The list of what is in a folder of parts, for people and for tools other than this program, which does not read it.
pub const LIST: &str = "parts.json";

/// What is asked for.
pub struct Request<'a> {
    /// The folders of the good copy.
    pub folders: &'a [PathBuf],
    /// What is damaged elsewhere.
    pub damage: &'a Damage,
    /// The folder that is made.
    pub out: &'a Path,
}

/// What was cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether everything that the report names was cut.
    pub ok: bool,
    /// The release.
    pub release: Release,
    /// SHA-256 of its `bundle.json`.
    pub index: Digest,
    /// The folder.
    pub folder: PathBuf,
    /// Bytes in it.
    pub bytes: u64,
    /// What was cut.
    pub parts: Vec<Part>,
    /// What could not be.
    pub findings: Vec<Finding>,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What of the bundle it is.
    #[serde(flatten)]
    pub piece: Piece,
    /// The file in the folder of parts.
    pub file: EntryPath,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// Why nothing was cut.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The copy could not be opened.
    #[error(transparent)]
    Open(#[from] open::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The report is of another release, or of another build of it.
    #[error("the report is about {told}, and {folder} is {have}", folder = folder.display())]
    Other {
        /// The folder.
        folder: PathBuf,
        /// What the report is about.
        told: String,
        /// What the folder is.
        have: String,
    },
    /// The report names nothing that can be mended.
    #[error("the report names nothing that is damaged and can be sent again")]
    Nothing,
    /// The list cannot be written.
    #[error("{path}: {why}", path = path.display())]
    List {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The disk is too small.
    #[error("{folder} has {free} bytes free; {need} are needed", folder = folder.display())]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// Bytes that would be written.
        need: u64,
        /// Bytes free.
        free: u64,
    },
}

/// Cuts the parts.
///
/// # Errors
/// Why there is no folder. What is missing in it is in the report.
pub fn parts(request: &Request<'_>, observer: &dyn Observer) -> Result<Report, Error> {
    let opened = open::open(request.folders)?;
    let home = opened.home().to_owned();
    let (sums, index) = opened.unverified_index()?;
    let digest = listed(&sums, INDEX).ok_or_else(|| open::Error::NoIndex { path: home.join(SUMS) })?;
    about(request.damage, &home, (&index.release, digest))?;
    let chunked = index.chunked();
    let (pieces, unknown) = named(request.damage, &chunked, &|path| sums.contains(path));
    let unknown = unknown.into_iter().map(|path| {
        let detail = format!("the report names {path}, which this bundle does not list");
        Finding::warn(What::Unchecked { detail })
    });
    let mut findings: Vec<Finding> = unknown.collect();
    if pieces.is_empty() && request.damage.release.is_some() {
        return Err(Error::Nothing);
    }
    let need = pieces.iter().map(|piece| length(piece, &home)).sum::<u64>() + small_bytes(&home);
    let parent =
        request.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let free = fs::free_bytes(parent)?;
    if free < need {
        return Err(Error::NoRoom { folder: parent.to_owned(), need, free });
    }
    let folder = Folder::begin(request.out)?;
    observer.event(Event::Begin { verb: "parts", bytes: need, items: pieces.len() as u64 });
    let cutting = Cutting { request, home: &home, sums: &sums, chunked: &chunked, folder: &folder };
    let mut parts = Vec::new();
    // What everything hangs on goes along: where the list or the index is damaged too, nothing could be proved without.
    for (name, digest) in cutting.lists()? {
        cutting.file(&name, &digest)?;
    }
    for piece in pieces {
        match cutting.piece(&piece)? {
            Ok(Some(part)) => parts.push(part),
            Ok(None) => {}
            Err(why) => {
                let path = piece.path().to_string();
                findings.push(Finding::refuse(What::Unreadable { path, why: why.to_owned() }));
            }
        }
        observer.event(Event::Advance { bytes: length(&piece, &home) });
    }
    let report = Report {
        ok: !refused(&findings),
        release: index.release.clone(),
        index: digest,
        folder: request.out.to_owned(),
        bytes: folder.bytes(),
        parts,
        findings,
    };
    let path = request.out.join(LIST);
    let why = |why: String| Error::List { path: path.clone(), why };
    let list = Parts { index: digest, parts: &report.parts, release: &report.release };
    let text = canonical::to_text(&list).map_err(|e| why(e.to_string()))?;
    cutting.write(&LIST.parse().map_err(|e: crate::path::PathError| why(e.to_string()))?, &text)?;
    folder.publish()?;
    observer.event(Event::End);
    Ok(report)
}

/// The text of [`LIST`].
#[derive(Serialize)]
struct Parts<'a> {
    index: Digest,
    parts: &'a [Part],
    release: &'a Release,
}

fn listed(sums: &Sums, name: &str) -> Option<Digest> {
    sums.get(&name.parse().ok()?).copied()
}

fn about(damage: &Damage, home: &Path, (release, index): (&Release, Digest)) -> Result<(), Error> {
    let shown = |release: &Release, index: Option<Digest>| {
        let index = index.map_or_else(String::new, |index| format!(" (bundle.json {})", index.short()));
        format!("{} {}{index}", release.name, release.version)
    };
    let same = damage.release.as_ref().is_none_or(|told| told == release)
        && damage.index.is_none_or(|told| told == index);
    if same {
        return Ok(());
    }
    let told = shown(damage.release.as_ref().unwrap_or(release), damage.index);
    Err(Error::Other { folder: home.to_owned(), told, have: shown(release, Some(index)) })
}

fn length(piece: &Piece, home: &Path) -> u64 {
    match piece {
        Piece::Chunk { from, to, .. } => to - from,
        Piece::Tail { .. } => 0,
        Piece::File { path } => path.under(home).symlink_metadata().map_or(0, |facts| facts.len()),
    }
}

/// Bytes of what always goes along, and some for the list.
fn small_bytes(home: &Path) -> u64 {
    let bytes = |name: &str| home.join(name).symlink_metadata().map_or(0, |facts| facts.len());
    (1 << 20) + bytes(SUMS) + bytes(INDEX)
}

struct Cutting<'a> {
    request: &'a Request<'a>,
    home: &'a Path,
    sums: &'a Sums,
    chunked: &'a [Chunked<'a>],
    folder: &'a Folder,
}

impl Cutting<'_> {
    /// The list, its signatures and the index, with their hashes.
    fn lists(&self) -> Result<Vec<(EntryPath, Digest)>, Error> {
        let io = |source| Error::File(fs::Error::Io { path: self.home.to_owned(), source });
        let mut names = BTreeSet::from([SUMS.to_owned(), INDEX.to_owned()]);
        for entry in std::fs::read_dir(self.home).map_err(io)?.take(limits::FOLDER_FILES) {
            let name = entry.map_err(io)?.file_name();
            names.extend(name.to_str().filter(|name| open::is_signature(name)).map(str::to_owned));
        }
        names
            .iter()
            .filter_map(|name| name.parse::<EntryPath>().ok())
            .map(|name| Ok((name.clone(), delivered::hash(self.home, &name, limits::INDEX_BYTES)?)))
            .collect()
    }

    /// Copies a file of the bundle under its own path; refuses one whose hash is not `digest`.
    fn file(&self, name: &EntryPath, digest: &Digest) -> Result<bool, Error> {
        let size = name.under(self.home).symlink_metadata().map_or(0, |facts| facts.len());
        if self.folder.holds(name, &Blob { digest: *digest, size })? {
            return Ok(true);
        }
        let mut entry = self.folder.file(name)?;
        let path = entry.path().to_owned();
        let take = &mut |piece: &[u8]| {
            entry.write_all(piece).map_err(|source| fs::Error::Io { path: path.clone(), source })
        };
        let same = match delivered::pass(self.home, name, limits::PLAIN_FILE_BYTES, take) {
            Ok(got) => got == *digest,
            Err(fs::Error::Io { path: faulty, source }) if faulty == path => {
                return Err(fs::Error::Io { path, source }.into());
            }
            Err(_) => false,
        };
        if same {
            entry.finish()?;
        }
        Ok(same)
    }

    fn write(&self, name: &EntryPath, bytes: &[u8]) -> Result<(), Error> {
        let blob = Blob { digest: Digest::of(bytes), size: bytes.len() as u64 };
        if self.folder.holds(name, &blob)? {
            return Ok(());
        }
        let mut entry = self.folder.file(name)?;
        let path = entry.path().to_owned();
        entry.write_all(bytes).map_err(|source| fs::Error::Io { path, source })?;
        Ok(entry.finish()?)
    }

    /// Cuts one piece; says why not when the copy does not have it right either.
    fn piece(&self, piece: &Piece) -> Result<Result<Option<Part>, &'static str>, Error> {
        const NOT_HERE: &str = "this copy does not have it right either";
        match piece {
            Piece::Tail { .. } => Ok(Ok(None)),
            Piece::File { path } => {
                let Some(digest) = self.sums.get(path) else { return Ok(Err(NOT_HERE)) };
                let part = Part { piece: piece.clone(), file: path.clone(), sha256: *digest };
                Ok(if self.file(path, digest)? { Ok(Some(part)) } else { Err(NOT_HERE) })
            }
            Piece::Chunk { path, chunk, from, to } => {
                let found = self.chunked.iter().find(|file| file.name == path);
                let digest = found.and_then(|file| file.chunks.get(small(*chunk)));
                let Some((digest, file)) = digest.and_then(|digest| Some((digest, part_name(digest)?)))
                else {
                    return Ok(Err(NOT_HERE));
                };
                let mut bytes = vec![0; small(to - from)];
                let read = open_volume(self.request.folders, path)
                    .is_ok_and(|(open, _)| open.read_exact_at(&mut bytes, *from).is_ok());
                if !read || Digest::of(&bytes) != *digest {
                    return Ok(Err(NOT_HERE));
                }
                self.write(&file, &bytes)?;
                Ok(Ok(Some(Part { piece: piece.clone(), file, sha256: *digest })))
            }
        }
    }
}
