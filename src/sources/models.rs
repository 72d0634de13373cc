//! Where a model's files are read, and how it is locked: a folder, or a hub.
//!
//! Locking has two steps. [`survey`] asks the place for its list and judges names, patterns and sizes; [`Survey::read`] streams each file
//! whose content is not known, once, through two hashes (the file's, the layer's) and the check of its format, and stores nothing.
//!
//! What is not read again: files of a commit that is in the lock already, and files whose SHA-256 the hub states and the lock has. A
//! folder states nothing: size and time prove no content, so its files are hashed by every lock. Either way a build hashes every byte.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{Error, Images, Named, RawManifest, Reach};
use crate::checked::ByteSize;
use crate::digest::{Blob, Digest};
use crate::path::EntryPath;
use crate::release::lock::{LockedModel, ModelFile};
use crate::release::sections::Model;
use crate::store::{self, Pieces, Source};
use crate::weights::image::ModelImage;
use crate::weights::{File, Include, Layer, ModelOrigin, include, layer, names, origin, safetensors, shards};

mod folder;
mod hub;
mod pieces;
mod place;
mod read;

use hub::Hub;
use pieces::LayerPieces;
use place::{Listed, Place, States};
pub use read::Resolved as ResolvedModel;

/// What is wrong with a model, or the way to it.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file could not be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The token's file could not be read.
    #[error(transparent)]
    File(#[from] crate::sys::fs::Error),
    /// A place that is none.
    #[error(transparent)]
    Origin(#[from] origin::ModelOriginError),
    /// A pattern that is none.
    #[error(transparent)]
    Pattern(#[from] include::PatternError),
    /// `HF_ENDPOINT` is no address.
    #[error("HF_ENDPOINT: {why}")]
    Endpoint {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A token that cannot stand in a header.
    #[error("the token of {place} is not one line of printable text")]
    Token {
        /// Variable or file it was read from.
        place: String,
    },
    /// Nothing that could ask a hub.
    #[error("{0} is on a hub, and there is no client to ask it")]
    NoClient(String),
    /// A branch or tag, which is something else tomorrow.
    #[error("\"{revision}\" of {repo} is not a commit; now it stands for {sha}")]
    NotPinned {
        /// Which repository.
        repo: String,
        /// What was written.
        revision: String,
        /// The commit it is now.
        sha: String,
    },
    /// The hub answered for another commit.
    #[error("{what}: the hub says that this is commit {sha}")]
    Moved {
        /// What was asked for.
        what: String,
        /// What it says.
        sha: String,
    },
    /// A folder or list of more files than are looked at.
    #[error("{place} holds more than {} files", crate::limits::MODEL_LISTED)]
    TooManyListed {
        /// Where.
        place: String,
    },
    /// Nothing to carry.
    #[error("{place} holds no file that is to be carried")]
    Empty {
        /// Where.
        place: String,
    },
    /// A pattern that takes nothing.
    #[error("the pattern \"{pattern}\" takes no file of {place}")]
    UnusedPattern {
        /// Which.
        pattern: String,
        /// Where.
        place: String,
    },
    /// More files than can be layers of one image.
    #[error("{count} files would be as many layers; at most {} can be mounted", crate::limits::MODEL_FILES)]
    TooManyFiles {
        /// How many.
        count: usize,
    },
    /// A name that some medium cannot hold.
    #[error(transparent)]
    Name(#[from] crate::path::PathError),
    /// Two names that are one on some media.
    #[error(transparent)]
    Case(#[from] names::CaseClash),
    /// A name that no mount shows.
    #[error(transparent)]
    Whiteout(#[from] names::Whiteout),
    /// A file that no layer may hold.
    #[error(transparent)]
    TooLarge(#[from] layer::TooLarge),
    /// The notice is not there.
    #[error("the notice {notice} is not among the model's files")]
    NoNotice {
        /// Its path.
        notice: String,
    },
    /// A notice that nobody can read.
    #[error("the notice {notice} has {size} bytes; at most {} are carried", crate::limits::NOTICE_BYTES)]
    NoticeTooLong {
        /// Its path.
        notice: String,
        /// Its size.
        size: u64,
    },
    /// A `safetensors` file that is not whole.
    #[error("{path}: {source}")]
    Header {
        /// Which file.
        path: String,
        /// What is wrong.
        source: safetensors::HeaderError,
    },
    /// Shards that are not whole.
    #[error(transparent)]
    Shards(#[from] shards::ShardError),
    /// Bytes that are not what the hub says they are.
    #[error("{what}: the hub states {expected}, and what it gave is {got}")]
    Wrong {
        /// Which file.
        what: String,
        /// What was stated.
        expected: String,
        /// What came.
        got: String,
    },
}

/// What is wanted of a model.
#[derive(Debug, Clone, Copy)]
pub struct ModelWish<'a> {
    /// As the release declares it.
    pub model: &'a Model,
    /// The version it is delivered with: the release's.
    pub version: &'a str,
    /// The same model as locked before.
    pub previous: Option<&'a LockedModel>,
}

/// The hub of a run, set up when the first model needs it.
#[derive(Debug, Default)]
pub(super) struct Hubs(Mutex<Option<Arc<Hub>>>);

impl Hubs {
    fn get(&self, what: &ModelOrigin, reach: &dyn Reach) -> Result<Arc<Hub>, ModelError> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hub) = slot.as_ref() {
            return Ok(Arc::clone(hub));
        }
        let client = reach.client().ok_or_else(|| ModelError::NoClient(what.to_string()))?;
        let hub = Arc::new(Hub::from_environment(Arc::clone(client))?);
        *slot = Some(Arc::clone(&hub));
        Ok(hub)
    }
}

/// One file that is carried.
#[derive(Debug)]
struct Chosen {
    path: EntryPath,
    size: u64,
    states: States,
    layer: Layer,
    /// What is known of it without reading.
    known: Option<File>,
}

/// A model whose list is known and judged, and whose files are not read yet.
#[derive(Debug)]
pub struct Survey {
    place: Place,
    origin: String,
    name: String,
    version: String,
    notice: Option<EntryPath>,
    files: Vec<Chosen>,
}

impl Survey {
    /// Files that are carried.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Bytes that are to be read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter(|file| file.known.is_none()).map(|file| file.size).sum()
    }
}

/// Asks a model's place for its files and judges the list.
pub(super) fn survey(
    wish: &ModelWish<'_>,
    base: &Path,
    hubs: &Hubs,
    reach: &dyn Reach,
) -> Result<Survey, Vec<ModelError>> {
    let one = |error: ModelError| vec![error];
    let model = wish.model;
    let origin: ModelOrigin = model.from.parse().map_err(|error| one(ModelError::from(error)))?;
    let include = Include::new(&model.include).map_err(|error| one(error.into()))?;
    let place = Place::open(&origin, base, || hubs.get(&origin, reach)).map_err(one)?;
    let listed = place.list().map_err(one)?;
    let shown = origin.to_string();
    let mut faults = Vec::new();
    let mut used = vec![false; include.len()];
    let mut chosen: Vec<(EntryPath, Listed)> = Vec::new();
    for listed in listed {
        if !include.takes(&listed.path, &mut used) {
            continue;
        }
        match listed.path.parse::<EntryPath>() {
            Ok(path) => chosen.push((path, listed)),
            Err(error) => faults.push(error.into()),
        }
    }
    let unused = model.include.iter().zip(&used).filter(|(_, used)| !**used);
    faults.extend(unused.map(|(pattern, _)| ModelError::UnusedPattern {
        pattern: crate::text::printable(pattern, 120),
        place: shown.clone(),
    }));
    if chosen.is_empty() && faults.is_empty() {
        faults.push(ModelError::Empty { place: shown.clone() });
    }
    if chosen.len() > crate::limits::MODEL_FILES {
        faults.push(ModelError::TooManyFiles { count: chosen.len() });
    }
    chosen.sort_by(|(one, _), (other, _)| one.cmp(other));
    faults.extend(names::check_whiteouts(chosen.iter().map(|(path, _)| path)).err().map(ModelError::from));
    faults.extend(names::check(chosen.iter().map(|(path, _)| path)).err().map(ModelError::from));
    let notice = notice(model, &chosen).unwrap_or_else(|fault| {
        faults.push(fault);
        None
    });
    let max = model.max_layer.unwrap_or(ByteSize(crate::limits::MAX_LAYER));
    let mut files = Vec::with_capacity(chosen.len());
    for (path, Listed { size, states, .. }) in chosen {
        let too_large = || layer::TooLarge { path: path.to_string(), layer: size, max };
        match Layer::new(&path, size).ok_or_else(too_large).and_then(|layer| layer.within(&path, max)) {
            Err(fault) => faults.push(fault.into()),
            Ok(layer) => {
                let known = known(wish, &shown, &place, (&path, size, states));
                files.push(Chosen { path, size, states, layer, known });
            }
        }
    }
    match faults.is_empty() {
        true => Ok(Survey {
            place,
            origin: shown,
            name: model.name.to_string(),
            version: wish.version.to_owned(),
            notice,
            files,
        }),
        false => Err(faults),
    }
}

fn notice(model: &Model, chosen: &[(EntryPath, Listed)]) -> Result<Option<EntryPath>, ModelError> {
    let Some(notice) = &model.notice else { return Ok(None) };
    let Some((path, listed)) = chosen.iter().find(|(path, _)| path.as_str() == notice) else {
        return Err(ModelError::NoNotice { notice: crate::text::printable(notice, 200) });
    };
    match listed.size {
        0..=crate::limits::NOTICE_BYTES => Ok(Some(path.clone())),
        size => Err(ModelError::NoticeTooLong { notice: path.to_string(), size }),
    }
}

/// The file as it was locked, where it is proved to be the same without reading it.
fn known(
    wish: &ModelWish<'_>,
    origin: &str,
    place: &Place,
    (path, size, states): (&EntryPath, u64, States),
) -> Option<File> {
    let previous = wish.previous?;
    let old = previous.files.iter().find(|file| file.path == *path && file.size == size)?;
    let same = match states {
        States::Sha256(sha256) => sha256 == old.sha256,
        // A commit's files never change.
        States::Git(_) | States::Nothing => place.is_fixed() && previous.from == origin,
    };
    if same { of_lock(old) } else { None }
}

/// The files of a model as blobs: layers, configurations, and each file by its own digest.
#[derive(Debug)]
struct ModelSource {
    shown: String,
    place: Place,
    layers: HashMap<Digest, (Layer, File)>,
    files: HashMap<Digest, File>,
    configs: HashMap<Digest, Bytes>,
}

/// A file of the lock; `None` when it is not in one layer.
fn of_lock(file: &ModelFile) -> Option<File> {
    let ModelFile { path, size, sha256, layers } = file;
    let [layer] = layers.as_slice() else { return None };
    Some(File { path: path.clone(), size: *size, sha256: *sha256, layer: *layer })
}

/// Who has the blobs of `model`, whose relative paths start at `base`.
pub(super) fn open(
    model: &LockedModel,
    base: &Path,
    hubs: &Hubs,
    reach: &dyn Reach,
) -> Result<Arc<dyn Images>, Error> {
    let LockedModel { name, version, from, .. } = model;
    let files: Vec<File> = model.files.iter().filter_map(of_lock).collect();
    let origin: ModelOrigin = from.parse().map_err(ModelError::from)?;
    let place = Place::open(&origin, base, || hubs.get(&origin, reach))?;
    let mut sized = Vec::with_capacity(files.len());
    let mut layers = HashMap::new();
    for file in files {
        let Some(layer) = Layer::new(&file.path, file.size) else { continue };
        sized.push((file.clone(), layer.size()));
        layers.insert(file.layer, (layer, file));
    }
    let image = ModelImage::new(name, &version.to_string(), &sized);
    Ok(Arc::new(ModelSource {
        shown: format!("model {name} ({from})"),
        place,
        layers,
        files: sized.into_iter().map(|(file, _)| (file.sha256, file)).collect(),
        configs: image.configs.into_iter().map(|c| (Digest::of(&c), Bytes::from(c))).collect(),
    }))
}

impl Source for ModelSource {
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        if let Some((layer, file)) = self.layers.get(&blob.digest) {
            return Ok(Box::new(LayerPieces::open(&self.place, layer, file, offset)?));
        }
        if let Some(config) = self.configs.get(&blob.digest) {
            return Ok(Box::new(pieces::Held::new(config, offset)));
        }
        if let Some(file) = self.files.get(&blob.digest) {
            return self.place.read(&file.path, file.size, offset, States::Nothing);
        }
        Err(store::Error::Missing { place: self.shown.clone(), digest: blob.digest })
    }
}

impl Images for ModelSource {
    fn root(&self, named: &Named<'_>) -> Result<RawManifest, Error> {
        let wanted = named.reference.to_string();
        Err(Error::NoImage { place: self.shown.clone(), wanted, has: Vec::new() })
    }

    /// The lock has a model's manifests; nobody else does.
    fn manifest(&self, blob: &Blob) -> Result<RawManifest, Error> {
        Err(store::Error::Missing { place: self.shown.clone(), digest: blob.digest }.into())
    }
}
