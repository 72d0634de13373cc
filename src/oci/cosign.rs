//! How cosign finds what it knows of an image: by a tag beside it that is made of the image's digest.
//!
//! cosign, `specs/SIGNATURE_SPEC.md`: `sha256-<hex>.sig`, and likewise `.att` and `.sbom`.

use signing::cosign::CosignKey;

use crate::digest::Digest;
use crate::limits;
use crate::oci::{Descriptor, Manifest};

/// What cosign signs: a JSON text that names an image ("simple signing").
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Bytes of a text that is signed; real ones have some hundreds.
const SIGNED_BYTES: u64 = signing::limits::COSIGN_PAYLOAD_BYTES as u64;

/// Whether a blob is what a signature of an image signs: needed to prove the signature.
#[must_use]
pub fn is_signed_text(media_type: &str, size: u64) -> bool {
    media_type == SIMPLE_SIGNING && size <= SIGNED_BYTES
}

/// The annotation of a signature's layer that holds the signature, in base64.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The manifest that a simple signing payload names; `None` when it is none.
#[must_use]
pub fn signed(payload: &[u8]) -> Option<Digest> {
    signing::cosign::image(payload)?.parse().ok()
}

/// Whether `signature`, a manifest under a `.sig` tag, holds a signature of `subject` by `key`. `payload` gives the bytes of a layer.
///
/// # Errors
/// In words, why none of its layers is one.
pub fn verify(
    key: &CosignKey,
    subject: &Digest,
    signature: &Manifest,
    mut payload: impl FnMut(&Descriptor) -> Result<Vec<u8>, String>,
) -> Result<(), String> {
    let mut why = "it holds no signature of cosign's form".to_owned();
    let Manifest::Image { layers, .. } = signature else { return Err(why) };
    // Several people may have signed; each adds a layer.
    for layer in layers.iter().filter(|layer| layer.media_type == SIMPLE_SIGNING).take(limits::REFERRERS) {
        let signature = layer.annotations.as_ref().and_then(|all| all.get(SIGNATURE));
        let Some(signature) = signature else { continue };
        let bytes = payload(layer)?;
        match signing::cosign::check(key, &subject.to_string(), (&bytes, signature)) {
            Ok(()) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

/// The endings of cosign's tags.
pub const ENDINGS: [&str; 3] = ["sig", "att", "sbom"];

/// The tag under which cosign keeps what ends in `ending` about `subject`.
#[must_use]
pub fn tag(subject: &Digest, ending: &str) -> String {
    format!("sha256-{}.{ending}", subject.hex())
}

/// What a tag of cosign is about; `None` when it is none.
#[must_use]
pub fn subject(tag: &str) -> Option<Digest> {
    let (hex, ending) = tag.strip_prefix("sha256-")?.split_once('.')?;
    ENDINGS.contains(&ending).then(|| Digest::from_hex(hex).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_leads_back_to_its_subject() {
        let digest = Digest::of(b"x");
        for ending in ENDINGS {
            assert_eq!(subject(&tag(&digest, ending)), Some(digest));
        }
        let hex = digest.hex();
        for other in [
            format!("sha256-{hex}"),
            format!("sha256-{hex}.zip"),
            "v1.sig".to_owned(),
            format!("sha256-{}.sig", hex.to_uppercase()),
        ] {
            assert_eq!(subject(&other), None, "{other}");
        }
    }
}
