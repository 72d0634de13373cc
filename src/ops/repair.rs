//! `bundle repair`: puts right what of a copy is not as signed, from other copies, piece by piece.
//!
//! The signature comes first, as everywhere; it may be that of another copy. Every piece is compared with its signed hash before it is
//! written and again when it is read back, only damaged bytes are written over, and the copies it comes from are only read. So it can be
//! stopped at any moment: what was mended is right, what was not is as wrong as before, and the next run finds out which is which.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use signing::{KeyId, Policy};

use crate::bundle::damage::Damage;
use crate::bundle::index::{Chunked, IndexError, Release};
use crate::bundle::names::INDEX;
use crate::limits;
use crate::ops::finding::{Finding, What, refused};
use crate::ops::open::{self, copies};
use crate::ops::verify::folder;
use crate::plan::repair::{self as plan, From, Parity, Piece, Reach, Step};
use crate::progress::{Event, Observer};
use crate::sys::fs;
use crate::sys::mend::Mending;

mod act;
mod parity;
mod places;
mod survey;

use parity::SCRATCH;
use places::Places;
pub(crate) use places::part_name;

/// What is asked for.
pub struct Request<'a> {
    /// The copy to be mended: one folder, or several when its volumes lie on several media.
    pub folders: &'a [PathBuf],
    /// Where its pieces may come from: other copies, damaged or not, and folders of parts.
    pub from: &'a [PathBuf],
    /// What is damaged, as a report says: then nothing else is looked at. A report of no damage is older than the damage, and hides none.
    pub damage: Option<&'a Damage>,
    /// Who is trusted.
    pub policy: &'a Policy,
    /// Seconds since 1970; `None` where there is no clock.
    pub now: Option<i64>,
    /// Whether to do it or only to say what would be done.
    pub mode: Mode,
}

/// Whether to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Mend.
    #[default]
    Write,
    /// Plan, and stop.
    DryRun,
}

/// What was mended, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether everything that was looked at is as signed now; in a dry run, whether it would be.
    pub ok: bool,
    /// Whether only planned.
    pub dry_run: bool,
    /// What the bundle is; `None` when no copy's signatures hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Whose signatures hold.
    pub signers: Vec<KeyId>,
    /// The copy whose signed list was gone by.
    pub list_from: PathBuf,
    /// Bytes of volumes that were looked at.
    pub bytes: u64,
    /// How far parity reaches, where the bundle has any, before anything comes from copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parity: Option<Reach>,
    /// What was mended, or would be.
    pub mended: Vec<Mended>,
    /// Everything seen; what is still not as signed is named by a finding that refuses.
    pub findings: Vec<Finding>,
}

/// A piece that was mended, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// Which.
    #[serde(flatten)]
    pub piece: Piece,
    /// The copy it came from; `None` where it was computed, or something was cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<PathBuf>,
    /// Whether it was computed from what is left and from parity.
    pub computed: bool,
}

/// Why nothing was mended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No copy could be opened.
    #[error(transparent)]
    Open(#[from] open::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The index has no possible shape.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The copy cannot be written to.
    #[error("{folder} cannot be written to: {source}", folder = folder.display())]
    ReadOnly {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A report of another bundle.
    #[error("the report is about another bundle than {folder}", folder = folder.display())]
    OtherReport {
        /// The folder.
        folder: PathBuf,
    },
    /// The medium is too small.
    #[error("{folder} has {free} bytes free; {need} are needed", folder = folder.display())]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// Bytes that would be written beside what is there.
        need: u64,
        /// Bytes free.
        free: u64,
    },
    /// What is mended and what it is mended from are one folder.
    #[error("{folder} cannot be mended from itself", folder = folder.display())]
    Same {
        /// The folder.
        folder: PathBuf,
    },
    /// Nothing says that the folder is a copy of the bundle at all.
    #[error(
        "the signatures of {folder} do not hold, and none of its volumes is of {name} {version}, which {from} is",
        folder = folder.display(), from = from.display()
    )]
    NoCopy {
        /// The folder.
        folder: PathBuf,
        /// The copy whose signatures hold.
        from: PathBuf,
        /// Its release's name.
        name: String,
        /// Its version.
        version: semver::Version,
    },
}

