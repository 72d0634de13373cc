//! What a bundle looks like as a registry: its repositories, their tags, and what lies under which digest.
//!
//! Facts: the index and the mapping of names. Nothing of the payload is read for it, so it is made in the same time for a bundle of any
//! size. A blob or manifest of the bundle is found under each of its repositories: which image needs which blob would take reading every
//! manifest, and there is nobody to keep them from, because whoever may read one image here may read them all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::bundle::index::Index;
use crate::digest::{Blob, Digest};
use crate::oci::{Reference, media};
use crate::plan::mapping::{Mapping, MappingError};
use crate::plan::placing::{self, Kind};

/// The bundle as a registry.
#[derive(Debug, Default)]
pub struct Catalog {
    shelves: BTreeMap<String, Shelf>,
    /// The vendor's registry and path, and the repository that it became.
    vendors: HashMap<(String, String), String>,
    blobs: HashMap<Digest, Held>,
    referrers: HashMap<Digest, Vec<Digest>>,
}

/// One repository.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shelf {
    /// Its tags, in the order in which the distribution specification lists them.
    tags: BTreeMap<(String, String), Digest>,
}

/// One blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// How many bytes.
    pub size: u64,
    /// What they are.
    pub media_type: Arc<str>,
}

/// The order of tags in a list: "lexical (i.e. case-insensitive alphanumeric order)" (distribution-spec, §Listing Tags).
fn listed(tag: &str) -> (String, String) {
    (tag.to_ascii_lowercase(), tag.to_owned())
}

impl Shelf {
    /// What `tag` names.
    #[must_use]
    pub fn tag(&self, tag: &str) -> Option<Digest> {
        self.tags.get(&listed(tag)).copied()
    }

    /// The tags after `last`, in order.
    pub fn tags_after(&self, last: Option<&str>) -> impl Iterator<Item = &str> {
        let last = last.map(listed);
        self.tags
            .keys()
            .filter(move |key| last.as_ref().is_none_or(|last| *key > last))
            .map(|(_, tag)| tag.as_str())
    }
}

impl Catalog {
    /// The catalog of a bundle whose names go where `mapping` says; its registry does not matter.
    pub fn new(index: &Index, mapping: &Mapping) -> Result<Self, MappingError> {
        let mut catalog = Self::default();
        let placed = placing::place(index, mapping)?;
        let images = placed.iter().filter(|placed| placed.kind == Kind::Image);
        for (placed, image) in images.zip(&index.images) {
            let vendor = image.reference.repository();
            let name = placed.to.repository().path().to_owned();
            catalog.vendors.insert((vendor.registry().to_owned(), vendor.path().to_owned()), name);
        }
        for placed in &placed {
            catalog.name(&placed.to, placed.root);
            for referrer in &placed.referrers {
                let listed = &referrer.listed;
                catalog.name(&referrer.to, listed.digest);
                // Those with a tag are found by it: their manifests name no subject.
                if listed.tag.is_none() {
                    let about = catalog.referrers.entry(listed.subject).or_default();
                    if !about.contains(&listed.digest) {
                        about.push(listed.digest);
                    }
                }
            }
        }
        let mut types = BTreeSet::<Arc<str>>::new();
        for blob in &index.blobs {
            let media_type = types.get(blob.media_type.as_str()).cloned().unwrap_or_else(|| {
                let new: Arc<str> = blob.media_type.as_str().into();
                types.insert(Arc::clone(&new));
                new
            });
            catalog.blobs.insert(blob.digest, Held { size: blob.size, media_type });
        }
        Ok(catalog)
    }

    /// Puts `digest` under `reference`'s repository, and under its tag where it has one.
    fn name(&mut self, reference: &Reference, digest: Digest) {
        let shelf = self.shelves.entry(reference.repository().path().to_owned()).or_default();
        if let Some(tag) = reference.tag() {
            shelf.tags.insert(listed(tag), digest);
        }
    }

    /// The repository called `name`. With `vendor`, a registry's host, `name` is a path there, as a mirror is asked: then only what
    /// came from that very registry is found.
    #[must_use]
    pub fn repository(&self, name: &str, vendor: Option<&str>) -> Option<&Shelf> {
        match vendor {
            None => self.shelves.get(name),
            Some(host) => {
                let host = if host == "registry-1.docker.io" { "docker.io" } else { host };
                self.vendors.get(&(host.to_owned(), name.to_owned())).and_then(|name| self.shelves.get(name))
            }
        }
    }

    /// The names of the repositories after `last`, in order.
    pub fn names_after(&self, last: Option<&str>) -> impl Iterator<Item = &str> {
        let after = last.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.shelves.range::<str, _>((after, std::ops::Bound::Unbounded)).map(|(name, _)| name.as_str())
    }

    /// The registries that the vendor's names are in.
    #[must_use]
    pub fn vendors(&self) -> BTreeSet<&str> {
        self.vendors.keys().map(|(host, _)| host.as_str()).collect()
    }

    /// What is known of the blob `digest`.
    #[must_use]
    pub fn blob(&self, digest: &Digest) -> Option<&Held> {
        self.blobs.get(digest)
    }

    /// The same, when it is a manifest or an index.
    #[must_use]
    pub fn manifest(&self, digest: &Digest) -> Option<&Held> {
        self.blobs
            .get(digest)
            .filter(|held| media::is_manifest(&held.media_type) || media::is_index(&held.media_type))
    }

    /// The manifests that are about `subject`.
    #[must_use]
    pub fn referrers(&self, subject: &Digest) -> &[Digest] {
        self.referrers.get(subject).map_or(&[], Vec::as_slice)
    }

    /// How many repositories and tags there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.shelves.len(), self.shelves.values().map(|shelf| shelf.tags.len()).sum())
    }
}

impl Held {
    /// With the digest it was found under.
    #[must_use]
    pub fn blob(&self, digest: Digest) -> Blob {
        Blob { digest, size: self.size }
    }
}
