//! What a bundle carries, as the index lists it, and what must hold of the lists.

use std::collections::{HashMap, HashSet};
use std::fmt;

use semver::VersionReq;
use serde::{Deserialize, Serialize};
use signing::cosign::CosignKey;
use signing::license::LicenseKey;

use super::{Index, IndexError, contradiction};
use crate::bundle::plain;
use crate::digest::{Digest, bare_hex};
use crate::license::tiers;
use crate::limits;
use crate::oci::reference::ReferenceError;
use crate::oci::{LocalName, Platform, Reference, Repository, Sbom, cosign, media};
use crate::path::EntryPath;
use crate::release::Name;
use crate::release::sections::{Gpu, Health, Migration, Stop, Upgrade};
use crate::text::is_printable;

/// One chart, in Helm's OCI form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexChart {
    /// Digest of its root manifest, which is among the blobs.
    pub digest: Digest,
    /// Its name.
    pub name: String,
    /// Kubernetes namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the Helm release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Its version, as Helm writes it.
    pub version: String,
}

/// A plain file of the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexFile {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its path in the folder.
    pub path: EntryPath,
    /// SHA-256 of the file, bare hex.
    #[serde(with = "bare_hex")]
    pub sha256: Digest,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexImage {
    /// The key that its release asked its signature to be by, and by which that held: its SPKI in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosign_key: Option<String>,
    /// Digest of its root manifest, which is among the blobs.
    pub digest: Digest,
    /// The digest its source had, when it was narrowed to fewer platforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_digest: Option<Digest>,
    /// The platforms carried.
    pub platforms: Vec<Platform>,
    /// The name it is used by.
    pub reference: Reference,
}

/// One model's weights, as an OCI image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexModel {
    /// Digest of its root manifest, which is among the blobs.
    pub digest: Digest,
    /// Its name.
    pub name: String,
    /// A file of the model that the operator must accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<EntryPath>,
    /// Its version.
    pub version: semver::Version,
}

/// Something that refers to an image: a signature, an SBOM, an attestation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexReferrer {
    /// What kind of thing it says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Digest of its root manifest, which is among the blobs.
    pub digest: Digest,
    /// The image it goes with.
    pub image: Reference,
    /// The manifest it is about: one of the image's, or another referrer's.
    pub subject: Digest,
    /// Its tag beside the image, where it is found by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// An SBOM of an image: a layer of an attestation, or of something that refers to the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexSbom {
    /// SHA-256 of the blob.
    pub digest: Digest,
    /// The image it is about.
    pub image: Reference,
    /// What it is written in.
    pub kind: Sbom,
}

/// A program for the operator's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexTool {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its name.
    pub name: String,
    /// Its path in the folder.
    pub path: EntryPath,
    /// What it runs on.
    pub platform: Platform,
    /// SHA-256 of the file, bare hex.
    #[serde(with = "bare_hex")]
    pub sha256: Digest,
}

/// What licence an installation needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexLicense {
    /// Features a licence must grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Days of grace, when the licence does not say.
    pub grace_days: u32,
    /// The key licences are checked with, SPKI PEM.
    pub public_key: LicenseKey,
    /// Whether installation is refused without one.
    pub required: bool,
    /// Days of warning, when the licence does not say.
    pub warn_days: u32,
}

/// How a release is installed. Its files are among [`Index::files`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexInstall {
    /// The script that backs data up before an upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<EntryPath>,
    /// What is asked to know that it works.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<Health>,
    /// The questions put to the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub questions: Option<EntryPath>,
    /// What the cluster must offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<IndexRequires>,
    /// The template that makes Helm values of the answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values_template: Option<EntryPath>,
}

/// What a cluster must offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexRequires {
    /// CPU cores of each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_per_node: Option<u32>,
    /// Whether GPUs are needed.
    pub gpu: Gpu,
    /// Whether an ingress controller is needed.
    pub ingress: bool,
    /// Versions of Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<VersionReq>,
    /// Bytes of memory of each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_per_node: Option<u64>,
    /// Versions of `PostgreSQL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<VersionReq>,
    /// Whether a storage class is needed.
    pub storage_class: bool,
}

/// Which installed versions a release can replace, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexUpgrade {
    /// Which.
    pub from: VersionReq,
    /// What became of answers that earlier releases asked for, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrate: Vec<Migration>,
    /// Releases that none may pass over on the way here, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<Stop>,
}

impl IndexInstall {
    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = &EntryPath> {
        [&self.questions, &self.values_template, &self.backup].into_iter().flatten()
    }
}

