//! `bundle lock`: resolves every reference of a release and writes `release.lock` beside it.
//!
//! Every image is asked for, and every fault found, before anything is said. The lock is written whole or not at all; an image whose
//! root has not moved costs one request and keeps its entry.

use std::path::{Path, PathBuf};

use crate::bundle;
use crate::digest::Digest;
use crate::limits;
use crate::ops::keys;
use crate::ops::parallel::each;
use crate::progress::{Event, ItemState, Observer};
use crate::release::Release;
use crate::release::lock::{FORMAT, Lock, LockedChart, LockedImage, LockedLicense};
use crate::release::sections::License;
use crate::sources::{self, Reach, Resolved, Sources, Wish, resolve};
use crate::sys::fs;

mod add;
mod charts;
mod discover;
mod error;
mod install;
mod models;
mod plain;
mod report;

pub(super) use error::lines;
pub use error::{ChartFault, ChartWhy, EntryFault, Error, InstallFault, ModelFault, Stale, Undeclared};
pub use report::{Change, ChartReport, Finding, ImageReport, ModelReport, Outcome, Report};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The `release.yaml`.
    pub file: PathBuf,
    /// What to do with the lock.
    pub mode: Mode,
    /// The helm that renders charts, where one is named.
    pub helm: Option<PathBuf>,
}

/// What to do with the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Bring it up to date.
    #[default]
    Write,
    /// Only tell whether it is up to date; write nothing.
    Check,
    /// Bring it up to date; what charts run and the release does not declare is written into the release first.
    Add,
}

/// The lock of a release: the same name, ending in `.lock`.
#[must_use]
pub fn lock_path(file: &Path) -> PathBuf {
    file.with_extension("lock")
}

/// Locks a release. `observer` is told of each image.
///
/// # Errors
/// [`Error`]; with [`Mode::Check`], [`Error::Stale`] when a new lock would differ from the one there is.
#[allow(clippy::needless_pass_by_value, reason = "whoever calls makes it for this call")]
pub fn lock(request: &Request, reach: impl Reach, observer: &dyn Observer) -> Result<Report, Error> {
    if lock_path(&request.file) == request.file {
        return Err(Error::IsLock { path: request.file.clone() });
    }
    match once(request, &reach, observer) {
        Err(Error::Undeclared(undeclared)) if request.mode == Mode::Add => {
            let added = add::declare(&request.file, undeclared)?;
            let mut report = once(request, &reach, observer)?;
            report.added = added;
            Ok(report)
        }
        result => result,
    }
}

fn once(request: &Request, reach: &dyn Reach, observer: &dyn Observer) -> Result<Report, Error> {
    let file = &request.file;
    let shown = file.display().to_string();
    let bytes = fs::read_limited(file, limits::HAND_WRITTEN_BYTES)?;
    let release = Release::parse(&bytes, &shown)?;
    if release.images.is_empty() && release.charts.is_empty() && release.models.is_empty() {
        return Err(Error::Nothing { file: file.clone() });
    }
    let path = lock_path(file);
    let (previous, mut stale, mut findings) = read_previous(&path)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let license = release.license.as_ref().map(|license| locked_license(&license.value, folder, &shown));
    let license = license.transpose()?;
    let sources = Sources::new(folder, reach);
    let items = release.images.len() + release.charts.len();
    observer.event(Event::Begin { verb: "lock", bytes: 0, items: items as u64 });
    let mut faults = Vec::new();
    let resolved = all(resolve_all(&release, previous.as_ref(), &sources, observer), &mut faults);
    let charts = all(charts::lock_all(&release, previous.as_ref(), &sources, observer), &mut faults);
    let mut files = all(plain::lock_files(&release, folder, reach), &mut faults);
    let tools = all(plain::lock_tools(&release, previous.as_ref(), folder, reach), &mut faults);
    observer.event(Event::End);
    if !faults.is_empty() {
        return Err(Error::Entries(faults.into_iter().map(|fault| fault.within(&shown)).collect()));
    }
    let (install, upgrade) = install::lock(&release, folder, &shown, &mut files)?;
    let paths: Vec<_> =
        files.iter().map(|file| &file.path).chain(tools.iter().map(|tool| &tool.path)).collect();
    bundle::plain::check(paths.iter().copied())
        .and_then(|()| bundle::plain::check_beside_texts(&paths))
        .map_err(|source| Error::Plain { file: shown.clone(), source })?;
    for Resolved { image, left_behind } in &resolved {
        if !left_behind.is_empty() {
            findings.push(Finding::AttestationsLeftBehind {
                image: image.reference.clone(),
                attestations: left_behind.clone(),
            });
        }
        if let (Some(original), false) = (image.original, image.left_behind.is_empty()) {
            findings.push(Finding::ReferrersLeftBehind {
                image: image.reference.clone(),
                original,
                referrers: image.left_behind.clone(),
            });
        }
    }
    let images: Vec<LockedImage> = resolved.into_iter().map(|resolved| resolved.image).collect();
    let ran = discover::run(&discover::Ask {
        release: &release,
        folder,
        shown: &shown,
        images: &images,
        charts: &charts,
        previous: previous.as_ref().map(|lock| lock.charts.as_slice()).unwrap_or_default(),
        helm: request.helm.as_deref(),
    })?;
    findings.extend(ran.findings);
    let charts = charts.into_iter().zip(ran.charts).map(|(chart, ran)| LockedChart {
        rendered: ran.rendered,
        images: ran.images,
        ..chart.locked
    });
    let models::Models { models, notices, findings: more } =
        models::lock_all(&release, previous.as_ref(), &sources, observer).map_err(|faults| {
            Error::Models(faults.into_iter().map(|fault| fault.within(&shown)).collect())
        })?;
    findings.extend(more);
    let lock = Lock {
        format: FORMAT,
        release: Digest::of(&bytes),
        name: release.name.to_string(),
        version: release.version.clone(),
        vendor: release.vendor.value.clone(),
        seal: release.seal,
        volume_size: release.volume_size.value,
        images,
        charts: charts.collect(),
        models,
        files: files.into_iter().chain(notices).collect(),
        tools,
        license,
        upgrade,
        install,
    };
    lock.validate().map_err(|fault| Error::Whole(Box::new(fault)))?;
    let mut report = Report::new(path, &lock, previous.as_ref(), findings);
    let current = previous.as_ref() == Some(&lock);
    match request.mode {
        Mode::Write | Mode::Add if current => report.outcome = Outcome::Unchanged,
        Mode::Write | Mode::Add => fs::write(&report.lock, lock.render().as_bytes(), fs::PUBLIC)?,
        Mode::Check if current => report.outcome = Outcome::Current,
        Mode::Check => {
            stale.extend(report.stale(previous.as_ref(), &lock));
            return Err(Error::Stale { lock: report.lock, reasons: stale });
        }
    }
    Ok(report)
}

