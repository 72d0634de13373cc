//! `bundle load`: every image into the customer's registry, in one pass over the medium.
//!
//! Asks first what is there (one request for an image that has not changed), then reads, opens, checks and pushes only what is not. Blobs
//! go in parallel, in payload order; then each image's manifests, children first, its name last; then the registry is asked what it
//! holds under that name. A blob that fails fails the images that need it and no others.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use serde::Serialize;
use signing::{KeyId, Policy};

use crate::bundle::grant::OpenWith;
use crate::bundle::index::{Index, IndexError, Release};
use crate::digest::{Blob, Digest};
use crate::oci::{Manifest, Pointer, Reference, Repository, media};
use crate::ops::finding::{Finding, refused};
use crate::ops::transfer::{self, Checked};
use crate::ops::verify::downgrade;
use crate::ops::{grant, open, remember};
use crate::plan::load::{self as plan, GraphError, Known, LoadPlan, PutImage};
use crate::plan::mapping::{Mapped, Mapping, MappingError};
use crate::progress::{Event, ItemState, Observer, Silent};
use crate::registry::{self, BlobPush, Client, NoNotes, Pushed, UploadNotes};
use crate::release::lock::Seal;
use crate::store;
use crate::store::volumes::Volumes;

mod notes;

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

/// What was loaded, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every image is in the registry, byte for byte.
    pub ok: bool,
    /// Whether only planned.
    pub dry_run: bool,
    /// What was loaded; `None` when the signatures do not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Whose signatures hold.
    pub signers: Vec<KeyId>,
    /// Everything seen before the load; when one of them refuses, nothing was sent.
    pub findings: Vec<Finding>,
    /// What became of each image.
    pub images: Vec<ImageReport>,
    /// What became of the blobs.
    pub blobs: Counts,
}

/// What became of the blobs. One that is needed in several repositories is counted in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// To be sent; in a plan only.
    pub planned: u64,
    /// Sent.
    pub sent: u64,
    /// Taken over from another repository of the registry.
    pub mounted: u64,
    /// There before.
    pub present: u64,
    /// Bytes to be sent at most; in a plan only.
    pub planned_bytes: u64,
    /// Bytes of blobs put on the wire, repetitions included.
    pub sent_bytes: u64,
}

/// What became of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageReport {
    /// As the vendor names it.
    pub from: Reference,
    /// As it is named in the registry.
    pub to: Reference,
    /// Its digest, there and here.
    pub digest: Digest,
    /// What became of it.
    pub state: ImageState,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether it failed because the bundle is damaged, not the registry.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

/// What became of one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageState {
    /// It is to be loaded; in a plan only.
    Planned,
    /// It was there, unchanged.
    Present,
    /// It was loaded.
    Loaded,
    /// It was not.
    Failed,
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
    /// An image of the bundle is not whole.
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
    let mapped = request.mapping.map_all(index.images.iter().map(|image| &image.reference))?;
    client.ping(request.mapping.registry())?;

    let there = ask(index, &mapped, request, client)?;
    let missing: Vec<(Mapped, Digest)> = mapped
        .iter()
        .zip(&index.images)
        .zip(&there)
        .filter(|(_, there)| !**there)
        .map(|((mapped, image), _)| (mapped.clone(), image.digest))
        .collect();
    let manifests = if missing.is_empty() { HashMap::new() } else { read_manifests(index, &volumes)? };
    let plan = plan::plan(index, &missing, &manifests)?;
    let mut outcomes = if request.mode == Mode::DryRun {
        report.blobs.planned = plan.blobs.len() as u64;
        report.blobs.planned_bytes = plan.bytes();
        HashMap::new()
    } else {
        let notes = notes::Files::new(request.state);
        let loading = Loading { client, volumes: &volumes, notes: &notes, observer, tally: Tally::default() };
        let outcomes = loading.run(&plan, request.parallel);
        report.blobs = loading.tally.counts();
        outcomes
    };
    for ((mapped, image), there) in mapped.into_iter().zip(&index.images).zip(there) {
        let (state, why, damaged) = match outcomes.remove(&mapped.to) {
            _ if there => (ImageState::Present, None, false),
            None => (ImageState::Planned, None, false),
            Some(Ok(())) => (ImageState::Loaded, None, false),
            Some(Err(fault)) => (ImageState::Failed, Some(fault.why), fault.damaged),
        };
        let (from, to) = (mapped.from, mapped.to);
        report.images.push(ImageReport { from, to, digest: image.digest, state, why, damaged });
    }
    report.ok = report.images.iter().all(|image| image.state != ImageState::Failed);
    if report.ok && request.mode == Mode::Write {
        remember::loaded(request.state, &index.release)?;
    }
    Ok(report)
}

