//! `bundle copy`: a bundle onto a stick, onto several sticks in turn, or behind SFTP.
//!
//! What is copied are the delivered files as they are; nothing is opened, and no key is needed. The source is judged while it is read, by the
//! hashes of the index; the copy is read back from where it lies and judged by the same. What authenticates a bundle is written last, so
//! an interrupted copy never looks whole; the same command goes on with it.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use signing::{KeyId, Policy};

use crate::bundle::index::Release;
use crate::courier::sftp::{Address, AddressError, Options, Remote};
use crate::courier::{self, Folder, Place, ReadBack};
use crate::ops::finding::{Finding, What, refused};
use crate::ops::grant::GrantName;
use crate::ops::open;
use crate::ops::transfer::in_parallel;
use crate::plan::copy::{self as plan, CopyError, Medium, Spread};
use crate::progress::{Event, Observer};
use crate::sys::filesystem;

mod carry;
mod gather;
mod look;
mod patience;

use carry::{Carried, Carry, to_write};
use gather::{Item, Origin, file, gather};
use look::Site;
use patience::patiently;

/// What is asked for.
pub struct Request<'a> {
    /// The folders the bundle is in.
    pub folders: &'a [PathBuf],
    /// Where to; more than one when its volumes shall be divided.
    pub to: &'a [To],
    /// How machines are reached.
    pub ssh: &'a Options,
    /// Who is trusted, and seconds since 1970 where there is a clock; `None` to copy whatever it is.
    pub trust: Option<(&'a Policy, Option<i64>)>,
    /// Whose grant and licence travel; `None` for all.
    pub customer: Option<&'a GrantName>,
    /// Asks for one more folder when those that were given are full; `None` where nobody can be asked.
    pub next: Option<&'a Next<'a>>,
    /// Whether to copy or only to say what would be.
    pub mode: Mode,
}

/// Where a bundle is copied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A folder of another one.
    Sftp(Address),
}

impl FromStr for To {
    type Err = AddressError;

    /// `sftp://…`, or a path.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        match Address::is_meant(text) {
            true => Ok(Self::Sftp(text.parse()?)),
            false => Ok(Self::Folder(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Sftp(address) => address.fmt(f),
        }
    }
}

/// Gives one more folder for what has no place yet, or none to stop.
pub type Next<'n> = dyn Fn(&Wanting) -> Option<To> + Sync + 'n;

/// Whether to copy or only to say what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Copies.
    Write,
    /// Says what would be copied where.
    DryRun,
}

/// What has no place yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wanting {
    /// Volumes.
    pub volumes: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The place that was filled last.
    pub full: String,
}

/// What was copied, or why it was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether all of it is where it should be, or would be.
    pub ok: bool,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// What the bundle is; only claimed when it is not authenticated. `None` when its signatures were asked for and do not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Whether its signatures were checked, and hold.
    pub authenticated: bool,
    /// Whose signatures hold.
    pub signers: Vec<KeyId>,
    /// Whose grant and licence travel; all when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<GrantName>,
    /// Bytes of the whole bundle, as it travels.
    pub bytes: u64,
    /// Where it is now, or would be.
    pub places: Vec<Placed>,
    /// What found no place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Wanting>,
    /// Everything seen.
    pub findings: Vec<Finding>,
}

/// What is in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// Which place.
    pub to: String,
    /// Its filesystem, and what is mounted there.
    pub filesystem: String,
    /// Bytes free before; absent where it does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// The volumes it holds.
    pub volumes: Vec<String>,
    /// How many files it holds, volumes among them.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that were written, or would be; the others were there and are right.
    pub written: u64,
    /// How everything was read back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_back: Option<ReadBack>,
    /// Whether everything it should hold is there, was read back and is right.
    pub whole: bool,
}

