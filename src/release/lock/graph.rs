//! Whether a lock is whole: every entry possible, every graph closed, children first, sizes agreed on, made manifests what they say.

use std::collections::{HashMap, HashSet};

use super::{Graph, Lock, LockedManifest};
use crate::bundle::plain::PlainError;
use crate::checked;
use crate::digest::{Blob, Digest};
use crate::limits;
use crate::oci::{Manifest, media};
use crate::release::Name;

/// Where in a lock a fault is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which image, chart or model, or what refers to one, as it is called in messages.
    pub of: String,
    /// Which of its manifests, where one is meant.
    pub manifest: Option<Digest>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.manifest {
            Some(manifest) => write!(f, "{}, manifest {manifest}", self.of),
            None => write!(f, "{}", self.of),
        }
    }
}

/// What is wrong with a lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphFault {
    /// The release's name cannot be part of a file name.
    #[error(transparent)]
    Name(#[from] crate::release::name::NameError),
    /// A volume size out of range.
    #[error(
        "volume-size is {size} bytes; it can be {} to {} bytes",
        limits::VOLUME_SIZE_MIN,
        limits::VOLUME_SIZE
    )]
    VolumeSize {
        /// The size.
        size: u64,
    },
    /// The same thing twice.
    #[error("{0} stands in the lock twice")]
    Duplicate(String),
    /// More entries than a bundle can hold.
    #[error("{count} {what}; at most {} are read", limits::INDEX_ENTRIES)]
    TooMany {
        /// Of which section.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// An entry that cannot be.
    #[error("{of}: {why}")]
    Entry {
        /// What it is called in messages.
        of: String,
        /// What cannot be.
        why: String,
    },
    /// Files and tools that cannot lie in one folder.
    #[error(transparent)]
    Plain(#[from] PlainError),
    /// More blobs than a bundle can hold.
    #[error("more than {} blobs", limits::INDEX_BLOBS)]
    TooManyBlobs,
    /// More bytes than a payload can hold.
    #[error("the blobs together are larger than {} bytes", limits::PAYLOAD_BYTES)]
    TooLarge,
    /// An image without manifests.
    #[error("{0} has no manifest")]
    Empty(String),
    /// The same manifest twice in one image.
    #[error("{0} stands there twice")]
    DuplicateManifest(Place),
    /// A manifest that the root does not lead to.
    #[error("{0} is not reached from the root")]
    Unreached(Place),
    /// A child that is missing or comes after its parent; so a cycle, too.
    #[error("{place}: its child {child} does not come before it")]
    Child {
        /// The parent.
        place: Place,
        /// The child.
        child: Digest,
    },
    /// A media type that does not fit the fields, or fields that do not fit each other.
    #[error("{place}: {why}")]
    Shape {
        /// Which manifest.
        place: Place,
        /// What does not fit.
        why: &'static str,
    },
    /// Larger than registries take.
    #[error("{place}: it has {size} bytes; at most {} are read", limits::MANIFEST_BYTES)]
    ManifestSize {
        /// Which manifest.
        place: Place,
        /// Its size.
        size: u64,
    },
    /// A manifest made by `lock` whose bytes are not what its digest and size say.
    #[error("{place}: its inline bytes are {got}")]
    Inline {
        /// Which manifest.
        place: Place,
        /// What they are.
        got: Blob,
    },
    /// A manifest made by `lock` whose bytes do not point to what the lock says.
    #[error("{0}: its inline bytes do not point to the blobs listed beside them")]
    InlineContent(Place),
    /// Two sizes for one digest.
    #[error("{place}: {digest} has {size} bytes here and {other} bytes elsewhere")]
    Size {
        /// Where the second stands.
        place: Place,
        /// Of what.
        digest: Digest,
        /// The size here.
        size: u64,
        /// The size elsewhere.
        other: u64,
    },
}

impl Lock {
    /// Proves that the lock is whole.
    ///
    /// # Errors
    /// The first [`GraphFault`].
    pub fn validate(&self) -> Result<(), GraphFault> {
        self.name.parse::<Name>()?;
        let size = self.volume_size.0;
        if !(limits::VOLUME_SIZE_MIN..=limits::VOLUME_SIZE).contains(&size) {
            return Err(GraphFault::VolumeSize { size });
        }
        self.check_entries()?;
        let mut sizes = HashMap::new();
        for graph in self.graphs() {
            check_graph(&graph, &mut sizes)?;
        }
        match checked::sum(sizes.values().copied()) {
            Some(total) if total <= limits::PAYLOAD_BYTES => Ok(()),
            _ => Err(GraphFault::TooLarge),
        }
    }
}

fn check_graph(graph: &Graph<'_>, sizes: &mut HashMap<Digest, u64>) -> Result<(), GraphFault> {
    let Some(root) = graph.root() else { return Err(GraphFault::Empty(graph.of.to_string())) };
    let mut seen = HashSet::new();
    let mut pointed_to = HashSet::from([root.digest]);
    for manifest in graph.manifests() {
        let place = || Place { of: graph.of.to_string(), manifest: Some(manifest.digest) };
        for child in &manifest.children {
            if !seen.contains(child) {
                return Err(GraphFault::Child { place: place(), child: *child });
            }
            pointed_to.insert(*child);
        }
        if !seen.insert(manifest.digest) {
            return Err(GraphFault::DuplicateManifest(place()));
        }
        check_shape(manifest).map_err(|why| GraphFault::Shape { place: place(), why })?;
        if manifest.size > limits::MANIFEST_BYTES {
            return Err(GraphFault::ManifestSize { place: place(), size: manifest.size });
        }
        check_inline(manifest, place)?;
        let blobs = manifest.config.iter().chain(&manifest.layers).map(super::LockedBlob::blob);
        for Blob { digest, size } in std::iter::once(manifest.blob()).chain(blobs) {
            let other = *sizes.entry(digest).or_insert(size);
            if other != size {
                return Err(GraphFault::Size { place: place(), digest, size, other });
            }
            if sizes.len() > limits::INDEX_BLOBS {
                return Err(GraphFault::TooManyBlobs);
            }
        }
    }
    match graph.manifests().iter().find(|m| !pointed_to.contains(&m.digest)) {
        Some(stray) => {
            Err(GraphFault::Unreached(Place { of: graph.of.to_string(), manifest: Some(stray.digest) }))
        }
        None => Ok(()),
    }
}

fn check_shape(manifest: &LockedManifest) -> Result<(), &'static str> {
    let LockedManifest { media_type, config, layers, children, .. } = manifest;
    if config.iter().chain(layers).any(|blob| !media::is_plain(&blob.media_type)) {
        return Err("a media type in it is not printable ASCII of at most 255 bytes");
    }
    if media::is_index(media_type) {
        return match config.is_none() && layers.is_empty() {
            true => Ok(()),
            false => Err("an index has no config and no layers"),
        };
    }
    if !media::is_manifest(media_type) {
        return Err("its media type is neither an image manifest nor an index");
    }
    match config.is_some() && children.is_empty() {
        true => Ok(()),
        false => Err("an image manifest has a config and no children"),
    }
}

fn check_inline(manifest: &LockedManifest, place: impl Fn() -> Place) -> Result<(), GraphFault> {
    let Some(inline) = &manifest.inline else { return Ok(()) };
    let got = Blob { digest: Digest::of(inline.as_bytes()), size: inline.len() as u64 };
    if got != manifest.blob() {
        return Err(GraphFault::Inline { place: place(), got });
    }
    let parsed = Manifest::parse(inline.as_bytes(), Some(&manifest.media_type));
    let Ok((parsed, _)) = parsed else { return Err(GraphFault::InlineContent(place())) };
    let listed = manifest.config.iter().chain(&manifest.layers).map(|blob| blob.digest);
    let holds = match &parsed {
        Manifest::Image { .. } => parsed.pointers().map(|d| d.digest).eq(listed),
        Manifest::Index { .. } => parsed.pointers().map(|d| d.digest).eq(manifest.children.iter().copied()),
    };
    if holds { Ok(()) } else { Err(GraphFault::InlineContent(place())) }
}