/// For each image, whether the registry holds it under its name with the very digest.
fn ask(index: &Index, mapped: &[Mapped], request: &Request<'_>, client: &Client) -> Result<Vec<bool>, Error> {
    let answers: Vec<Mutex<Option<Result<bool, registry::Error>>>> =
        mapped.iter().map(|_| Mutex::new(None)).collect();
    transfer::in_parallel(mapped.len(), request.parallel.max(4), &AtomicBool::new(false), &|item| {
        let to = &mapped[item].to;
        let root = index.images[item].digest;
        let pointer = to.tag().map_or(Pointer::Digest(root), |tag| Pointer::Tag(tag.to_owned()));
        let answer = client
            .head_manifest(to.repository(), &pointer)
            .map(|head| head.is_some_and(|h| h.digest == Some(root)));
        if let Ok(mut slot) = answers[item].lock() {
            *slot = Some(answer);
        }
    });
    answers
        .into_iter()
        .map(|slot| match slot.into_inner() {
            Ok(Some(answer)) => Ok(answer?),
            _ => Ok(false),
        })
        .collect()
}

/// Every manifest of the bundle, read, checked and parsed.
fn read_manifests(index: &Index, volumes: &Volumes) -> Result<HashMap<Digest, Known>, Error> {
    let mut manifests = HashMap::new();
    let roots: HashSet<Digest> = index.images.iter().map(|image| image.digest).collect();
    for blob in &index.blobs {
        let media_type = &blob.media_type;
        if !media::is_manifest(media_type) && !media::is_index(media_type) && !roots.contains(&blob.digest) {
            continue;
        }
        let fault = |why: String| Error::Manifest { digest: blob.digest, why };
        if blob.size > crate::limits::MANIFEST_BYTES {
            return Err(fault(format!("{} bytes are more than a manifest has", blob.size)));
        }
        let place = volumes.whereabouts(&blob.digest);
        let bytes = transfer::read_whole(&Checked::new(volumes, &place, &Silent), &blob.blob())?;
        let (manifest, media_type) =
            Manifest::parse(&bytes, Some(media_type)).map_err(|e| fault(e.to_string()))?;
        manifests.insert(blob.digest, Known { media_type, manifest });
    }
    Ok(manifests)
}

/// Why an image, or a blob, was not loaded.
#[derive(Debug, Clone)]
struct Fault {
    why: String,
    damaged: bool,
}

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Self {
        let damaged = !matches!(error, store::Error::Registry(_) | store::Error::Interrupted);
        Self { why: error.to_string(), damaged }
    }
}

impl From<registry::Error> for Fault {
    fn from(error: registry::Error) -> Self {
        Self { why: error.to_string(), damaged: false }
    }
}

#[derive(Default)]
struct Tally {
    sent: AtomicU64,
    mounted: AtomicU64,
    present: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Tally {
    fn counts(&self) -> Counts {
        Counts {
            planned: 0,
            planned_bytes: 0,
            sent: self.sent.load(Ordering::Relaxed),
            mounted: self.mounted.load(Ordering::Relaxed),
            present: self.present.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
        }
    }
}

/// Bytes from which an upload is noted for another process: a smaller one is begun again, which costs less than keeping notes.
const NOTED: u64 = 1 << 20;

struct Loading<'a> {
    client: &'a Client,
    volumes: &'a Volumes,
    notes: &'a notes::Files,
    observer: &'a dyn Observer,
    tally: Tally,
}

