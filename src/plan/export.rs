//! What an export writes, decided before it begins.
//!
//! Facts: the index, the manifests, what is asked for. Out comes every file with where its bytes come from, and what the chosen form
//! has no place for, by name: nothing is left out in silence.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::bundle::index::{Index, IndexReferrer};
use crate::bundle::tar;
use crate::digest::{Blob, Digest};
use crate::oci::reference::ReferenceError;
use crate::oci::{Descriptor, LocalName, Manifest, Platform, Reference};
use crate::path::{self, Clash, EntryPath};
use crate::plan::load::{GraphError, Known};
use crate::plan::placing::Kind;

mod archive;
mod layout;
mod tree;

/// The form that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An OCI image layout: everything, byte for byte.
    Layout,
    /// One tar that `docker load` and `podman load` take: images, each for one platform.
    DockerArchive,
    /// The plain tree: such a tar for each image, chart archives, models and files as they were.
    Tree,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The form.
    pub form: Form,
    /// Names of images, charts or models; empty for all.
    pub names: &'a [String],
    /// The one platform that is wanted of each image.
    pub platform: Option<&'a Platform>,
}

/// What an export writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExportPlan {
    /// Every file, with its path in the folder; for one archive, that alone.
    pub files: Vec<(EntryPath, Content)>,
    /// What is written, by name.
    pub written: Vec<Written>,
    /// What is not, and why, each in one line.
    pub left_out: Vec<String>,
}

/// One thing that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// What it is.
    pub kind: Kind,
    /// As the bundle names it.
    pub name: String,
    /// The manifest that is written: the bundle's root, or the one for the platform.
    pub digest: Digest,
    /// Where, when the form gives it a file or folder of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// The bytes of one file, or of a folder of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These.
    Bytes(Vec<u8>),
    /// A blob of the payload.
    Blob(Blob),
    /// A tar for `docker load`.
    Archive(Archive),
    /// The files inside a layer, below the path.
    Unpacked(Blob),
    /// A plain file of the delivered folder, of so many bytes and with this hash.
    Delivered(Blob),
}

/// A tar for `docker load` (moby, image/tarexport).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Its `manifest.json`.
    pub manifest: Vec<u8>,
    /// Configurations and layers, each once.
    pub blobs: Vec<Blob>,
    /// Layers that are written unpacked, each with its size then, which is 0 until it was measured: Docker takes Zstandard only since its
    /// version 23.
    pub unpacked: Vec<(Blob, u64)>,
}

/// The name of a layer that is written unpacked; its digest is that of the packed one.
#[must_use]
pub fn layer_name(digest: &Digest) -> String {
    format!("layers/{}.tar", digest.hex())
}

/// Why there is no such export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// A name that is not in the bundle.
    #[error("the bundle has no {name}; it has {}", has.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        has: Vec<String>,
    },
    /// A platform that an image is not made for.
    #[error("{image} is not for {wanted}; it is for {}", join(has))]
    NoPlatform {
        /// Which image.
        image: String,
        /// What was asked for.
        wanted: Platform,
        /// What it is for.
        has: Vec<Platform>,
    },
    /// One platform is taken, and an image has several.
    #[error("{image} is for {}, and docker load takes one", join(has))]
    Several {
        /// Which image.
        image: String,
        /// What it is for.
        has: Vec<Platform>,
    },
    /// Something that the form cannot hold was asked for by name, or an image whose layers are no file systems.
    #[error("{name} cannot be written so: {why}")]
    Unfit {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
    /// Nothing is left to write.
    #[error("the bundle has no image, and nothing else goes into a docker archive")]
    Nothing,
    /// An image of the bundle is not whole.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A name breaks the grammar.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// Two things would be written to one place.
    #[error(transparent)]
    Clash(#[from] Clash),
}

fn join(platforms: &[Platform]) -> String {
    platforms.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ")
}

/// An image, chart or model of the bundle.
struct Item<'a> {
    kind: Kind,
    name: String,
    root: Digest,
    reference: Option<&'a Reference>,
    platforms: &'a [Platform],
    short: String,
}

