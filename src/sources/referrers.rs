//! What refers to an image: signatures, SBOMs, attestations, and what refers to those.
//!
//! Found in two ways that are both in use: cosign's tags (`sha256-<hex>.sig`), and manifests with a `subject` (image-spec 1.1), which
//! registries list. Nothing that is found is left out: it is carried, or it is an error.

use std::collections::HashSet;

use super::gather::{Found, Gather, parse, proved};
use super::{Error, Images, Refers, read_small};
use crate::digest::{Blob, Digest};
use crate::limits;
use crate::oci::{cosign, media, referrer};
use crate::release::lock::{LockedBlob, LockedImage, LockedReferrer};

/// Fills in what refers to `image`, from where it is read. `previous` is the same image as locked before: when what refers to its
/// root has not changed since, nothing more is asked for.
///
/// # Errors
/// [`Error`], naming the referrer.
pub fn referrers(
    images: &dyn Images,
    image: &mut LockedImage,
    previous: Option<&LockedImage>,
) -> Result<(), Error> {
    let Some(root) = image.root() else { return Ok(()) };
    // A root that `lock` made is known to nobody else; then the one it stands for is asked after.
    let (head, made) = match (&root.inline, image.original) {
        (Some(_), Some(original)) => (original, true),
        (Some(_), None) => return Ok(()),
        (None, _) => (root.digest, false),
    };
    let found = images.referrers(&head)?;
    if let Some(previous) = previous.filter(|previous| previous.root().map(|r| r.digest) == Some(root.digest))
    {
        let was: Vec<Digest> = if made {
            previous.left_behind.clone()
        } else {
            previous.about(head).filter_map(LockedReferrer::root).map(|root| root.digest).collect()
        };
        if sorted(found.iter().map(Refers::digest)) == sorted(was) {
            image.referrers = previous.referrers.clone();
            image.left_behind = previous.left_behind.clone();
            return Ok(());
        }
    }
    image.left_behind = match image.original {
        Some(_) if made => sorted(found.iter().map(Refers::digest)),
        Some(original) => sorted(images.referrers(&original)?.iter().map(Refers::digest)),
        None => Vec::new(),
    };
    let mut walk = Walk { images, seen: HashSet::new(), done: Vec::new() };
    walk.seen.extend(image.manifests.iter().map(|manifest| manifest.digest));
    for manifest in image.manifests.iter().filter(|manifest| manifest.inline.is_none()) {
        let found =
            if manifest.digest == head { found.clone() } else { images.referrers(&manifest.digest)? };
        walk.about(manifest.digest, found, 1)?;
    }
    image.referrers = walk.done;
    Ok(())
}

fn sorted(digests: impl IntoIterator<Item = Digest>) -> Vec<Digest> {
    let mut digests: Vec<Digest> = digests.into_iter().collect();
    digests.sort();
    digests.dedup();
    digests
}

struct Walk<'a> {
    images: &'a dyn Images,
    /// Manifests that something may be about already, so that nothing goes in a circle.
    seen: HashSet<Digest>,
    done: Vec<LockedReferrer>,
}

impl Walk<'_> {
    /// Takes in what was `found` about `subject`, and what refers to that.
    fn about(&mut self, subject: Digest, mut found: Vec<Refers>, depth: usize) -> Result<(), Error> {
        // The same order whatever the registry's, tags first: what has a tag and is listed too is carried under its tag.
        found.sort_by_key(|one| (one.tag().is_none(), one.tag().map(str::to_owned), one.digest()));
        let mut here = HashSet::new();
        for one in found {
            let digest = one.digest();
            if one.tag().is_none() && here.contains(&digest) {
                continue;
            }
            here.insert(digest);
            let fault = |why: String| Error::Referrer { referrer: one.name(), subject, why };
            if depth > limits::REFERRER_DEPTH {
                return Err(fault(format!(
                    "referrers of referrers are nested more than {} deep",
                    limits::REFERRER_DEPTH
                )));
            }
            if self.done.len() >= limits::REFERRERS {
                return Err(fault(format!(
                    "it would be one more than the {} of one image that are carried",
                    limits::REFERRERS
                )));
            }
            if self.seen.contains(&digest) && one.tag().is_none() {
                return Err(fault("it is itself what it is about, or about what is about it".to_owned()));
            }
            let referrer = self.read(subject, &one).map_err(|error| match error {
                error @ (Error::Referrer { .. } | Error::Store(crate::store::Error::Registry(_))) => error,
                error => fault(error.to_string()),
            })?;
            self.done.push(referrer);
            if self.seen.insert(digest) {
                let next = self.images.referrers(&digest)?;
                self.about(digest, next, depth + 1)?;
            }
        }
        Ok(())
    }

    /// One referrer and all below it.
    fn read(&self, subject: Digest, one: &Refers) -> Result<LockedReferrer, Error> {
        let fault = |why: String| Error::Referrer { referrer: one.name(), subject, why };
        let (raw, stated) = match one {
            Refers::Tagged { raw, .. } => (raw.clone(), raw.media_type.clone()),
            Refers::Listed(listed) => {
                let raw = self.images.manifest(&listed.blob())?;
                proved(&raw, Some(listed.blob()))?;
                (raw, Some(listed.media_type.clone()))
            }
        };
        let blob = proved(&raw, None)?;
        let (manifest, media_type) = parse(&raw, stated.as_deref())?;
        match (manifest.subject().map(|about| about.digest), one.tag()) {
            (Some(about), _) if about != subject => {
                return Err(fault(format!("its subject is {about}")));
            }
            (None, None) => return Err(fault("it states no subject".to_owned())),
            _ => {}
        }
        let described = referrer::describe(&raw.bytes, &media_type, blob)
            .map_err(|source| Error::Manifest { digest: blob.digest, source })?;
        let mut gather = Gather::new(self.images);
        gather.below(&manifest, 1)?;
        gather.add(Found { blob, media_type, raw }, &manifest, None)?;
        if one.tag().is_some_and(|tag| tag.ends_with(".sig")) {
            for layer in gather.manifests.iter().flat_map(|manifest| &manifest.layers) {
                self.check_payload(subject, layer).map_err(fault)?;
            }
        }
        Ok(LockedReferrer {
            subject,
            tag: one.tag().map(str::to_owned),
            artifact_type: described.artifact_type.filter(|kind| media::is_plain(kind)),
            manifests: gather.manifests,
            sboms: gather.sboms,
        })
    }

    /// What a cosign signature signs must name the manifest that its tag names.
    fn check_payload(&self, subject: Digest, layer: &LockedBlob) -> Result<(), String> {
        if layer.media_type != cosign::SIMPLE_SIGNING {
            return Ok(());
        }
        let blob = Blob { digest: layer.digest, size: layer.size };
        let bytes = read_small(self.images, &blob, limits::KEY_BYTES).map_err(|error| error.to_string())?;
        match cosign::signed(&bytes) {
            Some(signed) if signed == subject => Ok(()),
            Some(signed) => Err(format!("it is a signature of {signed}")),
            None => Err(format!("{} is no payload of a signature", layer.digest)),
        }
    }
}