impl IndexLicense {
    /// Whether a licence can have what it asks for.
    pub(super) fn is_plain(&self) -> bool {
        self.features.len() <= limits::INDEX_ENTRIES
            && self.features.iter().all(|feature| tiers::is_name(feature))
            && self.grace_days.max(self.warn_days) <= signing::limits::LICENSE_DAYS
    }
}

impl IndexChart {
    /// What it is called in any registry.
    pub fn local_name(&self) -> Result<LocalName, ReferenceError> {
        LocalName::chart(&self.name, &self.version)
    }
}

impl IndexModel {
    /// What it is called in any registry.
    pub fn local_name(&self) -> Result<LocalName, ReferenceError> {
        LocalName::model(&self.name, &self.version.to_string())
    }
}

/// As it is called in messages: by its tag, else by its digest.
impl fmt::Display for IndexReferrer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, "{}:{tag}", self.image.repository()),
            None => write!(f, "{}@{}", self.image.repository(), self.digest),
        }
    }
}

/// A manifest that everything else hangs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// What it is called in messages.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
}

impl Index {
    /// Every root: images, what refers to them, charts, models.
    pub fn roots(&self) -> impl Iterator<Item = Root> {
        let root = |name: String, digest: Digest| Root { name, digest };
        let images =
            self.images.iter().map(move |image| root(format!("image {}", image.reference), image.digest));
        let referrers =
            self.referrers.iter().map(move |referrer| root(referrer.to_string(), referrer.digest));
        let charts =
            self.charts.iter().map(move |c| root(format!("chart {} {}", c.name, c.version), c.digest));
        let models = self.models.iter().map(move |model| root(format!("model {}", model.name), model.digest));
        images.chain(referrers).chain(charts).chain(models)
    }

    /// Every plain file of the folder, tools among them: path, size, hash.
    pub fn plain(&self) -> impl Iterator<Item = (&EntryPath, u64, Digest)> {
        let files = self.files.iter().map(|file| (&file.path, file.bytes, file.sha256));
        files.chain(self.tools.iter().map(|tool| (&tool.path, tool.bytes, tool.sha256)))
    }

