//! How cosign finds what it knows of an image: by a tag beside it that is made of the image's digest.
//!
//! cosign, specs/SIGNATURE_SPEC.md: `sha256-<hex>.sig`, and likewise `.att` and `.sbom`.

use crate::digest::Digest;

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
