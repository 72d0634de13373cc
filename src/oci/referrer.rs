//! The descriptor by which a manifest with a subject is listed (distribution-spec, §Listing Referrers).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::manifest::ManifestError;
use super::{Descriptor, media};
use crate::digest::{Blob, Digest};
use crate::text::printable;

/// How the manifest `bytes`, which are `blob`, is listed among the referrers of its subject: with its own annotations, and with its
/// artifact type, for which a manifest without one has the media type of its configuration.
pub fn describe(bytes: &[u8], media_type: &str, blob: Blob) -> Result<Descriptor, ManifestError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        artifact_type: Option<String>,
        annotations: Option<BTreeMap<String, String>>,
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Config {
        media_type: String,
    }
    let raw: Raw =
        serde_json::from_slice(bytes).map_err(|e| ManifestError::Json(printable(&e.to_string(), 200)))?;
    let config = raw.config.map(|config| config.media_type).filter(|_| media::is_manifest(media_type));
    let stated = raw.artifact_type.filter(|kind| !kind.is_empty());
    Ok(Descriptor {
        annotations: raw.annotations,
        artifact_type: stated.or(config),
        ..Descriptor::new(media_type, blob)
    })
}

/// The tag that holds the list of referrers of `subject` in registries that keep none themselves
/// (distribution-spec, §Referrers Tag Schema).
#[must_use]
pub fn fallback_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// The list in `index` with `listed` in it as well, everything else kept; `None` when it is there already. An empty `index` begins one.
pub fn with_entry(index: &[u8], listed: &Descriptor) -> Result<Option<Vec<u8>>, ManifestError> {
    let json = |e: serde_json::Error| ManifestError::Json(printable(&e.to_string(), 200));
    let mut index: serde_json::Value = match index {
        [] => serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": []}),
        bytes => serde_json::from_slice(bytes).map_err(json)?,
    };
    let entry = serde_json::to_value(listed).map_err(json)?;
    let entries = index.get_mut("manifests").and_then(|entries| entries.as_array_mut());
    let entries = entries.ok_or_else(|| ManifestError::Json("an index without manifests".to_owned()))?;
    if entries.iter().any(|other| other.get("digest") == entry.get("digest")) {
        return Ok(None);
    }
    entries.push(entry);
    serde_json::to_vec(&index).map(Some).map_err(json)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_is_listed_with_its_type_and_annotations() {
        let blob = Blob { digest: Digest::of(b"x"), size: 1 };
        for (manifest, kind) in [
            (json!({"artifactType": "a/b", "config": {"mediaType": "c/d"}}), Some("a/b")),
            (json!({"config": {"mediaType": "c/d"}, "annotations": {"k": "v"}}), Some("c/d")),
            (json!({"artifactType": "", "config": {"mediaType": "c/d"}}), Some("c/d")),
            (json!({"manifests": []}), None),
        ] {
            let listed = describe(manifest.to_string().as_bytes(), media::OCI_MANIFEST, blob).unwrap();
            assert_eq!(listed.artifact_type.as_deref(), kind, "{manifest}");
            assert_eq!(serde_json::to_value(&listed.annotations).unwrap(), manifest["annotations"]);
        }
    }

    #[test]
    fn a_list_keeps_what_others_put_there() {
        let listed = Descriptor::new("m", Blob { digest: Digest::of(b"x"), size: 1 });
        let first = with_entry(b"", &listed).unwrap().unwrap();
        assert_eq!(with_entry(&first, &listed).unwrap(), None);
        let other = json!({"schemaVersion": 2, "manifests": [{"digest": "sha512:1", "own": 7}], "annotations": {"a": "b"}});
        let more = with_entry(other.to_string().as_bytes(), &listed).unwrap().unwrap();
        let more: serde_json::Value = serde_json::from_slice(&more).unwrap();
        assert_eq!(
            (more["manifests"][0]["own"].as_u64(), more["annotations"]["a"].as_str()),
            (Some(7), Some("b"))
        );
        assert_eq!(more["manifests"][1]["digest"], listed.digest.to_string());
        for bad in [&b"{}"[..], b"[]", b"x", b"{\"manifests\": 1}"] {
            assert!(with_entry(bad, &listed).is_err());
        }
    }
}
