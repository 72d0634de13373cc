//! `bundle build`: from a lock to a signed, sealed folder, each payload byte read once and written once.
//!
//! The payload is laid out from the lock, then filled: blobs are read ahead, checked, sealed and hashed as they pass. Work happens in a
//! hidden folder beside the result; `SHA256SUMS` and its signatures are written last, and a rename makes the whole appear. Killed at any
//! moment, the next run goes on from what the volumes themselves prove ([`journal`], [`fill`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use signing::{KeyId, SecretKey};

use crate::bundle::geometry::GeometryError;
use crate::bundle::grant::{GrantError, Recipient};
use crate::bundle::index::{self, IndexError};
use crate::bundle::parity::Shape;
use crate::bundle::{Geometry, seal};
use crate::checked::ByteSize;
use crate::digest::Digest;
use crate::limits;
use crate::ops::grant::GrantName;
use crate::ops::lock::{EntryFault, lines};
use crate::plan::payload::{self, Payload, PayloadError};
use crate::progress::{Event, Observer};
use crate::release::OriginError;
use crate::release::Release;
use crate::release::lock::{self, Lock, Seal};
use crate::sources::{self, Reach, Sources};
use crate::store;
use crate::sys::fs;
use crate::sys::program::Static;

mod base;
mod fill;
mod finish;
mod journal;
mod origins;
mod parity;
mod plain;
mod texts;

/// What is asked for.
pub struct Request<'a> {
    /// The `release.yaml`; its lock lies beside it.
    pub file: &'a Path,
    /// The folder in which the bundle's folder is made.
    pub out: &'a Path,
    /// Who signs; none for an unsigned bundle, which nobody can load until it is signed.
    pub sign_keys: &'a [SecretKey],
    /// Who can open it; the first is the vendor's escrow.
    pub recipients: &'a [Grantee],
    /// Overrides the release's volume size.
    pub volume_size: Option<ByteSize>,
    /// Parity chunks for a hundred chunks of volumes, 1 to 100; `None` for no parity.
    pub parity: Option<u64>,
    /// The running program, when it could run on the operator's machine; carried when the release declares no tool named `bundle`.
    pub program: Option<Static>,
    /// What the customers have already.
    pub against: Against<'a>,
    /// Whether to do it or only to say what would be done.
    pub mode: Mode,
}

/// What those have already who get the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Against<'a> {
    /// Nothing: the bundle holds everything.
    #[default]
    Nothing,
    /// An earlier bundle, by its folder or by its `bundle.json` alone: an upgrade is built.
    Base(&'a Path),
    /// An upgrade of this very release, and not the blobs that this request names: a supplement is built.
    Request(&'a Path),
}

/// Someone who can open a bundle.
#[derive(Debug, Clone)]
pub struct Grantee {
    /// What the grant is called: `grants/<name>.age`.
    pub name: GrantName,
    /// To whom it is sealed.
    pub recipient: Recipient,
}

/// Whether to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Build.
    #[default]
    Write,
    /// Plan, and stop.
    DryRun,
}

/// What was built, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The bundle's folder.
    pub folder: PathBuf,
    /// The release's name.
    pub name: String,
    /// Its version.
    pub version: semver::Version,
    /// Whether only planned.
    pub dry_run: bool,
    /// What it stands on, where it is an upgrade.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<index::IndexBase>,
    /// Blobs that the base has.
    pub relied_on: usize,
    /// Their bytes.
    pub relied_on_bytes: u64,
    /// How the payload is sealed.
    pub seal: Seal,
    /// Images carried.
    pub images: usize,
    /// Signatures, SBOMs and the like that go with images.
    pub referrers: usize,
    /// Charts carried.
    pub charts: usize,
    /// Models carried.
    pub models: usize,
    /// Plain files.
    pub files: usize,
    /// Programs for the operator's machine.
    pub tools: usize,
    /// Blobs carried, each once.
    pub blobs: usize,
    /// Bytes of payload.
    pub payload_bytes: u64,
    /// Volume files.
    pub volumes: usize,
    /// What lost chunks can be computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parity: Option<Parity>,
    /// Bytes of all volume files: what the medium must hold.
    pub volume_bytes: u64,
    /// Bytes of payload that an earlier, interrupted run had done.
    pub resumed_bytes: u64,
    /// SHA-256 of `bundle.json`; `None` when only planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// Whose signatures it has.
    pub signers: Vec<KeyId>,
    /// Who can open it.
    pub grants: Vec<String>,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