/// The licence policy with its key read, relative to the release's folder.
fn locked_license(license: &License, folder: &Path, file: &str) -> Result<LockedLicense, Error> {
    let License { required, public_key, features, grace_days, warn_days } = license;
    let key = keys::license_key(&folder.join(&public_key.value));
    let key =
        key.map_err(|source| Error::License { file: file.to_owned(), place: public_key.place, source })?;
    Ok(LockedLicense {
        required: *required,
        public_key: key,
        features: features.iter().map(|feature| feature.value.clone()).collect(),
        grace_days: *grace_days,
        warn_days: *warn_days,
    })
}

type Previous = (Option<Lock>, Vec<Stale>, Vec<Finding>);

/// The lock there is. One that cannot be used is replaced, and that is told; one of a later format is an error.
fn read_previous(path: &Path) -> Result<Previous, Error> {
    let bytes = match fs::read_limited(path, limits::LOCK_BYTES) {
        Ok(bytes) => bytes,
        Err(fs::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok((None, vec![Stale::NoLock], Vec::new()));
        }
        Err(error) => return Err(error.into()),
    };
    match Lock::parse(&bytes, &path.display().to_string()) {
        Ok(lock) => Ok((Some(lock), Vec::new(), Vec::new())),
        Err(error @ crate::release::lock::Error::Format { .. }) => Err(Error::Later(error)),
        Err(error) => {
            let why = error.to_string();
            let findings = vec![Finding::LockReplaced { why: why.clone() }];
            Ok((None, vec![Stale::Unreadable { why }], findings))
        }
    }
}

/// Resolves every image, at most [`limits::LOCK_PARALLEL`] at a time, in the order of the release; or all faults.
fn resolve_all(
    release: &Release,
    previous: Option<&Lock>,
    sources: &Sources<'_>,
    observer: &dyn Observer,
) -> Result<Vec<Resolved>, Vec<EntryFault>> {
    named(each(&release.images, limits::LOCK_PARALLEL, |image| {
        let name = image.value.reference.to_string();
        let item = |state| Event::Item { name: &name, digest: None, bytes: 0, state };
        observer.event(item(ItemState::Started));
        let result = resolve_one(release, image, previous, sources);
        observer.event(item(if result.is_ok() { ItemState::Done } else { ItemState::Failed }));
        result.map_err(|source| EntryFault::new(image.place, name, source))
    }))
}

/// What was made; faults are put to the others.
fn all<T>(result: Result<Vec<T>, Vec<EntryFault>>, faults: &mut Vec<EntryFault>) -> Vec<T> {
    result.unwrap_or_else(|found| {
        faults.extend(found);
        Vec::new()
    })
}

/// All that was made, or all faults.
fn named<T>(results: Vec<Result<T, EntryFault>>) -> Result<Vec<T>, Vec<EntryFault>> {
    let (mut made, mut faults) = (Vec::with_capacity(results.len()), Vec::new());
    for result in results {
        match result {
            Ok(one) => made.push(one),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(made) } else { Err(faults) }
}

fn resolve_one(
    release: &Release,
    image: &crate::release::yaml::At<crate::release::model::Image>,
    previous: Option<&Lock>,
    sources: &Sources<'_>,
) -> Result<Resolved, sources::Error> {
    let image = &image.value;
    let opened = sources.open(&image.reference, image.from.as_ref())?;
    let wish = Wish {
        reference: &image.reference,
        from: image.from.as_ref(),
        named: opened.named(),
        platforms: release.platforms_of(image),
        previous: previous.and_then(|lock| lock.images.iter().find(|old| old.reference == image.reference)),
    };
    let mut resolved = resolve(opened.images.as_ref(), &wish)?;
    let images = opened.images.as_ref();
    sources::referrers(images, &mut resolved.image, wish.previous)?;
    resolved.image.cosign_key = None;
    if let Some(verify) = &image.verify {
        let key = sources.cosign_key(&verify.cosign_key)?;
        sources::signed(images, &mut resolved.image, (&key, wish.previous))?;
    }
    Ok(resolved)
}