struct Planner<'a> {
    index: &'a Index,
    manifests: &'a HashMap<Digest, Known>,
    sizes: HashMap<Digest, u64>,
    types: HashMap<Digest, &'a str>,
    wanted: Wanted<'a>,
    plan: ExportPlan,
}

/// Plans an export of `index`.
pub fn plan(
    index: &Index,
    manifests: &HashMap<Digest, Known>,
    wanted: Wanted<'_>,
) -> Result<ExportPlan, ExportError> {
    let sizes = index.blobs.iter().map(|blob| (blob.digest, blob.size)).collect();
    let types = index.blobs.iter().map(|blob| (blob.digest, blob.media_type.as_str())).collect();
    let mut planner = Planner { index, manifests, sizes, types, wanted, plan: ExportPlan::default() };
    let items = choose(items(index)?, wanted.names)?;
    match wanted.form {
        Form::Layout => planner.layout(&items)?,
        Form::DockerArchive => planner.archive(&items)?,
        Form::Tree => planner.tree(&items)?,
    }
    // A file of the release may be called as something that is made here; a model's folder is no file.
    let files = planner.plan.files.iter().filter(|(_, content)| !matches!(content, Content::Unpacked(_)));
    path::together(files.map(|(path, _)| path))?;
    Ok(planner.plan)
}

/// Everything in the bundle.
fn items(index: &Index) -> Result<Vec<Item<'_>>, ExportError> {
    let local = |kind, name: LocalName, root, short| Item {
        kind,
        name: name.to_string(),
        root,
        reference: None,
        platforms: &[],
        short,
    };
    let mut items: Vec<Item<'_>> = index
        .images
        .iter()
        .map(|image| Item {
            kind: Kind::Image,
            name: image.reference.to_string(),
            root: image.digest,
            reference: Some(&image.reference),
            platforms: &image.platforms,
            short: String::new(),
        })
        .collect();
    for chart in &index.charts {
        let short = format!("{}-{}", chart.name, chart.version);
        items.push(local(Kind::Chart, chart.local_name()?, chart.digest, short));
    }
    for model in &index.models {
        items.push(local(Kind::Model, model.local_name()?, model.digest, model.name.clone()));
    }
    Ok(items)
}

/// Those of `items` that `names` name; all when there are none.
fn choose<'a>(items: Vec<Item<'a>>, names: &[String]) -> Result<Vec<Item<'a>>, ExportError> {
    let is = |item: &Item<'_>, name: &str| {
        item.name == name
            || item.reference.is_some_and(|own| name.parse::<Reference>().is_ok_and(|named| *own == named))
    };
    if let Some(name) = names.iter().find(|name| !items.iter().any(|item| is(item, name))) {
        let name = crate::text::printable(name, 200);
        return Err(ExportError::Unknown { name, has: items.into_iter().map(|item| item.name).collect() });
    }
    let chosen = |item: &Item<'_>| names.is_empty() || names.iter().any(|name| is(item, name));
    Ok(items.into_iter().filter(chosen).collect())
}

