//! Signatures of images that the vendor proved when the release was locked: proved again from what the bundle carries.

use std::collections::HashMap;

use signing::cosign::CosignKey;

use crate::bundle::index::{Index, IndexBlob, IndexImage};
use crate::digest::Digest;
use crate::oci::{Manifest, cosign};
use crate::ops::finding::{Finding, What};
use crate::plan::load::Known;

/// Whether a blob is what a signature of an image signs.
pub(super) fn is_payload(blob: &IndexBlob) -> bool {
    cosign::is_signed_text(&blob.media_type, blob.size)
}

/// Every image whose signature was proved must be signed still, by the key that the index records.
pub(super) fn check(
    index: &Index,
    manifests: &HashMap<Digest, Known>,
    payloads: &HashMap<Digest, Vec<u8>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for image in &index.images {
        let Some(Ok(key)) = image.cosign_key.as_deref().map(CosignKey::from_base64) else { continue };
        let payload = |digest: &Digest| {
            payloads.get(digest).cloned().ok_or_else(|| format!("what it signs, {digest}, was not read"))
        };
        for subject in subjects(image, manifests) {
            let tag = cosign::tag(&subject, "sig");
            let mut why = Some(format!("{tag} is not there"));
            let signatures = index.referrers.iter().filter(|one| {
                one.image == image.reference && one.subject == subject && one.tag.as_ref() == Some(&tag)
            });
            for known in signatures.filter_map(|one| manifests.get(&one.digest)) {
                // Cosign annotates layers; a manifest without such is not kept whole.
                let held = match known.whole.as_deref() {
                    Some(manifest) => {
                        cosign::verify(&key, &subject, manifest, |layer| payload(&layer.digest))
                    }
                    None => Err("it holds no signature of cosign's form".to_owned()),
                };
                why = if held.is_ok() { None } else { held.err().or(why) };
            }
            if let Some(detail) = why {
                let image = image.reference.to_string();
                findings.push(Finding::refuse(What::Unsigned { image, subject, key: key.id(), detail }));
            }
        }
    }
    findings
}

/// As `LockedImage::signed_manifests`: the root, or the children with a platform of a root that `lock` made.
fn subjects(image: &IndexImage, manifests: &HashMap<Digest, Known>) -> Vec<Digest> {
    match manifests.get(&image.digest).and_then(|known| known.whole.as_deref()) {
        Some(Manifest::Index { manifests, .. }) if image.original_digest.is_some() => {
            let runs = |platform: &crate::oci::manifest::DescriptorPlatform| platform.platform().is_some();
            let own = manifests.iter().filter(|child| child.platform.as_ref().is_some_and(runs));
            own.map(|child| child.digest).collect()
        }
        _ => vec![image.digest],
    }
}