    /// Bytes that a listed file may have at most: those it has, where the index says so.
    pub fn most(&self) -> impl Fn(&EntryPath) -> u64 + use<'_> {
        let sizes: HashMap<&EntryPath, u64> = self.plain().map(|(path, bytes, _)| (path, bytes)).collect();
        move |path| sizes.get(path).copied().unwrap_or(limits::INDEX_BYTES)
    }

    /// Whether the file `path` is for running.
    #[must_use]
    pub fn runs(&self, path: &EntryPath) -> bool {
        plain::is_script(path.as_str()) || self.tools.iter().any(|tool| tool.path == *path)
    }

    /// What must hold of the lists, where `blobs` are all digests there are.
    pub(super) fn check_content(&self, blobs: &HashSet<Digest>) -> Result<(), IndexError> {
        for (what, count) in [
            ("images", self.images.len()),
            ("charts", self.charts.len()),
            ("models", self.models.len()),
            ("referrers", self.referrers.len()),
            ("sboms", self.sboms.len()),
            ("files", self.files.len()),
            ("tools", self.tools.len()),
        ] {
            if count > limits::INDEX_ENTRIES {
                return contradiction(format!("it lists more {what} than the format allows"));
            }
        }
        let mut names = HashSet::new();
        let mut once = |name: String| match names.insert(name.clone()) {
            true => Ok(()),
            false => contradiction(format!("{name} is listed twice")),
        };
        for image in &self.images {
            once(format!("image {}", image.reference))?;
            // A reference by digest names its bytes itself.
            let own = image.reference.digest();
            if own.is_some_and(|own| own != image.digest && Some(own) != image.original_digest) {
                return contradiction(format!("image {} is listed with {}", image.reference, image.digest));
            }
            if let Some(Err(error)) = image.cosign_key.as_deref().map(CosignKey::from_base64) {
                return contradiction(format!("the cosign_key of {}: {error}", image.reference));
            }
        }
        for chart in &self.charts {
            check_labels(&[&chart.release, &chart.namespace])?;
            once(named(chart.local_name())?)?;
        }
        for model in &self.models {
            if model.name.parse::<Name>().is_err() {
                return contradiction("a model has no valid name");
            }
            once(named(model.local_name())?)?;
        }
        self.check_referrers(blobs)?;
        // After the names, so that only names that can be shown are.
        if let Some(root) = self.roots().find(|root| !blobs.contains(&root.digest)) {
            return contradiction(format!("{} is not among the blobs", root.name));
        }
        self.check_plain()
    }

    /// What must hold of how it is installed and upgraded.
    pub(super) fn check_install(&self) -> Result<(), IndexError> {
        if let Some(install) = &self.install {
            if let Some(path) =
                install.files().find(|path| !self.files.iter().any(|file| file.path == **path))
            {
                return contradiction(format!("{path} is named to install by and is not among the files"));
            }
            if install.health.len() > limits::INDEX_ENTRIES || !install.health.iter().all(Health::is_plain) {
                return contradiction("what is asked for health is no address");
            }
        }
        let Some(IndexUpgrade { from, migrate, stops }) = &self.upgrade else { return Ok(()) };
        if migrate.len().max(stops.len()) > limits::INDEX_ENTRIES || !migrate.iter().all(Migration::is_plain)
        {
            return contradiction("a rule for an answer says nothing, or two things");
        }
        match Upgrade::way_faults(stops, from, &self.release.version) {
            Some((stop, why)) => contradiction(format!("stop {}: {why}", stop.version)),
            None => Ok(()),
        }
    }

    fn check_referrers(&self, blobs: &HashSet<Digest>) -> Result<(), IndexError> {
        let images: HashSet<&Reference> = self.images.iter().map(|image| &image.reference).collect();
        let mut seen = HashSet::new();
        let mut tags = HashMap::<(&Repository, &str), Digest>::new();
        for referrer in &self.referrers {
            let IndexReferrer { artifact_type, digest, image, subject, tag } = referrer;
            if !images.contains(image) {
                return contradiction(format!("{digest} refers to {image}, which is not listed"));
            }
            if !blobs.contains(subject) {
                return contradiction(format!("{digest} refers to {subject}, which is not among the blobs"));
            }
            if digest == subject {
                return contradiction(format!("{digest} refers to itself"));
            }
            if tag.as_deref().is_some_and(|tag| cosign::subject(tag) != Some(*subject)) {
                return contradiction(format!("the tag of {digest} names another subject"));
            }
            if artifact_type.as_deref().is_some_and(|kind| !media::is_plain(kind)) {
                return contradiction(format!("the type of {digest} is no printable text"));
            }
            if !seen.insert((image, tag, subject, digest)) {
                return contradiction(format!("{referrer} is listed twice"));
            }
            // Two images of one repository may be the same manifest, and then have the same signature.
            if let Some(tag) = tag
                && *tags.entry((image.repository(), tag)).or_insert(*digest) != *digest
            {
                return contradiction(format!("{referrer} is listed with two digests"));
            }
        }
        Ok(())
    }

    /// `blobs` are those of the payload and those relied on.
    pub(super) fn check_sboms(&self, blobs: &HashSet<Digest>) -> Result<(), IndexError> {
        let images: HashSet<&Reference> = self.images.iter().map(|image| &image.reference).collect();
        let stray = |sbom: &&IndexSbom| !images.contains(&sbom.image) || !blobs.contains(&sbom.digest);
        match self.sboms.iter().find(stray) {
            None => Ok(()),
            Some(IndexSbom { digest, image, .. }) => contradiction(format!(
                "the SBOM {digest} of {image} is about nothing, or not among the blobs"
            )),
        }
    }

    fn check_plain(&self) -> Result<(), IndexError> {
        if let Some((path, ..)) = self.plain().find(|(_, bytes, _)| *bytes > limits::PLAIN_FILE_BYTES) {
            return contradiction(format!("{path} is larger than a plain file may be"));
        }
        for tool in &self.tools {
            if plain::tool_path(&tool.name, &tool.platform).as_ref() != Ok(&tool.path) {
                return contradiction(format!("{} is not where a tool of its name lies", tool.path));
            }
        }
        plain::check(self.plain().map(|(path, ..)| path))
            .map_err(|error| IndexError::Contradiction(error.to_string()))
    }
}

fn named(name: Result<LocalName, ReferenceError>) -> Result<String, IndexError> {
    name.map(|name| name.to_string()).map_err(|error| IndexError::Contradiction(error.to_string()))
}

fn check_labels(labels: &[&Option<String>]) -> Result<(), IndexError> {
    let holds = |label: &String| !label.is_empty() && label.len() <= 63 && label.chars().all(is_printable);
    match labels.iter().filter_map(|label| label.as_ref()).all(holds) {
        true => Ok(()),
        false => {
            contradiction("the release or namespace of a chart is no printable text of at most 63 bytes")
        }
    }
}