impl Planner<'_> {
    fn known(&self, digest: Digest) -> Result<&Known, ExportError> {
        Ok(self.manifests.get(&digest).ok_or(GraphError::NoManifest(digest))?)
    }

    fn size(&self, parent: Digest, child: Digest) -> Result<Blob, ExportError> {
        let size = *self.sizes.get(&child).ok_or(GraphError::Dangling { parent, child })?;
        Ok(Blob { digest: child, size })
    }

    /// Configuration and layers of an image manifest, in order; `None` for an index.
    fn parts(&self, digest: Digest) -> Result<Option<(Blob, Vec<Blob>)>, ExportError> {
        let known = self.known(digest)?;
        let parts = known.pointers.split_first().filter(|_| !known.index);
        Ok(parts.map(|(config, layers)| (*config, layers.to_vec())))
    }

    /// What a blob is, as the index lists it.
    fn kind(&self, blob: &Blob) -> &str {
        self.types.get(&blob.digest).copied().unwrap_or_default()
    }

    fn put(&mut self, path: &str, content: Content) -> Result<(), ExportError> {
        let path: EntryPath = path.parse().map_err(|_| ExportError::Unfit {
            name: path.to_owned(),
            why: "it is no name of a file".into(),
        })?;
        self.plan.files.push((path, content));
        Ok(())
    }

    /// The images of an item, each with what it runs on where that is known.
    fn images(&self, item: &Item<'_>) -> Result<Vec<(Option<Platform>, Digest)>, ExportError> {
        let mut found = Vec::new();
        let mut waiting = vec![(item.root, None::<Platform>, 0)];
        while let Some((digest, platform, depth)) = waiting.pop() {
            let known = self.known(digest)?;
            if !known.index {
                let alone = || item.platforms.first().filter(|_| digest == item.root).cloned();
                found.push((platform.or_else(alone), digest));
                continue;
            }
            if depth >= crate::limits::GRAPH_DEPTH {
                return Err(GraphError::Depth(digest).into());
            }
            if let Some(Manifest::Index { manifests, .. }) = known.whole.as_deref() {
                // Attestations name a platform that is none; a child that names nothing is carried, and so written.
                let child = |child: &Descriptor| match &child.platform {
                    Some(named) => Some((child.digest, Some(named.platform()?), depth + 1)),
                    None => Some((child.digest, None, depth + 1)),
                };
                waiting.extend(manifests.iter().rev().filter_map(child));
            }
        }
        Ok(found)
    }

    /// The images of an item for the platform that is asked for; all when none is.
    fn for_platform(&self, item: &Item<'_>) -> Result<Vec<(Option<Platform>, Digest)>, ExportError> {
        let mut images = self.images(item)?;
        // Charts run nowhere, and a model is the same everywhere.
        if let Some(wanted) = self.wanted.platform.filter(|_| item.kind == Kind::Image) {
            let has: Vec<Platform> = images.iter().filter_map(|(platform, _)| platform.clone()).collect();
            images.retain(|(platform, _)| platform.as_ref().is_some_and(|p| p.satisfies(wanted)));
            images.truncate(1);
            if images.is_empty() {
                let wanted = wanted.clone();
                return Err(ExportError::NoPlatform { image: item.name.clone(), wanted, has });
            }
        }
        Ok(images)
    }

    /// What refers to the chosen images, in the order of the index.
    fn referrers(&self, items: &[Item<'_>]) -> Vec<IndexReferrer> {
        let chosen: HashSet<&Reference> = items.iter().filter_map(|item| item.reference).collect();
        self.index.referrers.iter().filter(|referrer| chosen.contains(&referrer.image)).cloned().collect()
    }

    /// Docker's form has no place for what refers to an image.
    fn leave_referrers(&mut self, items: &[Item<'_>]) {
        let out = self.referrers(items).into_iter().map(|referrer| {
            format!("{referrer}: a docker archive has no place for what refers to an image; oci: has")
        });
        self.plan.left_out.extend(out);
    }
}

impl Archive {
    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let entry = |size: u64| tar::header_length(size) + size + tar::padding(size);
        let packed: u64 = self.blobs.iter().map(|blob| entry(blob.size)).sum();
        let unpacked: u64 = self.unpacked.iter().map(|(_, size)| entry(*size)).sum();
        entry(self.manifest.len() as u64) + packed + unpacked + tar::END
    }
}

impl Content {
    /// Bytes it takes on disk; of a model's layer, a little less.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob(blob) | Self::Unpacked(blob) | Self::Delivered(blob) => blob.size,
            Self::Archive(archive) => archive.bytes(),
        }
    }
}
