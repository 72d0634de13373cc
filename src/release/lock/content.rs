//! What a lock pins beside images: what refers to them, charts, models, files and tools.

use serde::{Deserialize, Serialize};
use signing::license::LicenseKey;

use super::LockedManifest;
use crate::digest::{Digest, bare_hex};
use crate::oci::{Platform, Reference, Sbom};
use crate::path::EntryPath;

/// Something that refers to an image: a signature, an SBOM, an attestation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedReferrer {
    /// The manifest it is about: one of the image's, or the root of a referrer before it.
    pub subject: Digest,
    /// Its tag beside the image, `sha256-<hex of the subject>.sig` and the like; absent for one that is found by its `subject` field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// What kind of thing it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests, children first, the root last.
    pub manifests: Vec<LockedManifest>,
    /// Those of its layers that are SBOMs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sboms: Vec<LockedSbom>,
}

/// A layer that is an SBOM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedSbom {
    /// Which layer.
    pub digest: Digest,
    /// What it is written in.
    pub kind: Sbom,
}

/// One Helm chart, in Helm's OCI form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedChart {
    /// Its name in `Chart.yaml`.
    pub name: String,
    /// Its version in `Chart.yaml`, as Helm writes it.
    pub version: String,
    /// Where it is read, as declared: `path:…`, `oci://…`, `https://…`.
    pub from: String,
    /// Name of the Helm release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Kubernetes namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The manifests, children first, the root last.
    pub manifests: Vec<LockedManifest>,
    /// What looking for its images depended on: Helm, values, declared images. While that is the same it is not rendered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<Digest>,
    /// The images it was found to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<FoundImage>,
}

/// An image that a chart runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FoundImage {
    /// Which.
    pub reference: Reference,
    /// Where it was found, each as it is shown to people.
    pub found_in: Vec<String>,
}

/// Model weights, as an OCI image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedModel {
    /// Its name.
    pub name: String,
    /// Its version: the release's.
    pub version: semver::Version,
    /// Where it is read, as declared: `hf://OWNER/NAME@COMMIT` or `dir:PATH`.
    pub from: String,
    /// A file of the model that the operator must accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<EntryPath>,
    /// The manifests, children first, the root last.
    pub manifests: Vec<LockedManifest>,
    /// Its files, in the order of their layers.
    pub files: Vec<ModelFile>,
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ModelFile {
    /// Its path in the model.
    pub path: EntryPath,
    /// How many bytes.
    pub size: u64,
    /// SHA-256 of its bytes, bare hex.
    #[serde(with = "bare_hex")]
    pub sha256: Digest,
    /// The layers it is in, in order.
    pub layers: Vec<Digest>,
}

/// What the `from` of a model's notice begins with.
pub const NOTICE: &str = "model:";

/// A plain file of the delivered folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedFile {
    /// Its path in the delivered folder.
    pub path: EntryPath,
    /// How many bytes.
    pub size: u64,
    /// SHA-256 of its bytes, bare hex.
    #[serde(with = "bare_hex")]
    pub sha256: Digest,
    /// The file it is read from, relative to the release's folder; `model:NAME` for a file of that model, which is its notice.
    pub from: String,
}

/// A program for the operator's machine, in the delivered folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedTool {
    /// Its name.
    pub name: String,
    /// What it runs on.
    pub platform: Platform,
    /// Its path in the delivered folder: what [`crate::bundle::plain::tool_path`] says.
    pub path: EntryPath,
    /// How many bytes.
    pub size: u64,
    /// SHA-256 of its bytes, bare hex.
    #[serde(with = "bare_hex")]
    pub sha256: Digest,
    /// Where it is read, as declared: a path relative to the release's folder, or an address.
    pub from: String,
}

/// What licence an installation needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedLicense {
    /// Whether installation is refused without one.
    pub required: bool,
    /// The key licences are checked with, SPKI PEM.
    pub public_key: LicenseKey,
    /// Features a licence must grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Days of grace, when the licence does not say.
    pub grace_days: u32,
    /// Days of warning, when the licence does not say.
    pub warn_days: u32,
}
