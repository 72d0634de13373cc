//! `release.lock`: the release with every reference pinned to digest and size.
//!
//! The lock names every blob reachable from the release, so the payload can be laid out before a layer is fetched.
//! Everything in the payload is a [`Graph`]: manifests, children first, each with what it points to. Files and tools are no
//! part of the payload: they lie in the delivered folder as they are.

use serde::{Deserialize, Serialize};

use crate::checked::ByteSize;
use crate::digest::{Blob, Digest};
use crate::oci::{Platform, Reference, media};

mod agree;
mod content;
mod emit;
mod entries;
mod graph;
mod graphs;
mod install;
mod read;

pub use content::{
    FoundImage, LockedChart, LockedFile, LockedLicense, LockedModel, LockedReferrer, LockedSbom, LockedTool,
    ModelFile, NOTICE,
};
pub use graph::{GraphFault, Place};
pub use graphs::{Graph, Of};
pub use install::{INSTALL_FOLDER, LockedInstall, LockedUpgrade};
pub use read::Error;

/// The lock file's own format.
pub const FORMAT: u32 = 1;

/// A whole lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// [`FORMAT`].
    pub format: u32,
    /// SHA-256 of the `release.yaml` (its bytes) this lock belongs to.
    pub release: Digest,
    /// The release's name.
    pub name: String,
    /// The release's version.
    pub version: semver::Version,
    /// Who makes it.
    pub vendor: String,
    /// How the payload is sealed.
    pub seal: Seal,
    /// The size volume files stay below.
    pub volume_size: ByteSize,
    /// Every image, in the order of the release.
    pub images: Vec<LockedImage>,
    /// Every chart, in the order of the release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charts: Vec<LockedChart>,
    /// Every model, in the order of the release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<LockedModel>,
    /// Plain files of the delivered folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<LockedFile>,
    /// Programs in the delivered folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<LockedTool>,
    /// What licence an installation needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<LockedLicense>,
    /// Which installed versions it can replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<LockedUpgrade>,
    /// How it is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<LockedInstall>,
}

/// How a payload is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Seal {
    /// age files to the release recipient.
    #[default]
    Age,
    /// Plain tar slices.
    None,
}

/// One image, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedImage {
    /// As what it is delivered: the name it is used by.
    pub reference: Reference,
    /// Where its bytes are read: absent for `reference` itself, else `oci:PATH[:TAG]`, `docker-archive:PATH` or a reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The digest the source had, when the image was narrowed to fewer platforms and so has another one here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Digest>,
    /// The platforms carried; none where only a configuration names it, and nobody has read that one.
    pub platforms: Vec<Platform>,
    /// The manifests, children first, the root last.
    pub manifests: Vec<LockedManifest>,
    /// Layers of its attestations that are SBOMs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sboms: Vec<LockedSbom>,
    /// What refers to it: signatures, SBOMs. A referrer stands after what it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub referrers: Vec<LockedReferrer>,
    /// What refers to `original` alone and so is not carried: roots, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<Digest>,
    /// The key by which it was proved to be signed: its SPKI in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosign_key: Option<String>,
}

/// One manifest and what it points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedManifest {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// What it runs on, for the manifest of one platform; absent for indexes and attestations, and where it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Its very bytes, when no source has them because `lock` made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// For an image: its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<LockedBlob>,
    /// For an image: its layers in order, repetitions kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LockedBlob>,
    /// For an index: its children in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Digest>,
}

/// One blob that is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedBlob {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}

impl LockedImage {
    /// The root: what the reference names.
    #[must_use]
    pub fn root(&self) -> Option<&LockedManifest> {
        self.manifests.last()
    }

    /// The configuration of an image of one manifest that has to say what the image runs on, because this lock does not.
    #[must_use]
    pub fn unread(&self) -> Option<&LockedBlob> {
        let [only] = self.manifests.as_slice() else { return None };
        only.config.as_ref().filter(|config| only.platform.is_none() && media::is_config(&config.media_type))
    }

    /// Takes down what an image of one manifest runs on.
    pub fn runs_on(&mut self, platform: Platform) {
        if let [only] = self.manifests.as_mut_slice() {
            only.platform = Some(platform.clone());
            self.platforms = vec![platform];
        }
    }
}

impl LockedImage {
    /// The manifests that a signature must be about for all of the image to be signed: its root, or all below a root that `lock` made.
    #[must_use]
    pub fn signed_manifests(&self) -> Vec<Digest> {
        match self.root() {
            Some(root) if root.inline.is_some() && !root.children.is_empty() => {
                let child = |digest: &Digest| self.manifests.iter().find(|child| child.digest == *digest);
                let own = root.children.iter().filter_map(child).filter(|child| child.platform.is_some());
                own.map(|child| child.digest).collect()
            }
            root => root.map(|root| root.digest).into_iter().collect(),
        }
    }

    /// What is about the manifest `subject`.
    pub fn about(&self, subject: Digest) -> impl Iterator<Item = &LockedReferrer> {
        self.referrers.iter().filter(move |referrer| referrer.subject == subject)
    }
}

impl LockedReferrer {
    /// The root.
    #[must_use]
    pub fn root(&self) -> Option<&LockedManifest> {
        self.manifests.last()
    }
}

impl LockedManifest {
    /// Digest and size.
    #[must_use]
    pub fn blob(&self) -> Blob {
        Blob { digest: self.digest, size: self.size }
    }
}

impl LockedBlob {
    /// Digest and size.
    #[must_use]
    pub fn blob(&self) -> Blob {
        Blob { digest: self.digest, size: self.size }
    }
}

#[cfg(test)]
mod tests;
