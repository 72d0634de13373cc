//! What locking found, as plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::Stale;
use crate::checked;
use crate::digest::Digest;
use crate::oci::{Platform, Reference};
use crate::release::lock::{Lock, LockedChart, LockedImage, LockedManifest, LockedModel};
use crate::relocate::Spot;

/// What locking found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The lock.
    pub lock: PathBuf,
    /// What became of it.
    pub outcome: Outcome,
    /// The release's name.
    pub name: String,
    /// The release's version.
    pub version: semver::Version,
    /// Every image, in the order of the release.
    pub images: Vec<ImageReport>,
    /// Every model, in the order of the release.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelReport>,
    /// Every chart, in the order of the release.
    pub charts: Vec<ChartReport>,
    /// Plain files.
    pub files: usize,
    /// Programs for the operator's machine.
    pub tools: usize,
    /// Images that were declared because charts run them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Reference>,
    /// Images the lock had before and has no longer.
    pub removed: Vec<Reference>,
    /// Different blobs of the whole release, manifests among them.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

/// What became of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was written.
    Written,
    /// It was up to date and was left alone.
    Unchanged,
    /// It was checked and is up to date.
    Current,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageReport {
    /// Its name.
    pub reference: Reference,
    /// The digest it is delivered with.
    pub digest: Digest,
    /// The digest its source has, where it was narrowed to fewer platforms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<Digest>,
    /// The platforms carried, as far as locking asks for them.
    pub platforms: Vec<Platform>,
    /// Signatures, SBOMs and the like that go with it.
    pub referrers: u64,
    /// Different blobs, manifests among them.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What changed since it was last locked.
    pub change: Change,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ModelReport {
    /// Its name.
    pub name: String,
    /// The digest of its image.
    pub digest: Digest,
    /// Its files.
    pub files: usize,
    /// Bytes of its blobs.
    pub bytes: u64,
    /// What changed since it was last locked.
    pub change: Change,
}

/// One chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChartReport {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Bytes of its blobs, the manifest among them.
    pub bytes: u64,
    /// What changed since it was last locked.
    pub change: Change,
}

/// What changed since something was last locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was not in the lock.
    Added,
    /// Nothing.
    Same,
    /// Its root was another.
    Moved {
        /// Which.
        was: Digest,
    },
}

impl Change {
    /// From the root that was locked before to the one there is `now`.
    fn since(was: Option<Digest>, now: Digest) -> Self {
        match was {
            None => Self::Added,
            Some(was) if was == now => Self::Same,
            Some(was) => Self::Moved { was },
        }
    }
}

/// Something a person should know of a lock that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Attestations that are not carried.
    #[error("{image}: narrowed to one platform, which leaves no index to hold its {} attestations", attestations.len())]
    AttestationsLeftBehind {
        /// Which image.
        image: Reference,
        /// Their digests.
        attestations: Vec<Digest>,
    },
    /// A list of shards that states another total than its shards have. Loaders do not look at it.
    #[error("model {model}: {list} states {stated} bytes in all; its shards have {found}")]
    ShardTotal {
        /// Which model.
        model: String,
        /// Path of the list.
        list: String,
        /// Its total.
        stated: u64,
        /// Theirs.
        found: u64,
    },
    /// Signatures or descriptions of an index that is not carried as it was.
    #[error("{image}: narrowed to fewer platforms, which leaves behind what refers to {original} alone: {}", list(.referrers))]
    ReferrersLeftBehind {
        /// Which image.
        image: Reference,
        /// What they are about.
        original: Digest,
        /// Their digests.
        referrers: Vec<Digest>,
    },
    /// An image that no chart runs, and no chart names as extra.
    #[error("{image} is declared, and no chart uses it")]
    Unused {
        /// Which image.
        image: Reference,
    },
    /// A text in what a chart renders that may name an image, and is not declared.
    #[error(
        "chart {chart}: {spot}: this may be an image; declare it, or name it in the chart's ignore-images with the reason"
    )]
    PossibleImage {
        /// Which chart.
        chart: String,
        /// Where.
        spot: Spot,
    },
    /// The lock that was there could not be used.
    #[error("the lock that was there could not be used, and was replaced: {why}")]
    LockReplaced {
        /// Why.
        why: String,
    },
}

fn list(digests: &[Digest]) -> String {
    digests.iter().map(Digest::to_string).collect::<Vec<_>>().join(", ")
}

