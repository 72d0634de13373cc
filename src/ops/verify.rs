//! `bundle verify`: signature, completeness, every byte; with an identity also every blob and the graph.
//!
//! Collects findings and never stops at the first, but for one: when the signatures do not hold, nothing else is read. Each byte
//! of a volume is read once; nothing is written.

use std::path::{Path, PathBuf};

use serde::Serialize;
use signing::{KeyId, Policy};

use crate::bundle::damage::{self, Damage};
use crate::bundle::grant::OpenWith;
use crate::bundle::index::Release;
use crate::bundle::names::INDEX;
use crate::digest::Digest;
use crate::ops::finding::{Finding, What, refused};
use crate::ops::{grant, open, remember};
use crate::plan::repair::{Parity, Reach, named};
use crate::progress::{Event, Observer};
use crate::release::lock::Seal;
use crate::store::volumes::Volumes;

mod between;
pub(crate) mod chunks;
pub(crate) mod folder;
mod graph;
mod lanes;
mod licenses;
mod signatures;

/// What is asked for.
pub struct Request<'a> {
    /// The folders the bundle is in.
    pub folders: &'a [PathBuf],
    /// Who is trusted.
    pub policy: &'a Policy,
    /// Opens a grant, so that the content can be checked too.
    pub with: Option<OpenWith<'a>>,
    /// Seconds since 1970; `None` where there is no clock.
    pub now: Option<i64>,
    /// The folder that remembers what was loaded; `None` to remember nothing.
    pub state: Option<&'a Path>,
    /// Whether an older release than the highest loaded is let through.
    pub allow_downgrade: bool,
}

/// What was checked, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing refuses the bundle.
    pub ok: bool,
    /// What the bundle is; `None` when its signatures do not hold, because then it could claim anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// SHA-256 of its `bundle.json`; `None` when its signatures do not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// Whose signatures hold.
    pub signers: Vec<KeyId>,
    /// How deep the check went.
    pub depth: Depth,
    /// Volumes in the bundle.
    pub volumes: usize,
    /// Bytes of volumes that were read and are as signed.
    pub bytes: u64,
    /// Bytes of volumes there should be.
    pub bytes_listed: u64,
    /// Blobs whose digests hold.
    pub blobs: usize,
    /// Blobs there should be.
    pub blobs_listed: usize,
    /// Blobs that an upgrade relies on: whether they are anywhere is for `load` to find out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relied_on: Option<ReliedOn>,
    /// Whether it was looked at that every image, chart and model is whole, which needs all the volumes undamaged.
    pub graphs: bool,
    /// How far parity reaches, where the bundle has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parity: Option<Reach>,
    /// Everything seen.
    pub findings: Vec<Finding>,
}

/// What an upgrade relies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReliedOn {
    /// The version of its base.
    pub base: semver::Version,
    /// SHA-256 of the base's `bundle.json`.
    pub index: crate::digest::Digest,
    /// Blobs that the base has.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl ReliedOn {
    /// Of a bundle that is an upgrade.
    #[must_use]
    pub fn of(index: &crate::bundle::Index) -> Option<Self> {
        let base = index.base.as_ref()?;
        let bytes = index.relied_on.iter().map(|blob| blob.size).sum();
        Some(Self { base: base.version.clone(), index: base.index, blobs: index.relied_on.len(), bytes })
    }
}

/// How deep a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// The signatures did not hold; nothing else was read.
    Signature,
    /// Every byte of every file is the one that was signed.
    Bytes,
    /// And every blob is the one its digest names, and every image is whole.
    Content,
}

