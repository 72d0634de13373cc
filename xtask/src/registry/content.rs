//! What a registry holds: repositories with their manifests, tags and blobs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use bytes::Bytes;
use serde::Deserialize;

/// The bytes of one blob.
#[derive(Debug, Clone)]
pub(super) enum Blob {
    Memory(Bytes),
    File { path: PathBuf, length: u64 },
    Discarded { length: u64 },
}

impl Blob {
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } | Self::Discarded { length } => *length,
        }
    }
}

/// A manifest as it was pushed.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) bytes: Bytes,
    pub(super) media_type: String,
    pub(super) subject: Option<String>,
    pub(super) artifact_type: Option<String>,
    pub(super) annotations: Option<serde_json::Value>,
}

#[derive(Debug, Default)]
pub(super) struct Repository {
    pub(super) manifests: BTreeMap<String, Manifest>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) blobs: BTreeSet<String>,
}

/// Blobs are stored once and linked into repositories: a blob is seen only where it was pushed or mounted.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) repositories: BTreeMap<String, Repository>,
    pub(super) blobs: HashMap<String, Blob>,
}

impl Content {
    pub(super) fn blob(&self, repository: &str, digest: &str) -> Option<&Blob> {
        self.repositories.get(repository)?.blobs.get(digest).and_then(|digest| self.blobs.get(digest))
    }

    pub(super) fn put_blob(&mut self, repository: &str, digest: &str, blob: Blob) {
        self.blobs.entry(digest.to_owned()).or_insert(blob);
        self.link(repository, digest);
    }

    pub(super) fn link(&mut self, repository: &str, digest: &str) {
        self.repositories.entry(repository.to_owned()).or_default().blobs.insert(digest.to_owned());
    }

    /// The manifest by tag or digest, with its digest.
    pub(super) fn manifest(&self, repository: &str, reference: &str) -> Option<(&str, &Manifest)> {
        let repository = self.repositories.get(repository)?;
        let digest = repository.tags.get(reference).map_or(reference, String::as_str);
        repository.manifests.get_key_value(digest).map(|(digest, manifest)| (digest.as_str(), manifest))
    }
}

/// The fields of a manifest that a registry looks at.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Document {
    pub(super) media_type: Option<String>,
    pub(super) artifact_type: Option<String>,
    pub(super) config: Option<Pointer>,
    pub(super) layers: Vec<Pointer>,
    pub(super) manifests: Vec<Pointer>,
    pub(super) subject: Option<Pointer>,
    pub(super) annotations: Option<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Pointer {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) urls: Vec<String>,
}
