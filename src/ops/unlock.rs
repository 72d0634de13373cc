//! From a folder to its content, for the verbs that read it: signatures, downgrade, contradictions, key, in that order.

use std::path::{Path, PathBuf};

use signing::{KeyId, Policy};

use crate::bundle::grant::OpenWith;
use crate::bundle::index::{Index, IndexError, Release};
use crate::ops::finding::{Finding, refused};
use crate::ops::verify::downgrade;
use crate::ops::{grant, open, remember};
use crate::release::lock::Seal;
use crate::store::volumes::Volumes;

/// What is asked for.
pub struct Request<'a> {
    /// The folders the bundle is in.
    pub folders: &'a [PathBuf],
    /// Who is trusted.
    pub policy: &'a Policy,
    /// Opens a grant; not needed when the volumes are not sealed.
    pub with: Option<OpenWith<'a>>,
    /// Seconds since 1970; `None` where there is no clock.
    pub now: Option<i64>,
    /// The folder that remembers what was loaded; `None` where there is none.
    pub state: Option<&'a Path>,
    /// Whether an older release than the highest loaded is let through.
    pub allow_downgrade: bool,
}

/// Why a bundle's content cannot be read.
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
    /// An upgrade, where a bundle is needed that holds everything.
    #[error("it is an upgrade of {base} and holds only what that lacks")]
    NeedsBase {
        /// The version it stands on.
        base: semver::Version,
    },
    /// The index has no possible shape.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// What was loaded here before cannot be read.
    #[error(transparent)]
    Remember(#[from] remember::Error),
}

/// What was seen, and the bundle when nothing refuses it.
#[derive(Debug, Default)]
pub struct Seen {
    /// What the bundle is; `None` when the signatures do not hold.
    pub release: Option<Release>,
    /// Whose signatures hold.
    pub signers: Vec<KeyId>,
    /// Everything seen.
    pub findings: Vec<Finding>,
    /// The bundle, when none of the findings refuses it.
    pub bundle: Option<open::Authenticated>,
}

impl Seen {
    /// The index of a bundle that nothing refuses.
    #[must_use]
    pub fn index(&self) -> Option<&Index> {
        self.bundle.as_ref().map(|bundle| bundle.index.get())
    }
}

/// Reads the signatures and what they cover; needs no key.
pub fn authenticate(request: &Request<'_>) -> Result<Seen, Error> {
    let opened = open::open(request.folders)?;
    let (findings, bundle) = opened.authenticate(request.policy, request.now)?;
    let Some(bundle) = bundle else { return Ok(Seen { findings, ..Seen::default() }) };
    let index = bundle.index.get();
    let mut seen = Seen {
        release: Some(index.release.clone()),
        signers: bundle.index.signers().to_vec(),
        findings,
        bundle: None,
    };
    let older = downgrade(&index.release, request.policy, (request.state, request.allow_downgrade))?;
    seen.findings.extend(older);
    seen.findings.extend(bundle.contradictions());
    if !refused(&seen.findings) {
        seen.bundle = Some(bundle);
    }
    Ok(seen)
}

/// Refuses an upgrade, for verbs that need all of a release from one bundle.
pub fn stands_alone(index: &Index) -> Result<(), Error> {
    match &index.base {
        Some(base) => Err(Error::NeedsBase { base: base.version.clone() }),
        None => Ok(()),
    }
}

/// The payload of a bundle that nothing refuses.
pub fn volumes(bundle: &open::Authenticated, with: Option<OpenWith<'_>>) -> Result<Volumes, Error> {
    let index = bundle.index.get();
    let key = match (index.payload.seal, with) {
        (Seal::None, _) => None,
        (Seal::Age, Some(with)) => Some(grant::release_key(bundle.home(), with, (&bundle.folders, index))?),
        (Seal::Age, None) => return Err(Error::NoIdentity),
    };
    Ok(Volumes::new(bundle.folders.clone(), index, key)?)
}
