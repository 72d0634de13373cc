//! Reads a manifest and all below it, children first, and pins what they point to.

use std::collections::HashMap;

use super::{Error, Images, RawManifest};
use crate::digest::{Blob, Digest};
use crate::limits;
use crate::oci::narrow::Child;
use crate::oci::{Descriptor, Manifest, Platform, Sbom};
use crate::release::lock::{LockedBlob, LockedManifest, LockedSbom};

/// A manifest that has been read and proved.
pub(super) struct Found {
    pub(super) blob: Blob,
    pub(super) media_type: String,
    pub(super) raw: RawManifest,
}

/// Manifests as they are gathered.
pub(super) struct Gather<'a> {
    images: &'a dyn Images,
    /// Children first.
    pub(super) manifests: Vec<LockedManifest>,
    /// Layers that are SBOMs.
    pub(super) sboms: Vec<LockedSbom>,
    /// Where in `manifests` each is.
    places: HashMap<Digest, usize>,
}

impl<'a> Gather<'a> {
    pub(super) fn new(images: &'a dyn Images) -> Self {
        Self { images, manifests: Vec::new(), sboms: Vec::new(), places: HashMap::new() }
    }

    /// Reads children and all below them.
    pub(super) fn children(&mut self, children: &[Child], depth: usize) -> Result<(), Error> {
        children.iter().try_for_each(|child| self.descend(child, depth))
    }

    /// Reads a child and all below it.
    pub(super) fn descend(&mut self, child: &Child, depth: usize) -> Result<(), Error> {
        if depth > limits::GRAPH_DEPTH {
            return Err(Error::Depth);
        }
        let wanted = child.descriptor.blob();
        if let Some(place) = self.places.get(&wanted.digest) {
            let got = self.manifests[*place].blob();
            return if got == wanted { Ok(()) } else { Err(Error::Wrong { wanted, got }) };
        }
        let raw = self.images.manifest(&wanted)?;
        proved(&raw, Some(wanted))?;
        let (manifest, media_type) = parse(&raw, Some(&child.descriptor.media_type))?;
        self.below(&manifest, depth)?;
        self.add(Found { blob: wanted, media_type, raw }, &manifest, child.platform.clone())
    }

    /// Reads what an index points to.
    pub(super) fn below(&mut self, manifest: &Manifest, depth: usize) -> Result<(), Error> {
        let Manifest::Index { manifests, .. } = manifest else { return Ok(()) };
        let below: Vec<Child> = manifests.iter().map(Child::new).collect();
        self.children(&below, depth + 1)
    }

    /// Takes in a manifest whose children are there.
    pub(super) fn add(
        &mut self,
        found: Found,
        manifest: &Manifest,
        platform: Option<Platform>,
    ) -> Result<(), Error> {
        if self.manifests.len() >= limits::INDEX_ENTRIES {
            return Err(Error::TooMany);
        }
        let digest = found.blob.digest;
        let inline = match found.raw.made {
            true => Some(String::from_utf8(found.raw.bytes).map_err(|_| Error::Text(digest))?),
            false => None,
        };
        let locked = |descriptor: &Descriptor| LockedBlob {
            digest: descriptor.digest,
            size: descriptor.size,
            media_type: descriptor.media_type.clone(),
        };
        let (config, layers, children) = match manifest {
            Manifest::Image { config, layers, .. } => {
                let sbom =
                    |layer: &Descriptor| Some(LockedSbom { digest: layer.digest, kind: Sbom::of(layer)? });
                self.sboms.extend(layers.iter().filter_map(sbom));
                layers.iter().chain([config]).try_for_each(|part| self.images.look(&part.blob()))?;
                (Some(locked(config)), layers.iter().map(locked).collect(), Vec::new())
            }
            Manifest::Index { manifests, .. } => {
                (None, Vec::new(), manifests.iter().map(|child| child.digest).collect())
            }
        };
        self.places.insert(digest, self.manifests.len());
        self.manifests.push(LockedManifest {
            digest,
            size: found.blob.size,
            media_type: found.media_type,
            platform,
            inline,
            config,
            layers,
            children,
        });
        Ok(())
    }
}

/// Proves that `raw` is what it says, and what was asked for.
pub(super) fn proved(raw: &RawManifest, wanted: Option<Blob>) -> Result<Blob, Error> {
    let got = Blob { digest: Digest::of(&raw.bytes), size: raw.bytes.len() as u64 };
    let wanted = wanted.unwrap_or(Blob { digest: raw.digest, size: got.size });
    if got == wanted { Ok(got) } else { Err(Error::Wrong { wanted, got }) }
}

/// Parses what was proved.
pub(super) fn parse(raw: &RawManifest, media_type: Option<&str>) -> Result<(Manifest, String), Error> {
    Manifest::parse(&raw.bytes, media_type).map_err(|source| Error::Manifest { digest: raw.digest, source })
}
