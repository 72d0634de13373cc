//! `bundle load`: every image with what refers to it, every chart and model into the customer's registry, in one pass over the medium.
//!
//! Asks first what is there (one request for a thing that has not changed, and one for each of its referrers), then reads, opens, checks
//! and pushes only what is not. Blobs go in parallel, in payload order; then each thing's manifests, children first, its referrers, its
//! name last; then the registry is asked what it holds under that name. A blob that fails fails what needs it and nothing else.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use signing::Policy;

use crate::bundle::grant::OpenWith;
use crate::bundle::names;
use crate::ops::finding::{Finding, What, refused};
use crate::ops::{manifests, remember, unlock};
use crate::plan::load::{self as plan, GraphError};
use crate::plan::mapping::{Mapping, MappingError};
use crate::plan::placing::{self, Placed};
use crate::progress::Observer;
use crate::registry::{self, Client};

mod ask;
mod base;
mod blob;
mod content;
mod notes;
mod put;
mod report;

use content::Content;
pub use report::{Counts, Delivery, Lacking, Relied, Report, State};

/// What is asked for.
pub struct Request<'a> {
    /// The folders the bundle is in.
    pub folders: &'a [PathBuf],
    /// Who is trusted.
    pub policy: &'a Policy,
    /// Folders of further bundles, each one bundle, that have blobs which an upgrade relies on.
    pub bases: &'a [PathBuf],
    /// Opens a grant; not needed when the volumes are not sealed.
    pub with: Option<OpenWith<'a>>,
    /// Where each reference goes.
    pub mapping: &'a Mapping,
    /// Blobs pushed at the same time.
    pub parallel: usize,
    /// Seconds since 1970; `None` where there is no clock.
    pub now: Option<i64>,
    /// The folder that remembers what was loaded; `None` to remember nothing.
    pub state: Option<&'a Path>,
    /// Whether an older release than the highest loaded is let through.
    pub allow_downgrade: bool,
    /// Whether each blob is asked after also where a name is there: what a registry lost or damaged below it is not seen otherwise.
    pub recheck: bool,
    /// Whether to do it or only to say what would be done.
    pub mode: Mode,
}

/// Whether to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Load.
    #[default]
    Write,
    /// Ask what is there, plan, and stop.
    DryRun,
}

/// Why nothing was loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle's content cannot be read.
    #[error(transparent)]
    Unlock(#[from] unlock::Error),
    /// References cannot be mapped.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The bundle's manifests cannot be read.
    #[error(transparent)]
    Manifests(#[from] manifests::Error),
    /// Something in the bundle is not whole.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// What was loaded here cannot be remembered.
    #[error(transparent)]
    Remember(#[from] remember::Error),
}

/// Loads a bundle through `client`.
pub fn load(request: &Request<'_>, client: &Client, observer: &dyn Observer) -> Result<Report, Error> {
    let Request { folders, policy, with, now, state, allow_downgrade, .. } = *request;
    let seen = unlock::authenticate(&unlock::Request { folders, policy, with, now, state, allow_downgrade })?;
    let mut report = Report {
        ok: false,
        dry_run: request.mode == Mode::DryRun,
        release: seen.release,
        signers: seen.signers,
        findings: seen.findings,
        images: vec![],
        referrers: vec![],
        charts: vec![],
        models: vec![],
        blobs: Counts::default(),
        bundle: None,
        relied_on: Relied::default(),
        lacking: vec![],
    };
    let Some(bundle) = seen.bundle else { return Ok(report) };
    let index = bundle.index.get();
    report.bundle = names::INDEX.parse().ok().and_then(|name| bundle.sums.get(&name).copied());
    let mut volumes = vec![unlock::volumes(&bundle, with)?];
    for folder in request.bases {
        let (findings, base) = base::open(request, folder)?;
        report.findings.extend(findings);
        volumes.extend(base);
    }
    if refused(&report.findings) {
        return Ok(report);
    }
    let placed = placing::place(index, request.mapping)?;
    report.findings.extend(
        placing::idle(index, request.mapping).into_iter().map(|rule| Finding::warn(What::IdleRule { rule })),
    );
    if request.mode == Mode::Write {
        remember::ready(request.state)?;
    }
    client.ping(request.mapping.registry())?;

    let mut there = match request.recheck {
        true => vec![false; placed.len()],
        false => ask::ask(&placed, request.parallel, client)?,
    };
    let mut content = Content::new(volumes, client);
    if !index.relied_on.is_empty() {
        let asking =
            base::Asking { index, placed: &placed, mapping: request.mapping, parallel: request.parallel };
        let proof = asking.prove(&content)?;
        report.relied_on = proof.counts;
        if !proof.lacking.is_empty() {
            report.findings.extend(base::findings(&proof.lacking));
            report.lacking = proof.lacking;
            return Ok(report);
        }
        for (there, incomplete) in there.iter_mut().zip(proof.incomplete) {
            *there &= !incomplete;
        }
        content.elsewhere = proof.elsewhere;
    }
    let missing: Vec<Placed> =
        placed.iter().zip(&there).filter(|(_, there)| !**there).map(|(placed, _)| placed.clone()).collect();
    let manifests = if missing.is_empty() { HashMap::new() } else { manifests::read(index, content.own())? };
    let plan = plan::plan(index, missing, &manifests)?;
    drop(manifests);
    let outcomes = if request.mode == Mode::DryRun {
        report.blobs.planned = plan.blobs.len() as u64;
        report.blobs.planned_bytes = plan.bytes();
        put::Outcomes::new()
    } else {
        let notes = notes::Files::new(request.state);
        let tally = put::Tally::default();
        let lists = std::sync::Mutex::default();
        let absent = blob::Absent::default();
        let loading =
            put::Loading { client, content: &content, notes: &notes, observer, tally, lists, absent };
        let outcomes = loading.run(&plan, request.parallel);
        report.blobs = loading.tally.counts();
        outcomes
    };
    report.settle(placed, &there, outcomes);
    report.remember_originals(&index.images);
    if report.ok
        && request.mode == Mode::Write
        && let Err(error) = remember::loaded(request.state, &index.release)
    {
        let what = What::NotRemembered { detail: error.to_string() };
        report.findings.push(Finding { weight: signing::Weight::Warn, what });
    }
    Ok(report)
}
