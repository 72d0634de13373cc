//! From an image of a release to its pinned form: every manifest read, every blob named.

use super::gather::{Found, Gather, parse, proved};
use super::{Error, Images, Named, RawManifest, read_small};
use crate::digest::{Blob, Digest};
use crate::limits;
use crate::oci::narrow::{self, Child, Narrowed};
use crate::oci::{Config, Descriptor, Manifest, Platform, Reference, media};
use crate::release::Origin;
use crate::release::lock::LockedImage;

/// What is wanted of an image.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The name it is delivered by.
    pub reference: &'a Reference,
    /// Where it is read, when not under that name.
    pub from: Option<&'a Origin>,
    /// Its name there.
    pub named: Named<'a>,
    /// The platforms it must have and is narrowed to; `None` for whatever it has.
    pub platforms: Option<&'a [Platform]>,
    /// The same image as locked before, to be kept where nothing changed.
    pub previous: Option<&'a LockedImage>,
}

/// An image resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Pinned.
    pub image: LockedImage,
    /// Attestations that have no place once the image is narrowed to one platform.
    pub left_behind: Vec<Digest>,
}

/// Resolves one image. Reads the root, the manifests that are carried and, where platforms are wanted and one is stated nowhere
/// else, a configuration; layers are not read.
///
/// # Errors
/// [`Error`]: nothing is left out of an image without being named.
pub fn resolve(images: &dyn Images, wish: &Wish<'_>) -> Result<Resolved, Error> {
    let root = images.root(&wish.named)?;
    let root_blob = proved(&root, None)?;
    let pins = [wish.reference.digest(), wish.named.reference.digest()];
    if let Some(pinned) = pins.into_iter().flatten().find(|pinned| *pinned != root.digest) {
        return Err(Error::Pinned { pinned, got: root.digest });
    }
    let (manifest, media_type) = parse(&root, root.media_type.as_deref())?;
    let found = Found { blob: root_blob, media_type, raw: root };
    let mut walk = Walk { images, wish, gather: Gather::new(images) };
    match manifest {
        Manifest::Image { ref config, .. } => {
            let kept = wish.keep(found.blob.digest, None);
            let known = kept.as_ref().and_then(LockedImage::root).and_then(|root| root.platform.clone());
            let platform = match wish.platforms {
                Some(_) if known.is_none() => walk.platform(config)?,
                // Nothing follows from it here, so nothing is asked for it: whoever carries the image reads its configuration anyway.
                _ => known,
            };
            if let Some(wanted) = wish.platforms
                && media::is_config(&config.media_type)
            {
                let has: Vec<Platform> = platform.iter().cloned().collect();
                narrow::require(wanted, &has)?;
            }
            if let Some(mut image) = kept {
                if let Some(platform) = platform {
                    image.runs_on(platform);
                }
                return Ok(Resolved { image, left_behind: Vec::new() });
            }
            walk.gather.add(found, &manifest, platform)?;
            Ok(walk.finish(None, Vec::new()))
        }
        Manifest::Index { ref manifests, .. } => walk.index(found, manifests),
    }
}

/// The configuration `config` of an image, and the platform it states.
///
/// # Errors
/// One that cannot be read, is not what its digest names, or is none.
pub fn configuration(images: &dyn Images, config: &Blob) -> Result<(Vec<u8>, Option<Platform>), Error> {
    let bytes = read_small(images, config, limits::CONFIG_BYTES)?;
    let parsed = Config::parse(&bytes).map_err(|source| Error::Config { digest: config.digest, source })?;
    Ok((bytes, parsed.platform))
}

impl Wish<'_> {
    /// The image as locked before, if it is the same and its root is still `root`.
    fn keep(&self, root: Digest, original: Option<Digest>) -> Option<LockedImage> {
        let same = |image: &&LockedImage| {
            image.reference == *self.reference
                && image.from == self.from.map(ToString::to_string)
                && image.original == original
                && image.root().is_some_and(|manifest| manifest.digest == root)
        };
        self.previous.filter(same).cloned()
    }
}

struct Walk<'a> {
    images: &'a dyn Images,
    wish: &'a Wish<'a>,
    gather: Gather<'a>,
}