/// Why a bundle could not be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] open::Error),
    /// The identity opens no grant.
    #[error(transparent)]
    Grant(#[from] grant::Error),
    /// What was loaded here before cannot be read.
    #[error(transparent)]
    Remember(#[from] remember::Error),
    /// The index has no possible shape.
    #[error(transparent)]
    Index(#[from] crate::bundle::index::IndexError),
}

/// Checks a bundle.
pub fn verify(request: &Request<'_>, observer: &dyn Observer) -> Result<Report, Error> {
    let opened = open::open(request.folders)?;
    let (findings, authenticated) = opened.authenticate(request.policy, request.now)?;
    let mut report = Report {
        ok: false,
        release: None,
        index: None,
        signers: vec![],
        depth: Depth::Signature,
        volumes: 0,
        bytes: 0,
        bytes_listed: 0,
        blobs: 0,
        blobs_listed: 0,
        relied_on: None,
        graphs: false,
        parity: None,
        findings,
    };
    let Some(bundle) = authenticated else { return Ok(report) };
    let index = bundle.index.get();
    report.release = Some(index.release.clone());
    report.index = INDEX.parse().ok().and_then(|name| bundle.sums.get(&name).copied());
    report.signers = bundle.index.signers().to_vec();
    report.volumes = index.volumes.len();
    report.blobs_listed = index.blobs.len();
    report.relied_on = ReliedOn::of(index);
    report.depth = Depth::Bytes;
    report.findings.extend(downgrade(
        &index.release,
        request.policy,
        (request.state, request.allow_downgrade),
    )?);
    report.findings.extend(bundle.contradictions());
    report.findings.extend(folder::check(&bundle));
    report.findings.extend(licenses::check(&bundle, request.policy, request.now));

    let total = index.volumes.iter().map(|volume| volume.bytes).sum();
    let chunked = index.chunked();
    let items = chunked.iter().map(|file| file.chunks.len() as u64).sum();
    report.bytes_listed = total;
    observer.event(Event::Begin {
        verb: "verify",
        bytes: chunked.iter().map(|file| file.bytes).sum(),
        items,
    });
    let key = match (request.with, index.payload.seal) {
        (Some(with), Seal::Age) => match grant::release_key(bundle.home(), with, (&bundle.folders, index)) {
            // The bytes can be checked all the same.
            Err(error @ grant::Error::OtherRelease { .. }) => {
                let release = format!("{} {}", index.release.name, index.release.version);
                let detail = error.to_string();
                report.findings.push(Finding::refuse(What::OtherKey { detail, release }));
                None
            }
            key => Some(key?),
        },
        _ => None,
    };
    let content = key.is_some() || (index.payload.seal == Seal::None && request.with.is_some());
    let volumes = Volumes::new(bundle.folders.clone(), index, key)?;
    if content {
        report.depth = Depth::Content;
        let seen = lanes::check(index, &volumes, observer);
        report.bytes = seen.bytes;
        report.blobs = seen.blobs;
        report.graphs = seen.graphs;
        report.findings.extend(seen.findings);
        if !refused(&report.findings) && seen.blobs != index.blobs.len() {
            let detail = format!("{} of {} blobs were checked", seen.blobs, index.blobs.len());
            report.findings.push(Finding::refuse(What::Unchecked { detail }));
        }
    } else {
        let seen = chunks::check(index, &volumes, observer);
        report.bytes = seen.bytes;
        report.findings.extend(seen.findings);
    }
    report.findings.extend(folder::copies(&bundle, observer));
    if let Some(parity) = Parity::of(index) {
        report.findings.extend(chunks::check_parity(index, &bundle.folders, observer).findings);
        report.parity = Some(reach(&parity, &report.findings, &bundle));
    }
    observer.event(Event::End);
    // Said a second time, so that no gap in the findings can ever pass bytes that nobody looked at.
    if !refused(&report.findings) && report.bytes != total {
        let detail = format!("{} of {total} bytes of volumes were checked", report.bytes);
        report.findings.push(Finding::refuse(What::Unchecked { detail }));
    }
    report.ok = !refused(&report.findings);
    Ok(report)
}

/// How far parity reaches when this was found.
fn reach(parity: &Parity, findings: &[Finding], bundle: &open::Authenticated) -> Reach {
    let places = findings.iter().filter_map(|finding| {
        let (path, what) = match &finding.what {
            What::Missing { path }
            | What::Unreadable { path, .. }
            | What::Denied { path, .. }
            | What::Gone { path, .. } => (path, damage::What::Whole),
            What::Size { path, got, .. } => (path, damage::What::Length(*got)),
            What::Damaged { path, chunk, .. } => (path, damage::What::Chunk(*chunk)),
            _ => return None,
        };
        Some(damage::Place { path: path.clone(), what })
    });
    let damage = Damage { places: places.collect(), ..Damage::default() };
    let (pieces, _) = named(&damage, &bundle.index.get().chunked(), &|path| bundle.sums.contains(path));
    parity.reach(pieces.iter())
}

/// Whether this release is older than the highest one loaded from this machine, with the weight that the policy gives to it.
pub(crate) fn downgrade(
    release: &Release,
    policy: &Policy,
    (state, allowed): (Option<&Path>, bool),
) -> Result<Option<Finding>, remember::Error> {
    if state.is_none() {
        let weight = match policy.terms().consequences.downgrade {
            signing::Weight::Ignore => return Ok(None),
            _ => signing::Weight::Warn,
        };
        return Ok(Some(Finding { weight, what: What::NoMemory }));
    }
    let Some(installed) = remember::highest(state, release)?.filter(|installed| *installed > release.version)
    else {
        return Ok(None);
    };
    let weight = match policy.terms().consequences.downgrade {
        signing::Weight::Refuse if allowed => signing::Weight::Warn,
        weight => weight,
    };
    let what = What::Downgrade { installed: installed.to_string(), version: release.version.to_string() };
    Ok(Some(Finding { weight, what }).filter(|finding| finding.weight != signing::Weight::Ignore))
}
