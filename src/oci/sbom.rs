//! Which layers are SBOMs: by their media type, or by the predicate of the statement that they are.

use serde::{Deserialize, Serialize};

use super::Descriptor;

/// What an SBOM is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sbom {
    /// SPDX.
    Spdx,
    /// `CycloneDX`.
    CycloneDx,
    /// Syft's own form.
    Syft,
}

impl Sbom {
    /// Its one printed form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spdx => "spdx",
            Self::CycloneDx => "cyclonedx",
            Self::Syft => "syft",
        }
    }

    /// What `layer` is written in, when it is an SBOM or an in-toto statement of one (cosign, `specs/SBOM_SPEC.md`;
    /// `BuildKit`, `docs/attestations/attestation-storage.md`).
    #[must_use]
    pub fn of(layer: &Descriptor) -> Option<Self> {
        const PREDICATES: [&str; 2] = ["in-toto.io/predicate-type", "predicateType"];
        let predicate = PREDICATES.iter().find_map(|key| layer.annotations.as_ref()?.get(*key));
        let named = predicate.map_or(layer.media_type.as_str(), String::as_str);
        match named.split(['/', '+', '.', ';']).collect::<Vec<_>>().as_slice() {
            ["text" | "application", "spdx", ..]
            | ["application", "vnd", "spdx", ..]
            | ["https:", "", "spdx", "dev", "Document", ..] => Some(Self::Spdx),
            ["application", "vnd", "cyclonedx", ..] | ["https:", "", "cyclonedx", "org", "bom", ..] => {
                Some(Self::CycloneDx)
            }
            ["application", "vnd", "syft", ..] => Some(Self::Syft),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::digest::{Blob, Digest};

    #[test]
    fn sboms_are_told_by_type_or_predicate() {
        for (media_type, annotation, expected) in [
            ("application/spdx+json", None, Some(Sbom::Spdx)),
            ("text/spdx", None, Some(Sbom::Spdx)),
            ("text/spdx+json", None, Some(Sbom::Spdx)),
            ("application/vnd.cyclonedx+xml", None, Some(Sbom::CycloneDx)),
            ("application/vnd.cyclonedx+json;version=1.5", None, Some(Sbom::CycloneDx)),
            ("application/vnd.syft+json", None, Some(Sbom::Syft)),
            (
                "application/vnd.in-toto+json",
                Some(("in-toto.io/predicate-type", "https://spdx.dev/Document")),
                Some(Sbom::Spdx),
            ),
            (
                "application/vnd.dsse.envelope.v1+json",
                Some(("predicateType", "https://spdx.dev/Document/v2.3")),
                Some(Sbom::Spdx),
            ),
            (
                "application/vnd.dsse.envelope.v1+json",
                Some(("predicateType", "https://cyclonedx.org/bom")),
                Some(Sbom::CycloneDx),
            ),
            (
                "application/vnd.in-toto+json",
                Some(("in-toto.io/predicate-type", "https://slsa.dev/provenance/v0.2")),
                None,
            ),
            ("application/vnd.oci.image.layer.v1.tar+gzip", None, None),
            ("", None, None),
        ] {
            let mut layer = Descriptor::new(media_type, Blob { digest: Digest::of(b""), size: 0 });
            layer.annotations =
                annotation.map(|(key, value)| BTreeMap::from([(key.to_owned(), value.to_owned())]));
            assert_eq!(Sbom::of(&layer), expected, "{media_type} {annotation:?}");
        }
    }
}
