//! Where what a release carries is read from: registries, OCI layouts, docker archives; charts, models and plain files where they are
//! declared.
//!
//! Each is an [`Images`]: it gives manifests by name or digest, and blobs as a [`Source`]. What it gives is checked against digests by
//! whoever asked. No path comes from content: blobs are found by digest, archives are read at offsets and never unpacked.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use signing::cosign::CosignKey;

use crate::digest::{Blob, Digest, Hasher};
use crate::limits;
use crate::oci::{Descriptor, Reference, Repository};
use crate::release::Origin;
use crate::release::lock::{LockedChart, LockedModel};
use crate::store::{Pieces as _, Source};
use crate::sys::fs;

mod archive;
mod charts;
mod error;
mod file;
mod gather;
mod layout;
mod models;
mod names;
mod plain;
mod reach;
mod referrers;
mod remote;
mod resolve;
mod signed;

pub use archive::Archive;
pub use charts::{ChartError, ChartWish, ResolvedChart};
pub use error::Error;
pub use layout::Layout;
pub use models::{ModelError, ModelWish, ResolvedModel, Survey};
pub use plain::{PlainError, list as plain_list, measure as plain_measure, plain};
pub use reach::{Online, Reach};
pub use referrers::referrers;
pub use remote::Remote;
pub use resolve::{Resolved, Wish, configuration, resolve};
pub use signed::signed;

/// A manifest as its source gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What the source says they are, where it says.
    pub media_type: Option<String>,
    /// What the source says their digest is; checked by [`resolve`].
    pub digest: Digest,
    /// Whether the source made them, so that nobody else has them.
    pub made: bool,
}

/// Something that refers to a manifest, as its source names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refers {
    /// By a tag of cosign.
    Tagged {
        /// The tag.
        tag: String,
        /// What it stands for.
        raw: RawManifest,
    },
    /// By the list of manifests that have a subject.
    Listed(Descriptor),
}

impl Refers {
    /// Its digest, as stated.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Tagged { raw, .. } => raw.digest,
            Self::Listed(listed) => listed.digest,
        }
    }

    /// Its tag, when it has one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        match self {
            Self::Tagged { tag, .. } => Some(tag),
            Self::Listed(_) => None,
        }
    }

    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.tag().map_or_else(|| self.digest().to_string(), str::to_owned)
    }
}

/// Which image of a place.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The name in a layout or archive, where the origin states one.
    pub tag: Option<&'a str>,
    /// The reference: what a registry is asked for, and what is looked for in a place with several images and no tag.
    pub reference: &'a Reference,
}

/// A place images are read from.
pub trait Images: Source {
    /// The manifest or index that a name stands for.
    ///
    /// # Errors
    /// [`Error::NoImage`] with the names there are, or what reading met.
    fn root(&self, named: &Named<'_>) -> Result<RawManifest, Error>;

    /// The manifest that `blob` names by content.
    ///
    /// # Errors
    /// What reading met.
    fn manifest(&self, blob: &Blob) -> Result<RawManifest, Error>;

    /// Whether a blob is there, as far as that is told without reading or fetching it.
    ///
    /// # Errors
    /// What is wrong with it; nothing where that would cost more.
    fn look(&self, blob: &Blob) -> Result<(), Error> {
        let _ = blob;
        Ok(())
    }

    /// Everything that refers to the manifest `subject`: cosign's tags, and what has it as its subject. Empty where a place can hold
    /// none.
    ///
    /// # Errors
    /// What reading met. "Could not ask" is never "nothing there".
    fn referrers(&self, subject: &Digest) -> Result<Vec<Refers>, Error> {
        let _ = subject;
        Ok(Vec::new())
    }
}

/// Opens the places of a release, each file, folder or repository once.
pub struct Sources<'a> {
    base: PathBuf,
    reach: &'a dyn Reach,
    opened: Mutex<HashMap<PathBuf, Arc<dyn Images>>>,
    repositories: Mutex<HashMap<Repository, Arc<dyn Images>>>,
    hubs: models::Hubs,
    indexes: Arc<charts::Indexes>,
}

/// An image's source and the name it has there.
pub struct Opened {
    /// The source.
    pub images: Arc<dyn Images>,
    reference: Reference,
    tag: Option<String>,
}

impl Opened {
    /// What to ask the source for.
    #[must_use]
    pub fn named(&self) -> Named<'_> {
        Named { tag: self.tag.as_deref(), reference: &self.reference }
    }
}