/// Mends a copy.
///
/// # Errors
/// Why nothing was mended. What could not be mended is in the report.
pub fn repair(request: &Request<'_>, observer: &dyn Observer) -> Result<Report, Error> {
    apart(request)?;
    let known = copies::authenticate((request.folders, request.from), request.policy, request.now)?;
    let mut report = Report {
        ok: false,
        dry_run: request.mode == Mode::DryRun,
        release: None,
        signers: vec![],
        list_from: known.from.clone(),
        bytes: 0,
        parity: None,
        mended: vec![],
        findings: known.findings.clone(),
    };
    let Some(bundle) = &known.bundle else { return Ok(report) };
    let index = bundle.index.get();
    report.release = Some(index.release.clone());
    report.signers = bundle.index.signers().to_vec();
    report.findings.extend(bundle.contradictions());

    // What a killed run had computed waits there.
    let mut others = request.from.to_vec();
    others.extend(request.folders.iter().map(|folder| folder.join(SCRATCH)).filter(|folder| folder.is_dir()));
    let places = Places::new(&others);
    let chunked = index.chunked();
    let only = only(request, &known, &chunked, &mut report.findings)?;
    let seen = survey::survey(&known, bundle, (&chunked, only.as_ref()), &places, observer);
    report.bytes = seen.bytes;
    if !seen.any_chunk && !request.folders.contains(&known.from) {
        let release = index.release.clone();
        let folder = bundle.home().to_owned();
        return Err(Error::NoCopy { folder, from: known.from, name: release.name, version: release.version });
    }
    report.findings.extend(seen.findings);
    let parity = Parity::of(index);
    report.parity = parity.as_ref().map(|parity| parity.reach(seen.wrong.iter().map(|wrong| &wrong.piece)));
    let planned = plan::plan(seen.wrong, parity.as_ref());
    report.findings.extend(planned.left.iter().map(|left| unmended(&left.piece, left.why.clone())));
    let steps = &planned.steps;
    if request.mode == Mode::Write && !steps.is_empty() {
        room(bundle.home(), &chunked, steps, &bundle.folders)?;
        let mending = begin(request.folders)?;
        let computed = if steps.iter().any(|step| step.from == From::Parity) { report.bytes } else { 0 };
        let copied = steps.iter().filter(|step| step.from != From::Parity).map(|step| length(&step.piece));
        let bytes = copied.sum::<u64>() + computed;
        observer.event(Event::Begin { verb: "repair", bytes, items: steps.len() as u64 });
        let acting = act::Acting {
            known: &known,
            bundle,
            chunked: &chunked,
            parity: parity.as_ref(),
            places: &places,
            mending: &mending,
        };
        let done = acting.run(&planned, observer);
        act::sweep(&mending);
        observer.event(Event::End);
        for (step, outcome) in planned.steps.into_iter().zip(done) {
            match outcome {
                Ok(()) => report.mended.push(mended(step.piece, step.from, &others)),
                Err(why) => report.findings.push(unmended(&step.piece, why)),
            }
        }
    } else {
        if request.mode == Mode::Write && others.len() > request.from.len() {
            act::sweep(&begin(request.folders)?);
        }
        report.mended =
            planned.steps.into_iter().map(|step| mended(step.piece, step.from, &others)).collect();
    }
    let used = |folder: &PathBuf| report.mended.iter().any(|mended| mended.copy.as_ref() == Some(folder));
    let idle = request.from.iter().filter(|folder| !used(folder) && !places::of_bundle(folder, &chunked));
    report.findings.extend(idle.map(|folder| {
        let detail = format!("{} holds no volume of this bundle and no part of one", folder.display());
        Finding::warn(What::Unchecked { detail })
    }));
    // Nothing of that is taken away: it may be somebody's. But the folder is not as signed with it.
    report.findings.extend(folder::strangers(bundle));
    report.ok = !refused(&report.findings);
    if report.ok && request.mode == Mode::Write {
        report.findings.extend(still_refused(request));
        report.ok = !refused(&report.findings);
    }
    Ok(report)
}

/// Why who opens the folder now would not get as far as its files: signatures that are none, or too many of them.
fn still_refused(request: &Request<'_>) -> Vec<Finding> {
    let unchecked = |detail: String| vec![Finding::refuse(What::Unchecked { detail })];
    let judged =
        open::open(request.folders).and_then(|opened| opened.authenticate(request.policy, request.now));
    match judged {
        Ok((_, Some(_))) => vec![],
        Ok((findings, None)) => findings,
        Err(error) => unchecked(error.to_string()),
    }
}