impl Loading<'_> {
    fn run(&self, plan: &LoadPlan, parallel: usize) -> HashMap<Reference, Result<(), Fault>> {
        let stop = AtomicBool::new(false);
        let failed = Mutex::new(HashMap::<Digest, Fault>::new());
        let items = plan.blobs.len() as u64;
        self.observer.event(Event::Begin { verb: "load", bytes: plan.bytes(), items });
        transfer::in_parallel(plan.blobs.len(), parallel, &stop, &|item| {
            let (blob, repositories) = &plan.blobs[item];
            if let Err(fault) = self.blob(blob, repositories)
                && let Ok(mut failed) = failed.lock()
            {
                failed.insert(blob.digest, fault);
            }
        });
        let failed = failed.into_inner().unwrap_or_default();
        let outcomes = Mutex::new(HashMap::new());
        let done = AtomicUsize::new(0);
        transfer::in_parallel(plan.images.len(), parallel, &stop, &|item| {
            let image = &plan.images[item];
            let outcome = self.image(image, &failed);
            let name = image.to.to_string();
            let state = if outcome.is_ok() { ItemState::Done } else { ItemState::Failed };
            self.observer.event(Event::Item { name: &name, digest: Some(&image.root), bytes: 0, state });
            done.fetch_add(1, Ordering::Relaxed);
            if let Ok(mut outcomes) = outcomes.lock() {
                outcomes.insert(image.to.clone(), outcome);
            }
        });
        self.observer.event(Event::End);
        outcomes.into_inner().unwrap_or_default()
    }

    /// Puts one blob into every repository that needs it: sent at most once, mounted into the others where the registry can.
    fn blob(&self, blob: &Blob, repositories: &[Repository]) -> Result<(), Fault> {
        let name = blob.digest.short();
        let say = |state| {
            self.observer.event(Event::Item {
                name: &name,
                digest: Some(&blob.digest),
                bytes: blob.size,
                state,
            });
        };
        let notes: &dyn UploadNotes = if blob.size < NOTED { &NoNotes } else { self.notes };
        let mut holders = Vec::new();
        let mut lacking = Vec::new();
        for repository in repositories {
            match self.client.head_blob(repository, &blob.digest) {
                Ok(Some(size)) if size == blob.size => {
                    // A load killed between the registry's last answer and its own next step left the note.
                    notes.forget(repository, &blob.digest);
                    holders.push(repository.clone());
                }
                Ok(_) => lacking.push(repository),
                Err(error) => {
                    say(ItemState::Failed);
                    return Err(error.into());
                }
            }
        }
        self.tally.present.fetch_add(holders.len() as u64, Ordering::Relaxed);
        if lacking.is_empty() {
            self.observer.event(Event::Advance { bytes: blob.size });
            say(ItemState::Present);
            return Ok(());
        }
        say(ItemState::Started);
        let place = self.volumes.whereabouts(&blob.digest);
        let checked = Checked::new(self.volumes, &place, self.observer);
        let mut moved = false;
        for repository in lacking {
            let push = BlobPush { repository, blob: *blob, from: &checked, mount_from: &holders, notes };
            match self.client.push_blob(&push) {
                Ok(Pushed::Mounted) => {
                    self.tally.mounted.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Pushed::Sent { bytes, .. }) => {
                    moved = true;
                    self.tally.sent.fetch_add(1, Ordering::Relaxed);
                    self.tally.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
                }
                Err(error) => {
                    say(ItemState::Failed);
                    return Err(error.into());
                }
            }
            holders.push(repository.clone());
        }
        if !moved {
            self.observer.event(Event::Advance { bytes: blob.size });
        }
        say(if moved { ItemState::Done } else { ItemState::Mounted });
        Ok(())
    }

    /// Puts an image's manifests, children first, its name last, and asks the registry what it holds then.
    fn image(&self, image: &PutImage, failed: &HashMap<Digest, Fault>) -> Result<(), Fault> {
        for manifest in &image.manifests {
            if let Some(fault) = manifest.needs.iter().find_map(|digest| failed.get(digest)) {
                return Err(fault.clone());
            }
        }
        let repository = image.to.repository();
        for manifest in &image.manifests {
            let Some(size) = self.volumes.size(&manifest.digest) else {
                return Err(
                    store::Error::Missing { place: "the bundle".into(), digest: manifest.digest }.into()
                );
            };
            let place = self.volumes.whereabouts(&manifest.digest);
            let checked = Checked::new(self.volumes, &place, &Silent);
            let bytes = transfer::read_whole(&checked, &Blob { digest: manifest.digest, size })?.into();
            let pointer = if manifest.digest == image.root {
                image.pointer()
            } else {
                Pointer::Digest(manifest.digest)
            };
            self.client.push_manifest(repository, &pointer, &manifest.media_type, &bytes)?;
        }
        let head = self.client.head_manifest(repository, &image.pointer())?;
        let got = head.and_then(|head| head.digest);
        if got == Some(image.root) {
            return Ok(());
        }
        let got = got.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
        let why = format!("the registry holds {got} under {} after {} was put there", image.to, image.root);
        Err(Fault { why, damaged: false })
    }
}