impl<'a> Sources<'a> {
    /// Sources of a release whose relative paths start at `base`, its folder.
    #[must_use]
    pub fn new(base: &Path, reach: &'a dyn Reach) -> Self {
        Self {
            base: base.to_path_buf(),
            reach,
            opened: Mutex::default(),
            repositories: Mutex::default(),
            hubs: models::Hubs::default(),
            indexes: Arc::default(),
        }
    }

    /// The source of the image `reference`, which is read from `from` where that is stated.
    ///
    /// # Errors
    /// A layout or archive that cannot be opened.
    pub fn open(&self, reference: &Reference, from: Option<&Origin>) -> Result<Opened, Error> {
        let opened = |images: Arc<dyn Images>, reference: &Reference, tag: &Option<String>| Opened {
            images,
            reference: reference.clone(),
            tag: tag.clone(),
        };
        match from {
            None => Ok(opened(self.repository(reference), reference, &None)),
            Some(Origin::Registry(other)) => Ok(opened(self.repository(other), other, &None)),
            Some(Origin::Layout { path, tag }) => {
                let images = self.once(path, |path| Ok(Arc::new(Layout::open(path)?)))?;
                Ok(opened(images, reference, tag))
            }
            Some(Origin::Archive { path, tag }) => {
                let images = self.once(path, |path| Ok(Arc::new(Archive::open(path)?)))?;
                Ok(opened(images, reference, tag))
            }
        }
    }

    /// The public key in the file `path`.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn cosign_key(&self, path: &str) -> Result<CosignKey, Error> {
        let path = self.base.join(path);
        let fault = |why: String| Error::Key { path: path.clone(), why };
        let text = fs::read_limited(&path, limits::KEY_BYTES).map_err(|error| fault(error.to_string()))?;
        CosignKey::from_pem(&text).map_err(|error| fault(error.to_string()))
    }

    /// Who has the blobs of a chart.
    ///
    /// # Errors
    /// A place that cannot be opened.
    pub fn open_chart(&self, chart: &LockedChart) -> Result<Arc<dyn Images>, Error> {
        charts::open(chart, self)
    }

    /// Locks a chart: asks its place for it, and reads it when it is not what the lock has.
    ///
    /// # Errors
    /// A place that cannot be asked, or a chart that cannot be carried.
    pub fn resolve_chart(&self, wish: &ChartWish<'_>) -> Result<ResolvedChart, Error> {
        charts::resolve(wish, self)
    }

    /// Who has the blobs of a model.
    ///
    /// # Errors
    /// A place that cannot be opened.
    pub fn open_model(&self, model: &LockedModel) -> Result<Arc<dyn Images>, Error> {
        models::open(model, &self.base, &self.hubs, self.reach)
    }

    /// Asks a model's place for its files, and judges the list; the first step of locking it.
    ///
    /// # Errors
    /// Every fault of the list, or the one that kept it from being read.
    pub fn survey(&self, wish: &ModelWish<'_>) -> Result<Survey, Vec<ModelError>> {
        models::survey(wish, &self.base, &self.hubs, self.reach)
    }

    /// The repository of a reference; the same for all its images, so that what one learns of it serves all.
    fn repository(&self, reference: &Reference) -> Arc<dyn Images> {
        let mut repositories = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || self.reach.repository(reference);
        Arc::clone(repositories.entry(reference.repository().clone()).or_insert_with(open))
    }

    fn once(
        &self,
        path: &Path,
        open: impl Fn(&Path) -> Result<Arc<dyn Images>, Error>,
    ) -> Result<Arc<dyn Images>, Error> {
        let path = self.base.join(path);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(images) = opened.get(&path) {
            return Ok(Arc::clone(images));
        }
        let images = open(&path)?;
        opened.insert(path, Arc::clone(&images));
        Ok(images)
    }
}

/// The whole of a small blob, proved to be it.
fn read_small(source: &(impl Source + ?Sized), blob: &Blob, limit: u64) -> Result<Vec<u8>, Error> {
    if blob.size > limit {
        return Err(Error::TooLarge { blob: *blob, limit });
    }
    let mut bytes = Vec::new();
    let mut hasher = Hasher::new();
    let mut pieces = source.open(blob, 0)?;
    while let Some(piece) = pieces.next()? {
        hasher.update(&piece);
        if hasher.length() > blob.size {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    let got = hasher.finish_blob();
    if got != *blob {
        return Err(Error::Wrong { wanted: *blob, got });
    }
    Ok(bytes)
}
