//! Whether an image is signed by the key that its release names.

use signing::cosign::CosignKey;

use super::gather::{parse, proved};
use super::{Error, Images, read_small};
use crate::digest::Digest;
use crate::limits;
use crate::oci::cosign;
use crate::release::lock::{LockedImage, LockedManifest};

/// Proves that what is carried of `image` is signed by `key`, and records the key in it. `previous` is the image as locked before: when
/// the same was proved then, no blob is read again.
///
/// # Errors
/// [`Error::Unsigned`], or what reading met.
pub fn signed(
    images: &dyn Images,
    image: &mut LockedImage,
    (key, previous): (&CosignKey, Option<&LockedImage>),
) -> Result<(), Error> {
    let recorded = Some(key.to_base64());
    let same = |was: &LockedImage| {
        was.cosign_key == recorded && was.manifests == image.manifests && was.referrers == image.referrers
    };
    if !previous.is_some_and(same) {
        for subject in image.signed_manifests() {
            prove(images, image, (subject, key))?;
        }
    }
    image.cosign_key = recorded;
    Ok(())
}

fn prove(
    images: &dyn Images,
    image: &LockedImage,
    (subject, key): (Digest, &CosignKey),
) -> Result<(), Error> {
    let mut why = match image.original {
        Some(original) if !image.left_behind.is_empty() => format!(
            "there is none of what is carried; what refers to {original}, the image before it was narrowed to fewer platforms, does not count"
        ),
        _ => format!("{} is not there", cosign::tag(&subject, "sig")),
    };
    let roots = image.about(subject).filter(|one| one.tag.as_deref() == Some(&cosign::tag(&subject, "sig")));
    for root in roots.filter_map(|referrer| referrer.manifests.last()) {
        let manifest = read(images, root)?;
        let payload = |layer: &crate::oci::Descriptor| {
            read_small(images, &layer.blob(), limits::KEY_BYTES).map_err(|error| error.to_string())
        };
        match cosign::verify(key, &subject, &manifest, payload) {
            Ok(()) => return Ok(()),
            Err(error) => why = error,
        }
    }
    Err(Error::Unsigned { subject, key: key.id(), why })
}

fn read(images: &dyn Images, locked: &LockedManifest) -> Result<crate::oci::Manifest, Error> {
    let raw = images.manifest(&locked.blob())?;
    proved(&raw, Some(locked.blob()))?;
    Ok(parse(&raw, Some(&locked.media_type))?.0)
}