/// The parity of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Parity {
    /// Parity chunks for a hundred chunks.
    pub share: u64,
    /// Parity volume files.
    pub volumes: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks that may be lost.
    pub chunks: u64,
    /// Whether a whole volume may be.
    pub whole_volume: bool,
}

/// Something a person should know of a bundle that was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Nothing in it can verify and load it.
    #[error(
        "the bundle does not contain the program that loads it: declare it under tools:, with the name bundle, or build with the static program"
    )]
    NoProgram,
}

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// There is no usable lock.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The lock is missing.
    #[error("{path}: there is no lock", path = path.display())]
    NoLock {
        /// Where it should be.
        path: PathBuf,
    },
    /// The lock is of another state of the release.
    #[error("{lock} was made from another {release}", lock = lock.display(), release = release.display())]
    Stale {
        /// The lock.
        lock: PathBuf,
        /// The release.
        release: PathBuf,
    },
    /// The release cannot be read.
    #[error(transparent)]
    Release(#[from] crate::release::check::Error),
    /// The lock names this release and says otherwise.
    #[error("{lock}: {what} in it is not what {release} declares", lock = lock.display(), release = release.display())]
    Edited {
        /// The lock.
        lock: PathBuf,
        /// The release.
        release: PathBuf,
        /// What of it.
        what: String,
    },
    /// The base cannot be opened.
    #[error(transparent)]
    OpenBase(#[from] crate::ops::open::Error),
    /// The base is another product.
    #[error("{path} is of {name}; the release is {wanted}", path = path.display())]
    OtherRelease {
        /// The base.
        path: PathBuf,
        /// Its name.
        name: String,
        /// The release's.
        wanted: String,
    },
    /// The base is not older than the release.
    #[error("{path} is version {base}, which is not older than {version}", path = path.display())]
    NotOlder {
        /// The base.
        path: PathBuf,
        /// Its version.
        base: semver::Version,
        /// The release's.
        version: semver::Version,
    },
    /// The release says that it does not replace the base.
    #[error("{path} is version {base}, and the release upgrades {from}", path = path.display())]
    OutOfRange {
        /// The base.
        path: PathBuf,
        /// Its version.
        base: semver::Version,
        /// What the release upgrades.
        from: semver::VersionReq,
    },
    /// What is asked for cannot be cut from this lock.
    #[error("{path}: {why}", path = path.display())]
    Asked {
        /// The request.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Nobody could open what would be built.
    #[error("the release is sealed and no recipient is named")]
    NoRecipient,
    /// Volumes too small or too large.
    #[error("a volume size of {0} bytes is outside 128 KiB to 4 GiB")]
    VolumeSize(u64),
    /// A share of parity that there is not.
    #[error("a parity of {0} % is outside 1 % to 100 %")]
    Share(u64),
    /// The payload has no possible shape.
    #[error(transparent)]
    Shape(#[from] GeometryError),
    /// The payload cannot be laid out.
    #[error(transparent)]
    Plan(#[from] PayloadError),
    /// The result is there already.
    #[error("{folder} exists", folder = folder.display())]
    Exists {
        /// The folder.
        folder: PathBuf,
    },
    /// An unfinished build of something else is in the way.
    #[error("{folder} holds an unfinished build of another lock, seal or volume size", folder = folder.display())]
    Unfinished {
        /// The hidden folder.
        folder: PathBuf,
    },
    /// A build that only lacked its name was finished for others than are asked for now.
    #[error("the build in {folder} was finished without a grant for {name}", folder = folder.display())]
    OtherGrants {
        /// The hidden folder.
        folder: PathBuf,
        /// Who has none.
        name: String,
    },
    /// Another build works in the same folder.
    #[error("{folder} is in use by another build", folder = folder.display())]
    Busy {
        /// The hidden folder.
        folder: PathBuf,
    },
    /// What a killed build remembered cannot be read.
    #[error("{path}: {why}", path = path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The medium is too small.
    #[error("{folder} has {free} bytes free; {need} more are needed", folder = folder.display())]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// Bytes still to be written.
        need: u64,
        /// Bytes free.
        free: u64,
    },
    /// A source cannot be opened.
    #[error("{what}: {source}")]
    Source {
        /// Of which image, chart, model or file.
        what: String,
        /// Why.
        source: Box<sources::Error>,
    },
    /// Images whose configuration cannot be read, all of them.
    #[error("{}", lines(.0))]
    Configurations(Vec<EntryFault>),
    /// A source named in the lock is none.
    #[error("{image}: {source}")]
    From {
        /// Which image.
        image: String,
        /// Why.
        source: OriginError,
    },
    /// Reading a blob or writing a volume failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The index cannot be written.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The list of files cannot be made.
    #[error(transparent)]
    Sums(#[from] crate::bundle::sums::SumsError),
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] crate::ops::sign::Error),
    /// A grant cannot be made.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The release key cannot be made.
    #[error(transparent)]
    Seal(#[from] seal::SealError),
    /// A text of the bundle cannot be rendered.
    #[error("the template {name} cannot be rendered: {why}")]
    Template {
        /// Which.
        name: &'static str,
        /// Why.
        why: String,
    },
}

/// How often a blob that came wrong, or volumes that cannot be gone on with, are begun again.
const ATTEMPTS: u32 = 3;

/// Builds a bundle.
pub fn build(
    request: &Request<'_>,
    reach: &impl Reach,
    observer: &Arc<dyn Observer>,
) -> Result<Report, Error> {
    let sources = Sources::new(request.file.parent().unwrap_or(Path::new("")), reach);
    let plan = Plan::read(request, &sources)?;
    let mut report = plan.report(request);
    if request.mode == Mode::DryRun {
        return Ok(report);
    }
    let work = Arc::new(journal::Work::open(request.out, &plan)?);
    if work.complete() {
        report.grants = finish::sign_again(&work, request)?;
        let has = |grantee: &&Grantee| report.grants.contains(&grantee.name.to_string());
        let missing = request.recipients.iter().find(|grantee| !has(grantee));
        // What is not sealed needs no grant.
        if let Some(missing) = missing.filter(|_| plan.lock.seal == Seal::Age) {
            let (folder, name) = (work.folder().to_owned(), missing.name.to_string());
            return Err(Error::OtherGrants { folder, name });
        }
    } else {
        plan.check_room(request.out, &work)?;
        let sources = origins::open(&plan.lock, &sources)?;
        let graphs: Vec<_> = plan.lock.graphs().collect();
        let filling =
            fill::Filling { plan: &plan, work: &work, graphs: &graphs, sources: &sources, observer };
        report.resumed_bytes = filling.resumed_bytes()?;
        observer.event(Event::Begin {
            verb: "build",
            bytes: plan.payload.blobs.iter().map(|b| b.blob.size).sum(),
            items: plan.payload.blobs.len() as u64,
        });
        observer.event(Event::Advance { bytes: report.resumed_bytes });
        filling.run(ATTEMPTS)?;
        observer.event(Event::End);
        finish::finish(&plan, &work, (request, reach), observer.as_ref())?;
    }
    let sealed = work.publish(&report.folder)?;
    report.index = Some(sealed);
    Ok(report)
}

/// What can be refused before any source is asked.
fn refuse(request: &Request<'_>, seal: Seal, folder: PathBuf) -> Result<(), Error> {
    match request.mode {
        Mode::Write if seal == Seal::Age && request.recipients.is_empty() => Err(Error::NoRecipient),
        Mode::Write if folder.symlink_metadata().is_ok() => Err(Error::Exists { folder }),
        Mode::DryRun | Mode::Write => Ok(()),
    }
}

/// Everything that is decided before a layer moves.
pub(crate) struct Plan {
    /// The lock, with what its images run on.
    lock: Lock,
    lock_digest: Digest,
    lock_bytes: Vec<u8>,
    /// Configurations that had to be read for the plan.
    configurations: origins::Configurations,
    payload: Payload,
    shape: Geometry,
    parity: Option<Shape>,
    release: index::Release,
    /// What follows name and version in the folder's name.
    suffix: String,
}

fn folder_name(release: &index::Release, suffix: &str) -> String {
    format!("{}-{}{suffix}", release.name, release.version)
}

impl Plan {
    fn read(request: &Request<'_>, sources: &Sources<'_>) -> Result<Self, Error> {
        let release = fs::read_limited(request.file, limits::HAND_WRITTEN_BYTES)?;
        let path = crate::ops::lock::lock_path(request.file);
        let lock_bytes = match fs::read_limited(&path, limits::LOCK_BYTES) {
            Err(fs::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoLock { path });
            }
            other => other?,
        };
        let mut lock = Lock::parse(&lock_bytes, &path.display().to_string())?;
        if !lock.belongs_to(&release) {
            return Err(Error::Stale { lock: path, release: request.file.to_owned() });
        }
        let declared = Release::parse(&release, &request.file.display().to_string())?;
        if let Some(what) = lock.differs_from(&declared) {
            return Err(Error::Edited { lock: path, release: request.file.to_owned(), what });
        }
        let size = request.volume_size.unwrap_or(lock.volume_size).0;
        let volume_bytes = Geometry::volume_bytes_below(lock.seal, size)
            .filter(|_| (limits::VOLUME_SIZE_MIN..=limits::VOLUME_SIZE).contains(&size))
            .ok_or(Error::VolumeSize(size))?;
        let (base, suffix) = match base::read(request.against, &lock)? {
            Some(given) => (Some(given.base), given.suffix),
            None => (None, String::new()),
        };
        let release = index::Release {
            name: lock.name.clone(),
            vendor: lock.vendor.clone(),
            version: lock.version.clone(),
        };
        refuse(request, lock.seal, request.out.join(folder_name(&release, &suffix)))?;
        let configurations = origins::learn_platforms(&mut lock, (&declared, request.file), sources)?;
        let payload = payload::payload(&lock, base.as_ref())?;
        let shape = Geometry::new(lock.seal, payload.bytes, volume_bytes)?;
        let parity = request.parity.map(|share| parity::shape(&shape, share).ok_or(Error::Share(share)));
        let parity = parity.transpose()?;
        Ok(Self {
            lock_digest: Digest::of(&lock_bytes),
            lock,
            lock_bytes,
            configurations,
            payload,
            shape,
            parity,
            release,
            suffix,
        })
    }

    fn folder_name(&self) -> String {
        folder_name(&self.release, &self.suffix)
    }

    /// The digest of what it stands on.
    fn base(&self) -> Option<Digest> {
        self.payload.base.as_ref().map(|base| base.index)
    }

    fn report(&self, request: &Request<'_>) -> Report {
        Report {
            folder: request.out.join(self.folder_name()),
            name: self.release.name.clone(),
            version: self.release.version.clone(),
            dry_run: request.mode == Mode::DryRun,
            base: self.payload.base.clone(),
            relied_on: self.payload.relied_on.len(),
            relied_on_bytes: self.payload.relied_on.iter().map(|relied| relied.size).sum(),
            seal: self.lock.seal,
            images: self.lock.images.len(),
            referrers: self.lock.images.iter().map(|image| image.referrers.len()).sum(),
            charts: self.lock.charts.len(),
            models: self.lock.models.len(),
            files: self.lock.files.len(),
            tools: self.lock.tools.len(),
            blobs: self.payload.blobs.len(),
            payload_bytes: self.payload.bytes,
            volumes: self.shape.volumes(),
            parity: self.parity.as_ref().map(|parity| parity::summary(parity, &self.shape)),
            volume_bytes: self.shape.total_length(),
            resumed_bytes: 0,
            index: None,
            signers: request.sign_keys.iter().map(|key| key.public().id()).collect(),
            grants: request.recipients.iter().map(|grantee| grantee.name.to_string()).collect(),
            findings: if self.carries_program(request) { Vec::new() } else { vec![Finding::NoProgram] },
        }
    }

    /// Whether the program will be in the bundle: as a tool of the release, or as it runs.
    fn carries_program(&self, request: &Request<'_>) -> bool {
        request.program.is_some() || self.declares_program()
    }

    fn declares_program(&self) -> bool {
        self.lock.tools.iter().any(|tool| tool.name == crate::bundle::plain::OURSELVES)
    }

    /// The index, sums, grants and texts beside the volumes stay far below this, and files and tools have their sizes.
    fn small_files(&self) -> u64 {
        let files = self.lock.files.iter().map(|file| file.size);
        let plain: u64 = files.chain(self.lock.tools.iter().map(|tool| tool.size)).sum();
        (1 << 20)
            + 512 * (self.payload.blobs.len() + self.payload.relied_on.len()) as u64
            + self.lock_bytes.len() as u64
            + plain
    }

    fn check_room(&self, out: &Path, work: &journal::Work) -> Result<(), Error> {
        let parity = self.parity.as_ref().map_or(0, |parity| parity.rows() * parity.length());
        let mut need = self.shape.total_length() + parity + self.small_files();
        for (number, name) in self.volume_names()?.iter().enumerate() {
            let written = name.under(work.folder()).symlink_metadata().map_or(0, |facts| facts.len());
            need = need.saturating_sub(written.min(self.shape.file_length(number)));
        }
        let free = fs::free_bytes(out)?;
        if free < need {
            return Err(Error::NoRoom { folder: out.to_owned(), need, free });
        }
        Ok(())
    }

    fn volume_names(&self) -> Result<Vec<crate::path::EntryPath>, Error> {
        (0..self.shape.volumes())
            .map(|number| {
                let name = index::volume_name(&self.release, self.lock.seal, number);
                name.parse()
                    .map_err(|e: crate::path::PathError| IndexError::Contradiction(e.to_string()).into())
            })
            .collect()
    }
}