impl Report {
    pub(super) fn new(path: PathBuf, lock: &Lock, previous: Option<&Lock>, findings: Vec<Finding>) -> Self {
        let old = |reference: &Reference| {
            previous.and_then(|lock| lock.images.iter().find(|image| image.reference == *reference))
        };
        let mut all = BTreeMap::new();
        let mut images = Vec::with_capacity(lock.images.len());
        for image in &lock.images {
            let Some(root) = image.root() else { continue };
            let own =
                sizes(image.manifests.iter().chain(image.referrers.iter().flat_map(|one| &one.manifests)));
            let was = old(&image.reference).and_then(LockedImage::root).map(|root| root.digest);
            images.push(ImageReport {
                reference: image.reference.clone(),
                digest: root.digest,
                original: image.original,
                platforms: image.platforms.clone(),
                referrers: image.referrers.len() as u64,
                blobs: own.len() as u64,
                bytes: total(&own),
                change: Change::since(was, root.digest),
            });
            all.extend(own);
        }
        let mut charts = Vec::with_capacity(lock.charts.len());
        for chart in &lock.charts {
            let Some(root) = chart.manifests.last() else { continue };
            let own = sizes(&chart.manifests);
            let same = |old: &&LockedChart| old.name == chart.name && old.version == chart.version;
            let old = previous.and_then(|lock| lock.charts.iter().find(same));
            let was = old.and_then(|old| old.manifests.last()).map(|root| root.digest);
            charts.push(ChartReport {
                name: chart.name.clone(),
                version: chart.version.clone(),
                digest: root.digest,
                bytes: total(&own),
                change: Change::since(was, root.digest),
            });
            all.extend(own);
        }
        let mut models = Vec::with_capacity(lock.models.len());
        for model in &lock.models {
            let Some(root) = model.manifests.last() else { continue };
            let own = sizes(&model.manifests);
            let old = previous.and_then(|lock| lock.models.iter().find(|old| old.name == model.name));
            let was = old.and_then(|old: &LockedModel| old.manifests.last()).map(|root| root.digest);
            models.push(ModelReport {
                name: model.name.clone(),
                digest: root.digest,
                files: model.files.len(),
                bytes: total(&own),
                change: Change::since(was, root.digest),
            });
            all.extend(own);
        }
        let gone = |old: &&LockedImage| !lock.images.iter().any(|new| new.reference == old.reference);
        let removed = previous.iter().flat_map(|previous| previous.images.iter().filter(gone));
        Self {
            lock: path,
            outcome: Outcome::Written,
            name: lock.name.clone(),
            version: lock.version.clone(),
            images,
            models,
            charts,
            files: lock.files.len(),
            tools: lock.tools.len(),
            added: Vec::new(),
            removed: removed.map(|image| image.reference.clone()).collect(),
            blobs: all.len() as u64,
            bytes: total(&all),
            findings,
        }
    }

    /// In which ways `previous` is not `lock`.
    pub(super) fn stale(&self, previous: Option<&Lock>, lock: &Lock) -> Vec<Stale> {
        let Some(previous) = previous else { return Vec::new() };
        let mut reasons = Vec::new();
        if previous.release != lock.release {
            reasons.push(Stale::Release);
        }
        for image in &self.images {
            let reference = image.reference.clone();
            match image.change {
                Change::Same => {}
                Change::Added => reasons.push(Stale::Missing { reference }),
                Change::Moved { was } => {
                    reasons.push(Stale::Moved { reference, was, now: image.digest });
                }
            }
        }
        let other = self.models.iter().filter(|model| model.change != Change::Same);
        reasons.extend(other.map(|model| Stale::Model { name: model.name.clone() }));
        let others = self.charts.iter().filter(|chart| chart.change != Change::Same);
        reasons.extend(others.map(|ChartReport { name, version, .. }| Stale::Chart {
            name: name.clone(),
            version: version.clone(),
        }));
        reasons.extend(self.removed.iter().map(|reference| Stale::Extra { reference: reference.clone() }));
        if reasons.is_empty() {
            reasons.push(Stale::Content);
        }
        reasons
    }
}

fn sizes<'a>(manifests: impl IntoIterator<Item = &'a LockedManifest>) -> BTreeMap<Digest, u64> {
    let mut sizes = BTreeMap::new();
    for manifest in manifests {
        sizes.insert(manifest.digest, manifest.size);
        sizes.extend(manifest.config.iter().chain(&manifest.layers).map(|blob| (blob.digest, blob.size)));
    }
    sizes
}

fn total(sizes: &BTreeMap<Digest, u64>) -> u64 {
    checked::sum(sizes.values().copied()).unwrap_or(u64::MAX)
}