/// Why nothing was copied, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It ended before anything was written.
    #[error(transparent)]
    Unbegun(Box<Error>),
    /// The bundle could not be opened.
    #[error(transparent)]
    Open(#[from] open::Error),
    /// A place cannot hold it.
    #[error(transparent)]
    Plan(#[from] CopyError),
    /// A place failed.
    #[error(transparent)]
    Place(#[from] courier::Error),
    /// A bundle onto or into itself.
    #[error("{to} and {from} are one folder, or one is inside of the other", to = to.display(), from = from.display())]
    Itself {
        /// The destination.
        to: PathBuf,
        /// The bundle.
        from: PathBuf,
    },
    /// A place that was given twice.
    #[error("{to} is given twice")]
    Twice {
        /// Which.
        to: To,
    },
    /// A place that holds another bundle.
    #[error("{place} holds another bundle: {what}")]
    OtherBundle {
        /// Which place.
        place: String,
        /// What that one says it is.
        what: String,
    },
    /// A place with files that would not belong to the copy.
    #[error("{place} holds files that are no part of the copy: {}", names.join(", "))]
    Foreign {
        /// Which place.
        place: String,
        /// The first few of them.
        names: Vec<String>,
        /// What a folder of its own would be called.
        own: String,
    },
    /// The places are too small together.
    #[error("{full} is full; volumes without a place: {}, {} bytes", .left.volumes, .left.bytes, full = .left.full)]
    NoRoom {
        /// What has no place.
        left: Wanting,
        /// How many more media like the last one it would take, where that is known.
        more: Option<u64>,
    },
}

/// Copies a bundle.
pub fn copy(request: &Request<'_>, observer: &dyn Observer) -> Result<Report, Error> {
    let begun = AtomicBool::new(false);
    all(request, observer, &begun).map_err(|error| match begun.into_inner() {
        true => error,
        false => Error::Unbegun(Box::new(error)),
    })
}

fn all(request: &Request<'_>, observer: &dyn Observer, begun: &AtomicBool) -> Result<Report, Error> {
    apart(request)?;
    let opened = open::open(request.folders)?;
    let folders = opened.folders().to_vec();
    let mut report = Report {
        ok: false,
        dry_run: request.mode == Mode::DryRun,
        release: None,
        authenticated: false,
        signers: vec![],
        customer: request.customer.cloned(),
        bytes: 0,
        places: vec![],
        left: None,
        findings: vec![],
    };
    let (sums, index) = match request.trust {
        Some((policy, now)) => {
            let (findings, bundle) = opened.authenticate(policy, now)?;
            report.findings = findings;
            let Some(bundle) = bundle else { return Ok(report) };
            report.authenticated = true;
            report.signers = bundle.index.signers().to_vec();
            (bundle.sums.clone(), bundle.index.get().clone())
        }
        None => {
            let detail = "who signed this bundle was not checked: no trust policy was given".to_owned();
            report.findings.push(Finding::warn(What::Unchecked { detail }));
            opened.unverified_index()?
        }
    };
    report.release = Some(index.release.clone());
    report.findings.extend(open::contradictions(&sums, &index));
    let origin = Origin { folders: &folders, sums: &sums, index: &index };
    let (items, findings) = gather(&origin, request.customer);
    report.findings.extend(findings);
    report.bytes = items.iter().map(|item| item.bytes).sum();
    if refused(&report.findings) {
        return Ok(report);
    }
    let copying = Copying { request, origin, items, observer, begun };
    copying.places(&mut report)?;
    Ok(report)
}

/// A bundle is not copied onto itself, nor into itself, nor twice to one place.
fn apart(request: &Request<'_>) -> Result<(), Error> {
    for (number, to) in request.to.iter().enumerate() {
        if request.to[..number].contains(to) {
            return Err(Error::Twice { to: to.clone() });
        }
        clear_of(to, request.folders)?;
    }
    Ok(())
}

fn clear_of(to: &To, folders: &[PathBuf]) -> Result<(), Error> {
    let To::Folder(to) = to else { return Ok(()) };
    match folders
        .iter()
        .find(|from| filesystem::within(to, from) || to.exists() && filesystem::within(from, to))
    {
        Some(from) => Err(Error::Itself { to: to.clone(), from: from.clone() }),
        None => Ok(()),
    }
}

struct Copying<'a> {
    request: &'a Request<'a>,
    origin: Origin<'a>,
    items: Vec<Item>,
    observer: &'a dyn Observer,
    /// Whether anything was written.
    begun: &'a AtomicBool,
}

impl Copying<'_> {
    /// One place after the other, until everything has its own.
    fn places(&self, report: &mut Report) -> Result<(), Error> {
        let files: Vec<plan::File> = self.items.iter().map(file).collect();
        let mut sites = VecDeque::new();
        for to in self.request.to {
            sites.push_back(self.look(to)?);
        }
        // Numbers of the items that still need a place.
        let mut open: Vec<usize> = (0..self.items.len()).collect();
        let mut full = String::new();
        loop {
            let some: Vec<plan::File> = open.iter().map(|number| files[*number].clone()).collect();
            let media: Vec<Medium> = sites.iter().map(|site: &Site| site.medium.clone()).collect();
            let plan = plan::plan(&some, &media)?;
            let back = |numbers: &[usize]| numbers.iter().map(|number| open[*number]).collect::<Vec<_>>();
            let left = back(&plan.left);
            if let Some(last) = media.last() {
                full.clone_from(&last.name);
            }
            if !left.is_empty() && self.request.next.is_none() {
                let left = self.wanting(&left, &full);
                if self.request.mode == Mode::DryRun {
                    report.places.extend(
                        sites.iter().zip(&plan.loads).map(|(site, load)| self.planned(site, &back(load))),
                    );
                    report.left = Some(left);
                    return Ok(());
                }
                let more = media
                    .last()
                    .and_then(|medium| medium.free)
                    .filter(|free| *free > 0)
                    .map(|free| left.bytes.div_ceil(free));
                return Err(Error::NoRoom { left, more });
            }
            if self.request.mode == Mode::DryRun {
                report.places.extend(
                    sites.iter().zip(&plan.loads).map(|(site, load)| self.planned(site, &back(load))),
                );
                report.left = (!left.is_empty()).then(|| self.wanting(&left, &full));
                report.ok = left.is_empty();
                return Ok(());
            }
            if let Some(site) = sites.pop_front() {
                let load = back(&plan.loads[0]);
                let volumes =
                    |numbers: &[usize]| numbers.iter().any(|n| self.items[*n].spread == Spread::One);
                // A medium beyond the last volume is not needed.
                if volumes(&load) || !volumes(&open) && report.places.is_empty() {
                    let (placed, done) = self.carry(&site, &load, &mut report.findings)?;
                    report.places.push(placed);
                    open.retain(|number| {
                        self.items[*number].spread == Spread::Each || !done.contains(number)
                    });
                } else if volumes(&open) && sites.is_empty() && self.request.next.is_some() {
                    self.observer.event(Event::Note {
                        text: &format!("{} has no room for another volume", site.medium.name),
                    });
                }
            }
            let waiting: Vec<usize> =
                open.iter().copied().filter(|number| self.items[*number].spread == Spread::One).collect();
            if waiting.is_empty() || refused(&report.findings) {
                report.ok = waiting.is_empty() && !refused(&report.findings);
                return Ok(());
            }
            if sites.is_empty() {
                let left = self.wanting(&waiting, &full);
                let Some(next) = self.request.next else { return Err(Error::NoRoom { left, more: None }) };
                let Some(to) = next(&left) else {
                    report.left = Some(left);
                    return Ok(());
                };
                clear_of(&to, self.request.folders)?;
                sites.push_back(self.look(&to)?);
            }
        }
    }

    fn wanting(&self, numbers: &[usize], full: &str) -> Wanting {
        let bytes = numbers.iter().map(|number| self.items[*number].bytes).sum();
        Wanting { volumes: numbers.len(), bytes, full: full.to_owned() }
    }

    /// Asks a place something, also over a link that drops.
    fn patiently<T>(&self, ask: &mut dyn FnMut() -> Result<T, courier::Error>) -> Result<T, courier::Error> {
        patiently(self.observer, ask, &|| 0)
    }

    fn planned(&self, site: &Site, load: &[usize]) -> Placed {
        let items = || load.iter().map(|number| &self.items[*number]);
        let held = |item: &Item| site.medium.held.get(&item.path).copied().unwrap_or(0).min(item.bytes);
        Placed {
            to: site.medium.name.clone(),
            filesystem: site.medium.kind.clone(),
            free: site.medium.free,
            volumes: items()
                .filter(|item| item.spread == Spread::One)
                .map(|item| item.path.to_string())
                .collect(),
            files: load.len(),
            bytes: items().map(|item| item.bytes).sum(),
            written: items().map(|item| item.bytes - held(item)).sum(),
            read_back: None,
            whole: false,
        }
    }

    /// Fills one place; gives what it came to, and which items are there.
    fn carry(
        &self,
        site: &Site,
        load: &[usize],
        findings: &mut Vec<Finding>,
    ) -> Result<(Placed, Vec<usize>), Error> {
        let place: Box<dyn Place> = match &site.to {
            To::Folder(path) => Box::new(Folder::open(path)?),
            To::Sftp(address) => Box::new(Remote::new(address, self.request.ssh)?),
        };
        let mut placed =
            Placed { written: 0, volumes: vec![], files: 0, bytes: 0, ..self.planned(site, load) };
        let mut held = Vec::new();
        for number in load {
            held.push(self.patiently(&mut || place.held(&self.items[*number].path))?);
        }
        let bytes = load
            .iter()
            .zip(&held)
            .map(|(n, held)| self.items[*n].bytes + to_write(&self.items[*n], *held))
            .sum();
        self.observer.event(Event::Begin { verb: "copy", bytes, items: load.len() as u64 });
        self.begun.store(true, Ordering::Relaxed);
        for path in &site.stale {
            self.patiently(&mut || place.discard(path))?;
        }
        let carry = Carry { origin: &self.origin, place: place.as_ref(), observer: self.observer };
        let (full, good) = (AtomicBool::new(false), AtomicBool::new(true));
        let outcomes: Vec<Mutex<Option<Result<Carried, courier::Error>>>> =
            load.iter().map(|_| Mutex::default()).collect();
        let stop = AtomicBool::new(false);
        let one = |which: usize| {
            let item = &self.items[load[which]];
            if item.spread == Spread::One && full.load(Ordering::Relaxed) {
                return;
            }
            let mut outcome = carry.item(item, held[which]);
            if matches!(outcome, Err(courier::Error::Full { .. })) && item.spread == Spread::One {
                full.store(true, Ordering::Relaxed);
                match self.patiently(&mut || place.discard(&item.path)) {
                    Ok(()) => return,
                    Err(error) => outcome = Err(error),
                }
            }
            let whole = outcome.as_ref().is_ok_and(|carried| carried.findings.is_empty());
            good.fetch_and(whole, Ordering::Relaxed);
            stop.fetch_or(outcome.is_err(), Ordering::Relaxed);
            *outcomes[which].lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        };
        // What authenticates the rest comes when all of that is there, one after the other.
        let (seals, rest): (Vec<usize>, Vec<usize>) =
            (0..load.len()).partition(|which| self.items[load[*which]].seals);
        in_parallel(rest.len(), place.parallel(), &stop, &|which| one(rest[which]));
        for which in seals {
            if good.load(Ordering::Relaxed) && !stop.load(Ordering::Relaxed) {
                one(which);
            }
        }
        let (good, full) = (good.into_inner(), full.into_inner());
        let mut done = Vec::new();
        for (number, outcome) in load.iter().zip(outcomes) {
            let Some(carried) = outcome.into_inner().unwrap_or_else(PoisonError::into_inner) else {
                continue;
            };
            let carried = carried?;
            let item = &self.items[*number];
            placed.written += carried.written;
            placed.read_back = placed.read_back.max(carried.way);
            if carried.findings.is_empty() {
                done.push(*number);
                placed.files += 1;
                placed.bytes += item.bytes;
                if item.spread == Spread::One {
                    placed.volumes.push(item.path.to_string());
                }
            }
            findings.extend(carried.findings);
        }
        self.observer.event(Event::End);
        placed.whole = good;
        if full && placed.volumes.is_empty() {
            // It told more room than it has, or nothing at all.
            return Err(courier::Error::Full { place: site.medium.name.clone() }.into());
        }
        Ok((placed, done))
    }
}