fn mended(piece: Piece, from: From, copies: &[PathBuf]) -> Mended {
    let copy = match from {
        From::Copy(number) => copies.get(number).cloned(),
        From::Parity | From::Cut => None,
    };
    Mended { piece, copy, computed: from == From::Parity }
}

/// Bytes that a piece moves, as far as that is known beforehand.
fn length(piece: &Piece) -> u64 {
    match piece {
        Piece::Chunk { from, to, .. } => to - from,
        Piece::Tail { .. } | Piece::File { .. } => 0,
    }
}

fn unmended(piece: &Piece, why: String) -> Finding {
    let path = piece.path().to_string();
    let chunk = match piece {
        Piece::Chunk { chunk, .. } => Some(*chunk),
        Piece::Tail { .. } | Piece::File { .. } => None,
    };
    Finding::refuse(What::Unmended { path, chunk, why })
}

/// What a report names, when there is one and the copy itself proves that it is the bundle the report is about.
fn only(
    request: &Request<'_>,
    known: &copies::Known,
    chunked: &[Chunked<'_>],
    findings: &mut Vec<Finding>,
) -> Result<Option<BTreeSet<Piece>>, Error> {
    let (Some(damage), Some(bundle)) = (request.damage, &known.bundle) else { return Ok(None) };
    let index = INDEX.parse().ok().and_then(|name| bundle.sums.get(&name).copied());
    if damage.index.is_some() && damage.index != index {
        return Err(Error::OtherReport { folder: bundle.home().to_owned() });
    }
    if !request.folders.contains(&known.from) || damage.index.is_none() {
        return Ok(None);
    }
    let (pieces, unknown) = plan::named(damage, chunked, &|path| bundle.sums.contains(path));
    findings.extend(unknown.into_iter().map(|path| {
        let detail = format!("the report names {path}, which this bundle does not list");
        Finding::warn(What::Unchecked { detail })
    }));
    Ok(Some(pieces).filter(|pieces| !pieces.is_empty()))
}

/// Whether there is room for what grows, and for what waits until it is in its place.
fn room(home: &Path, chunked: &[Chunked<'_>], steps: &[Step], folders: &[PathBuf]) -> Result<(), Error> {
    let named: BTreeSet<_> = steps.iter().map(|step| step.piece.path()).collect();
    let there = |file: &Chunked<'_>| {
        folders
            .iter()
            .find_map(|folder| Some(file.name.under(folder).symlink_metadata().ok()?.len()))
            .unwrap_or(0)
    };
    let grows = chunked.iter().filter(|file| named.contains(file.name));
    let grows: u64 = grows.map(|file| file.bytes.saturating_sub(there(file))).sum();
    let waits: u64 =
        steps.iter().filter(|step| step.from == From::Parity).map(|step| length(&step.piece)).sum();
    // What waits goes as its place fills; a chunk is there twice for a moment.
    let need = grows.max(waits) + if waits > 0 { limits::CHUNK_BYTES } else { 0 };
    let free = fs::free_bytes(home)?;
    if free < need {
        return Err(Error::NoRoom { folder: home.to_owned(), need, free });
    }
    Ok(())
}

/// Takes hold of every folder of the copy.
fn begin(folders: &[PathBuf]) -> Result<Vec<(PathBuf, Mending)>, Error> {
    let hold = |folder: &PathBuf| match Mending::begin(folder) {
        Ok(mending) => Ok((folder.clone(), mending)),
        Err(fs::Error::Io { source, .. })
            if matches!(
                source.kind(),
                std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied
            ) =>
        {
            Err(Error::ReadOnly { folder: folder.clone(), source })
        }
        Err(error) => Err(error.into()),
    };
    folders.iter().map(hold).collect()
}

/// What is mended must be another folder than what it is mended from, whatever they are called.
fn apart(request: &Request<'_>) -> Result<(), Error> {
    let known = |folder: &Path| {
        use std::os::unix::fs::MetadataExt as _;
        folder.metadata().ok().map(|facts| (facts.dev(), facts.ino()))
    };
    let others: Vec<_> = request.from.iter().filter_map(|folder| known(folder)).collect();
    match request.folders.iter().find(|folder| known(folder).is_some_and(|one| others.contains(&one))) {
        Some(folder) => Err(Error::Same { folder: folder.clone() }),
        None => Ok(()),
    }
}
