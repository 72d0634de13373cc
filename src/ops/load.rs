//! `bundle load`: every image with what refers to it, every chart and model into the customer's registry, in one pass over the medium.
//!
//! Asks first what is there (one request for a thing that has not changed, and one for each of its referrers), then reads, opens, checks
//! and pushes only what is not. Blobs go in parallel, in payload order; then each thing's manifests, children first, its referrers, its
//! name last; then the registry is asked what it holds under that name. A blob that fails fails what needs it and nothing else.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use signing::Policy;

use crate::bundle::grant::OpenWith;
use crate::bundle::index::IndexError;
use crate::digest::Digest;
use crate::ops::finding::refused;
use crate::ops::verify::downgrade;
use crate::ops::{grant, open, remember};
use crate::plan::load::{self as plan, GraphError};
use crate::plan::mapping::{Mapping, MappingError};
use crate::plan::placing::{self, Placed};
use crate::progress::Observer;
use crate::registry::{self, Client};
use crate::release::lock::Seal;
use crate::store;
use crate::store::volumes::Volumes;

mod ask;
mod blob;
mod notes;
mod put;
mod report;

pub use report::{Counts, Delivery, Report, State};

/// What is asked for.
pub struct Request<'a> {
    /// The folders the bundle is in.
    pub folders: &'a [PathBuf],
    /// Who is trusted.
    pub policy: &'a Policy,
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
    /// The bundle could not be opened.
    #[error(transparent)]
    Open(#[from] open::Error),
    /// The identity opens no grant.
    #[error(transparent)]
    Grant(#[from] grant::Error),
    /// The bundle is sealed and nothing was given that opens it.
    #[error("the bundle is sealed and no identity was given")]
    NoIdentity,
    /// References cannot be mapped.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The index has no possible shape.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A manifest could not be read from the bundle.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A manifest in the bundle is none.
    #[error("manifest {digest}: {why}")]
    Manifest {
        /// Which.
        digest: Digest,
        /// What is wrong with it.
        why: String,
    },
    /// Something in the bundle is not whole.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// What was loaded here before cannot be read or written.
    #[error(transparent)]
    Remember(#[from] remember::Error),
}

/// Loads a bundle through `client`.
pub fn load(request: &Request<'_>, client: &Client, observer: &dyn Observer) -> Result<Report, Error> {
    let opened = open::open(request.folders)?;
    let (findings, authenticated) = opened.authenticate(request.policy, request.now)?;
    let mut report = Report {
        ok: false,
        dry_run: request.mode == Mode::DryRun,
        release: None,
        signers: vec![],
        findings,
        images: vec![],
        referrers: vec![],
        charts: vec![],
        models: vec![],
        blobs: Counts::default(),
    };
    let Some(bundle) = authenticated else { return Ok(report) };
    let index = bundle.index.get();
    report.release = Some(index.release.clone());
    report.signers = bundle.index.signers().to_vec();
    report.findings.extend(downgrade(
        &index.release,
        request.policy,
        (request.state, request.allow_downgrade),
    )?);
    report.findings.extend(bundle.contradictions());
    if refused(&report.findings) {
        return Ok(report);
    }
    let key = match (index.payload.seal, request.with) {
        (Seal::None, _) => None,
        (Seal::Age, Some(with)) => Some(grant::release_key(bundle.home(), with, (&bundle.folders, index))?),
        (Seal::Age, None) => return Err(Error::NoIdentity),
    };
    let volumes = Volumes::new(bundle.folders.clone(), index, key)?;
    let placed = placing::place(index, request.mapping)?;
    client.ping(request.mapping.registry())?;

    let there = ask::ask(&placed, request.parallel, client)?;
    let missing: Vec<Placed> =
        placed.iter().zip(&there).filter(|(_, there)| !**there).map(|(placed, _)| placed.clone()).collect();
    let manifests = if missing.is_empty() { HashMap::new() } else { ask::read_manifests(index, &volumes)? };
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
            put::Loading { client, volumes: &volumes, notes: &notes, observer, tally, lists, absent };
        let outcomes = loading.run(&plan, request.parallel);
        report.blobs = loading.tally.counts();
        outcomes
    };
    report.settle(placed, &there, outcomes);
    report.remember_originals(&index.images);
    if report.ok && request.mode == Mode::Write {
        remember::loaded(request.state, &index.release)?;
    }
    Ok(report)
}
