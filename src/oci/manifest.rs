//! Descriptors and manifests: parsed to walk, never re-encoded.
//!
//! image-spec descriptor.md, manifest.md, image-index.md. Unknown fields are ignored, as the specification asks; known ones must
//! have their type. A manifest is told from an index by its media type and its content both, and a document that can be
//! read as either is refused (CVE-2021-41190).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::{Blob, Digest};
use crate::limits;
use crate::oci::{Platform, media};
use crate::text::printable;

/// A pointer to a blob, as manifests hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    pub media_type: String,
    /// Which bytes.
    pub digest: Digest,
    /// How many.
    pub size: u64,
    /// For children of an index: what they run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<DescriptorPlatform>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// For artifacts: what kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// The platform of a descriptor as it stands in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorPlatform {
    /// Architecture, Go's name.
    pub architecture: String,
    /// Operating system, Go's name.
    pub os: String,
    /// Windows build, carried along.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Windows features, carried along.
    #[serde(rename = "os.features", default, skip_serializing_if = "Option::is_none")]
    pub os_features: Option<Vec<String>>,
    /// CPU variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl DescriptorPlatform {
    /// As a [`Platform`]; `None` for `unknown/unknown`, which marks attestations, and for malformed ones.
    #[must_use]
    pub fn platform(&self) -> Option<Platform> {
        if self.os == "unknown" {
            return None;
        }
        let text = match self.variant.as_deref().filter(|v| !v.is_empty()) {
            Some(variant) => format!("{}/{}/{variant}", self.os, self.architecture),
            None => format!("{}/{}", self.os, self.architecture),
        };
        text.parse().ok()
    }
}

impl Descriptor {
    /// A descriptor with nothing but the three fields every one has.
    #[must_use]
    pub fn new(media_type: &str, blob: Blob) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: blob.digest,
            size: blob.size,
            platform: None,
            annotations: None,
            artifact_type: None,
        }
    }

    /// Digest and size.
    #[must_use]
    pub fn blob(&self) -> Blob {
        Blob { digest: self.digest, size: self.size }
    }
}

/// A parsed manifest: what it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one is held at a time, never a list of them")]
pub enum Manifest {
    /// An image or artifact: a configuration and layers.
    Image {
        /// The configuration.
        config: Descriptor,
        /// The layers, in order, repetitions kept.
        layers: Vec<Descriptor>,
        /// What this is about (OCI 1.1 referrers).
        subject: Option<Descriptor>,
    },
    /// An index (Docker: manifest list): more manifests.
    Index {
        /// The children, in order.
        manifests: Vec<Descriptor>,
        /// What this is about (OCI 1.1 referrers).
        subject: Option<Descriptor>,
    },
}

/// Why bytes are not a manifest that can be carried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Larger than registries accept.
    #[error("it is larger than {} bytes", limits::MANIFEST_BYTES)]
    TooLarge,
    /// Not JSON, or not of the right shape.
    #[error("it is not a manifest: {0}")]
    Json(String),
    /// Docker's first format, which has no digests of its own content.
    #[error(
        "it is a Docker schema 1 manifest, which cannot be copied byte for byte; push the image again with a current tool"
    )]
    Schema1,
    /// A media type that is neither an index nor a manifest.
    #[error("its media type \"{0}\" is neither an image manifest nor an index")]
    MediaType(String),
    /// It can be read in two ways.
    #[error("it has the fields of both a manifest and an index")]
    Ambiguous,
    /// More pointers than any real one.
    #[error("it has more than {} descriptors", limits::MANIFEST_DESCRIPTORS)]
    TooMany,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Manifest {
    /// Parses `bytes`, which were delivered as `media_type` (a registry's `Content-Type` or a descriptor's).
    ///
    /// Returns the media type that holds as well: the document's own where it states one, which must agree.
    pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<(Self, String), ManifestError> {
        if bytes.len() as u64 > limits::MANIFEST_BYTES {
            return Err(ManifestError::TooLarge);
        }
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|e| ManifestError::Json(printable(&e.to_string(), 200)))?;
        if raw.schema_version == Some(1) || raw.fs_layers.is_some() {
            return Err(ManifestError::Schema1);
        }
        if raw.manifests.is_some() && (raw.layers.is_some() || raw.config.is_some()) {
            return Err(ManifestError::Ambiguous);
        }
        let delivered = media_type.filter(|t| media::is_index(t) || media::is_manifest(t));
        let stated = match (raw.media_type.as_deref(), delivered) {
            (Some(own), Some(delivered)) if own != delivered => return Err(ManifestError::Ambiguous),
            (Some(own), _) => own.to_owned(),
            (None, Some(delivered)) => delivered.to_owned(),
            (None, None) if raw.manifests.is_some() => media::OCI_INDEX.to_owned(),
            (None, None) if raw.config.is_some() => media::OCI_MANIFEST.to_owned(),
            (None, None) => return Err(ManifestError::MediaType(printable(media_type.unwrap_or(""), 100))),
        };
        let manifest = if media::is_index(&stated) {
            let manifests =
                raw.manifests.ok_or_else(|| ManifestError::Json("an index without manifests".into()))?;
            Self::Index { manifests, subject: raw.subject }
        } else if media::is_manifest(&stated) {
            let config = raw.config.ok_or_else(|| ManifestError::Json("a manifest without config".into()))?;
            Self::Image { config, layers: raw.layers.unwrap_or_default(), subject: raw.subject }
        } else {
            return Err(ManifestError::MediaType(printable(&stated, 100)));
        };
        if manifest.pointers().count() > limits::MANIFEST_DESCRIPTORS {
            return Err(ManifestError::TooMany);
        }
        Ok((manifest, stated))
    }

    /// What the manifest is about, where it says so.
    #[must_use]
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Image { subject, .. } | Self::Index { subject, .. } => subject.as_ref(),
        }
    }

    /// Every descriptor the manifest needs to be whole, in order: configuration and layers, or children.
    /// The subject is not among them: it need not exist (distribution-spec, §Pushing Manifests with Subject).
    pub fn pointers(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, rest) = match self {
            Self::Image { config, layers, .. } => (Some(config), layers),
            Self::Index { manifests, .. } => (None, manifests),
        };
        config.into_iter().chain(rest)
    }
}