impl Walk<'_> {
    fn index(mut self, found: Found, descriptors: &[Descriptor]) -> Result<Resolved, Error> {
        let wish = self.wish;
        let mut children: Vec<Child> = descriptors.iter().map(Child::new).collect();
        let narrowed = match wish.platforms {
            None => Narrowed::Whole,
            Some(wanted) => {
                self.learn_platforms(&mut children, 1)?;
                narrow::narrow(&found.raw.bytes, &children, wanted)?
            }
        };
        let original = Some(found.blob.digest);
        match narrowed {
            Narrowed::Whole => {
                if let Some(image) = wish.keep(found.blob.digest, None) {
                    return Ok(Resolved { image, left_behind: Vec::new() });
                }
                let manifest = Manifest::Index { manifests: descriptors.to_vec(), subject: None };
                self.gather.children(&children, 1)?;
                self.gather.add(found, &manifest, None)?;
                Ok(self.finish(None, Vec::new()))
            }
            Narrowed::One { child, left_behind } => {
                let child = &children[child];
                if let Some(image) = wish.keep(child.descriptor.digest, original) {
                    return Ok(Resolved { image, left_behind });
                }
                self.gather.descend(child, 1)?;
                Ok(self.finish(original, left_behind))
            }
            Narrowed::Fewer { children: places, bytes, blob } => {
                if let Some(image) = wish.keep(blob.digest, original) {
                    return Ok(Resolved { image, left_behind: Vec::new() });
                }
                let kept: Vec<Child> = places.iter().map(|place| children[*place].clone()).collect();
                self.gather.children(&kept, 1)?;
                let manifest = Manifest::Index {
                    manifests: kept.into_iter().map(|child| child.descriptor).collect(),
                    subject: None,
                };
                let raw = RawManifest { bytes, media_type: None, digest: blob.digest, made: true };
                self.gather.add(Found { blob, media_type: found.media_type, raw }, &manifest, None)?;
                Ok(self.finish(original, Vec::new()))
            }
        }
    }

    /// Asks the configurations, and the indexes in it, of children whose descriptors name no platform.
    fn learn_platforms(&self, children: &mut [Child], depth: usize) -> Result<(), Error> {
        if depth > limits::GRAPH_DEPTH {
            return Err(Error::Depth);
        }
        for child in children {
            let media_type = child.descriptor.media_type.as_str();
            let silent = child.descriptor.platform.is_none() && child.attests().is_none();
            if child.platform.is_some()
                || !silent
                || !(media::is_manifest(media_type) || media::is_index(media_type))
            {
                continue;
            }
            let raw = self.images.manifest(&child.descriptor.blob())?;
            proved(&raw, Some(child.descriptor.blob()))?;
            match parse(&raw, Some(media_type))? {
                (Manifest::Image { config, .. }, _) => child.platform = self.platform(&config)?,
                (Manifest::Index { manifests, .. }, _) => {
                    let mut below: Vec<Child> = manifests.iter().map(Child::new).collect();
                    self.learn_platforms(&mut below, depth + 1)?;
                    child.inside = below.iter().flat_map(Child::platforms).cloned().collect();
                    child.inside.sort();
                    child.inside.dedup();
                }
            }
        }
        Ok(())
    }

    /// The platform an image's configuration states; `None` for what is not an image.
    fn platform(&self, config: &Descriptor) -> Result<Option<Platform>, Error> {
        if !media::is_config(&config.media_type) {
            return Ok(None);
        }
        Ok(configuration(self.images, &config.blob())?.1)
    }

    fn finish(self, original: Option<Digest>, left_behind: Vec<Digest>) -> Resolved {
        let mut platforms: Vec<Platform> = Vec::new();
        for platform in self.gather.manifests.iter().filter_map(|manifest| manifest.platform.as_ref()) {
            if !platforms.contains(platform) {
                platforms.push(platform.clone());
            }
        }
        let image = LockedImage {
            reference: self.wish.reference.clone(),
            from: self.wish.from.map(ToString::to_string),
            original,
            platforms,
            manifests: self.gather.manifests,
            sboms: self.gather.sboms,
            referrers: Vec::new(),
            left_behind: Vec::new(),
            cosign_key: None,
        };
        Resolved { image, left_behind }
    }
}
