//! Lays out the whole payload from the lock, before a byte of it is read.
//!
//! 02-format "Payload": `oci-layout`, `index.json`, `manifest.json`, then the blobs: manifests and configurations first, the rest after,
//! each in the order of the lock's graphs, each digest once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::bundle::index::{
    Index, IndexBase, IndexBlob, IndexChart, IndexFile, IndexImage, IndexInstall, IndexLicense, IndexModel,
    IndexReferrer, IndexRelied, IndexRequires, IndexSbom, IndexTool, IndexUpgrade, Kind, Release,
};
use crate::bundle::tar;
use crate::digest::{Blob, Digest};
use crate::limits;
use crate::oci::reference::ReferenceError;
use crate::oci::{Reference, Repository, cosign};
use crate::plan::prelude;
use crate::release::lock::{Lock, LockedInstall, LockedTool, Of};

/// The payload, laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The files before the blobs, with their bytes.
    pub literals: Vec<(&'static str, Vec<u8>)>,
    /// The blobs, in payload order.
    pub blobs: Vec<PlannedBlob>,
    /// Length of the whole tar.
    pub bytes: u64,
    /// What it stands on, where the base has what it has not.
    pub base: Option<IndexBase>,
    /// What the base has of it, in the order it would have here.
    pub relied_on: Vec<IndexRelied>,
}

/// What a release is built on top of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// SHA-256 of its `bundle.json`.
    pub index: Digest,
    /// Its version.
    pub version: semver::Version,
    /// Its images.
    pub images: Vec<Reference>,
    /// Which blobs are there.
    pub has: Has,
}

/// Which blobs are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Has {
    /// These.
    These(HashSet<Digest>),
    /// All but these.
    AllBut(HashSet<Digest>),
}

impl Base {
    fn has(&self, blob: &PlannedBlob) -> bool {
        let digest = &blob.blob.digest;
        // What tells a reader what the rest should be is carried always: it is small, and an upgrade can be checked without its base.
        let needed = blob.manifest || cosign::is_signed_text(&blob.media_type, blob.blob.size);
        !needed
            && match &self.has {
                Has::These(there) => there.contains(digest),
                Has::AllBut(lacking) => !lacking.contains(digest),
            }
    }
}

/// One blob and where it comes from and goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedBlob {
    /// Which bytes.
    pub blob: Blob,
    /// Their media type.
    pub media_type: Arc<str>,
    /// Their first byte in the payload.
    pub offset: u64,
    /// Who has them.
    pub from: Origin,
    /// Whether they are a manifest, to be read by its manifest address.
    pub manifest: bool,
}

/// Who has a blob. A graph is named by its position among [`Lock::graphs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The source of a graph.
    Source(usize),
    /// The lock itself, which made the manifest.
    Inline {
        /// Which graph.
        graph: usize,
        /// Position of the manifest in the graph.
        manifest: usize,
    },
}

impl Origin {
    /// Which graph it is about.
    #[must_use]
    pub fn graph(self) -> usize {
        match self {
            Self::Source(graph) | Self::Inline { graph, .. } => graph,
        }
    }
}

/// A lock that cannot be laid out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// A graph without manifests.
    #[error("{0} has no manifest in the lock")]
    Empty(String),
    /// A name that no registry takes.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// The sizes add up to more than the format holds.
    #[error("the payload would be larger than the format allows")]
    TooLarge,
    /// More blobs than the format holds.
    #[error("{0} blobs are more than the format allows")]
    TooMany(usize),
}

/// The name of a blob in the tar.
#[must_use]
pub fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Lays out the payload of `lock`: all of it, or what `base` lacks.
pub fn payload(lock: &Lock, base: Option<&Base>) -> Result<Payload, PayloadError> {
    let literals = vec![
        (prelude::LAYOUT.0, prelude::LAYOUT.1.to_vec()),
        (prelude::INDEX, prelude::layout_index(&prelude::of_lock(lock)?)),
        (prelude::DOCKER, prelude::docker_manifest(lock)),
    ];
    let mut cursor = Cursor { at: 0 };
    for (_, bytes) in &literals {
        cursor.place(bytes.len() as u64)?;
    }
    if cursor.at > limits::PRELUDE_BYTES {
        return Err(PayloadError::TooLarge);
    }
    let all = gather(lock);
    if all.len() > limits::INDEX_BLOBS {
        return Err(PayloadError::TooMany(all.len()));
    }
    let (there, mut blobs): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|blob| base.is_some_and(|base| base.has(blob)));
    for blob in &mut blobs {
        blob.offset = cursor.place(blob.blob.size)?;
    }
    let bytes = cursor.at.checked_add(tar::END).filter(|b| *b <= limits::PAYLOAD_BYTES);
    let relied = |PlannedBlob { blob, media_type, .. }: PlannedBlob| IndexRelied {
        digest: blob.digest,
        media_type: media_type.to_string(),
        size: blob.size,
    };
    Ok(Payload {
        literals,
        blobs,
        bytes: bytes.ok_or(PayloadError::TooLarge)?,
        base: base.map(|base| stands_on(lock, base)),
        relied_on: there.into_iter().map(relied).collect(),
    })
}

fn stands_on(lock: &Lock, base: &Base) -> IndexBase {
    let used: HashSet<&Repository> = lock.images.iter().map(|image| image.reference.repository()).collect();
    let mut left = HashSet::new();
    let images = base.images.iter().filter(|image| !used.contains(image.repository()));
    let images = images.filter(|image| left.insert(image.repository())).cloned().collect();
    IndexBase { images, index: base.index, version: base.version.clone() }
}

/// The index of a bundle made from `lock` with this payload; its volumes are not known yet.
#[must_use]
pub fn index(lock: &Lock, lock_digest: Digest, payload: &Payload, volume_bytes: u64) -> Index {
    let mut index = Index {
        blobs: payload
            .blobs
            .iter()
            .map(|b| IndexBlob {
                digest: b.blob.digest,
                media_type: b.media_type.to_string(),
                offset: b.offset,
                size: b.blob.size,
            })
            .collect(),
        charts: Vec::new(),
        files: lock
            .files
            .iter()
            .map(|file| IndexFile { bytes: file.size, path: file.path.clone(), sha256: file.sha256 })
            .collect(),
        format: crate::bundle::index::FORMAT,
        images: Vec::new(),
        base: payload.base.clone(),
        install: lock.install.as_ref().map(index_install),
        kind: if payload.base.is_some() { Kind::Upgrade } else { Kind::Full },
        license: lock.license.as_ref().map(|license| IndexLicense {
            features: license.features.clone(),
            grace_days: license.grace_days,
            public_key: license.public_key.clone(),
            required: license.required,
            warn_days: license.warn_days,
        }),
        lock: lock_digest,
        models: Vec::new(),
        parity: None,
        payload: crate::bundle::index::Payload {
            bytes: payload.bytes,
            chunk_bytes: limits::CHUNK_BYTES,
            seal: lock.seal,
            volume_bytes,
        },
        reader: semver::Version::new(0, 1, 0),
        referrers: Vec::new(),
        release: Release {
            name: lock.name.clone(),
            vendor: lock.vendor.clone(),
            version: lock.version.clone(),
        },
        relied_on: payload.relied_on.clone(),
        sboms: Vec::new(),
        tools: lock.tools.iter().cloned().map(index_tool).collect(),
        upgrade: lock.upgrade.as_ref().map(|upgrade| IndexUpgrade {
            from: upgrade.from.clone(),
            migrate: upgrade.migrate.clone(),
            stops: upgrade.stops.clone(),
        }),
        volumes: Vec::new(),
    };
    for graph in lock.graphs() {
        if let Some(root) = graph.root() {
            list(&mut index, &graph.of, root.digest);
        }
    }
    index
}

fn index_install(install: &LockedInstall) -> IndexInstall {
    let LockedInstall { questions, values_template, backup, requires, health } = install.clone();
    IndexInstall {
        backup,
        health,
        questions,
        requires: requires.map(|requires| IndexRequires {
            cpu_per_node: requires.cpu_per_node,
            gpu: requires.gpu,
            ingress: requires.ingress,
            kubernetes: requires.kubernetes,
            memory_per_node: requires.memory_per_node.map(|size| size.0),
            postgres: requires.postgres,
            storage_class: requires.storage_class,
        }),
        values_template,
    }
}

/// A tool as the index lists it.
#[must_use]
pub fn index_tool(tool: LockedTool) -> IndexTool {
    let LockedTool { name, platform, path, size, sha256, .. } = tool;
    IndexTool { bytes: size, name, path, platform, sha256 }
}

fn list(index: &mut Index, of: &Of<'_>, digest: Digest) {
    if let Of::Image(image) | Of::Referrer(image, _) = of {
        let sboms = match of {
            Of::Referrer(_, referrer) => &referrer.sboms,
            _ => &image.sboms,
        };
        index.sboms.extend(sboms.iter().map(|sbom| IndexSbom {
            digest: sbom.digest,
            image: image.reference.clone(),
            kind: sbom.kind,
        }));
    }
    match of {
        Of::Image(image) => index.images.push(IndexImage {
            cosign_key: image.cosign_key.clone(),
            digest,
            original_digest: image.original,
            platforms: image.platforms.clone(),
            reference: image.reference.clone(),
        }),
        Of::Referrer(image, referrer) => index.referrers.push(IndexReferrer {
            artifact_type: referrer.artifact_type.clone(),
            digest,
            image: image.reference.clone(),
            subject: referrer.subject,
            tag: referrer.tag.clone(),
        }),
        Of::Chart(chart) => index.charts.push(IndexChart {
            digest,
            name: chart.name.clone(),
            namespace: chart.namespace.clone(),
            release: chart.release.clone(),
            version: chart.version.clone(),
        }),
        Of::Model(model) => index.models.push(IndexModel {
            digest,
            name: model.name.clone(),
            notice: model.notice.clone(),
            version: model.version.clone(),
        }),
    }
}

struct Cursor {
    at: u64,
}

impl Cursor {
    /// Passes over one entry of `size` bytes and gives the offset of its data.
    fn place(&mut self, size: u64) -> Result<u64, PayloadError> {
        let data = self.at.checked_add(tar::header_length(size)).ok_or(PayloadError::TooLarge)?;
        let end = data.checked_add(size).and_then(|end| end.checked_add(tar::padding(size)));
        self.at = end.filter(|end| *end <= limits::PAYLOAD_BYTES).ok_or(PayloadError::TooLarge)?;
        Ok(data)
    }
}

/// Every digest once: all manifests and configurations, then all layers.
fn gather(lock: &Lock) -> Vec<PlannedBlob> {
    let mut seen = HashSet::new();
    let mut types = HashSet::<Arc<str>>::new();
    let mut intern = |text: &str| match types.get(text) {
        Some(known) => Arc::clone(known),
        None => {
            let new: Arc<str> = text.into();
            types.insert(Arc::clone(&new));
            new
        }
    };
    let mut blobs = Vec::new();
    let mut add = |blob: Blob, media_type: &str, from: Origin, manifest: bool| {
        if seen.insert(blob.digest) {
            blobs.push(PlannedBlob { blob, media_type: intern(media_type), offset: 0, from, manifest });
        }
    };
    for (number, graph) in lock.graphs().enumerate() {
        for (position, manifest) in graph.manifests().iter().enumerate() {
            let from = match manifest.inline {
                Some(_) => Origin::Inline { graph: number, manifest: position },
                None => Origin::Source(number),
            };
            add(manifest.blob(), &manifest.media_type, from, true);
            if let Some(config) = &manifest.config {
                add(config.blob(), &config.media_type, Origin::Source(number), false);
            }
        }
    }
    for (number, graph) in lock.graphs().enumerate() {
        for layer in graph.manifests().iter().flat_map(|m| &m.layers) {
            add(layer.blob(), &layer.media_type, Origin::Source(number), false);
        }
    }
    blobs
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use crate::checked::ByteSize;
    use crate::oci::media;
    use crate::release::lock::{LockedBlob, LockedImage, LockedManifest, Seal};

    pub(crate) fn locked(bytes: &[u8], media_type: &str) -> LockedBlob {
        let mut hasher = crate::digest::Hasher::new();
        hasher.update(bytes);
        let blob = hasher.finish_blob();
        LockedBlob { digest: blob.digest, size: blob.size, media_type: media_type.to_owned() }
    }

    pub(crate) fn image(reference: &str, layers: &[&[u8]]) -> LockedImage {
        let config = locked(format!("config of {reference}").as_bytes(), media::OCI_CONFIG);
        let manifest = locked(format!("manifest of {reference}").as_bytes(), media::OCI_MANIFEST);
        LockedImage {
            reference: reference.parse().unwrap(),
            from: None,
            original: None,
            platforms: vec!["linux/amd64".parse().unwrap()],
            manifests: vec![LockedManifest {
                digest: manifest.digest,
                size: manifest.size,
                media_type: manifest.media_type,
                platform: Some("linux/amd64".parse().unwrap()),
                inline: None,
                config: Some(config),
                layers: layers.iter().map(|l| locked(l, media::OCI_LAYER)).collect(),
                children: vec![],
            }],
            referrers: vec![],
            left_behind: vec![],
            cosign_key: None,
            sboms: vec![],
        }
    }

    pub(crate) fn lock(images: Vec<LockedImage>) -> Lock {
        Lock {
            format: 1,
            release: Digest::of(b"release"),
            name: "demo".into(),
            version: semver::Version::new(1, 0, 0),
            vendor: "Demo".into(),
            seal: Seal::Age,
            volume_size: ByteSize(4 << 30),
            images,
            charts: vec![],
            models: vec![],
            files: vec![],
            tools: vec![],
            license: None,
            upgrade: None,
            install: None,
        }
    }

    #[test]
    fn each_blob_once_manifests_before_layers() {
        let plan = payload(
            &lock(vec![image("a/x:1", &[b"one", b"two", b"one"]), image("a/y:1", &[b"two", b"three"])]),
            None,
        )
        .unwrap();
        let manifests: Vec<bool> = plan.blobs.iter().map(|b| b.manifest).collect();
        assert_eq!(manifests, [true, false, true, false, false, false, false]);
        let layers: Vec<u64> = plan.blobs[4..].iter().map(|b| b.blob.size).collect();
        assert_eq!(layers, [3, 3, 5]);
        assert_eq!(plan.blobs[6].from, Origin::Source(1));
        assert!(plan.blobs.windows(2).all(|w| w[0].offset + w[0].blob.size <= w[1].offset - 512));
        assert_eq!(plan.bytes % 512, 0);
    }

    #[test]
    fn a_payload_past_the_limit_is_refused() {
        let mut huge = image("a/x:1", &[b"l"]);
        huge.manifests[0].layers[0].size = u64::MAX - 100;
        assert_eq!(payload(&lock(vec![huge]), None), Err(PayloadError::TooLarge));
    }

    #[test]
    fn the_index_it_makes_reads_back() {
        let lock = lock(vec![image("a/x:1", &[b"one"])]);
        let plan = payload(&lock, None).unwrap();
        let mut index = index(&lock, Digest::of(b""), &plan, 65536);
        let shape = index.geometry().unwrap();
        index.volumes = (0..shape.volumes())
            .map(|n| crate::bundle::index::Volume {
                bytes: shape.file_length(n),
                chunks: vec![Digest::of(b""); usize::try_from(shape.chunks(n)).unwrap()],
                name: crate::bundle::index::volume_name(&index.release, Seal::Age, n).parse().unwrap(),
                sha256: Digest::of(b""),
            })
            .collect();
        let text = index.to_text().unwrap();
        assert_eq!(Index::parse(&text).unwrap(), index);
        assert_sorted(&serde_json::from_slice(&text).unwrap(), &text);
    }

    /// Every object of the text has its keys in order: parsing sorts them, so re-encoding is the same text.
    fn assert_sorted(value: &serde_json::Value, text: &[u8]) {
        let sorted: std::collections::BTreeMap<String, serde_json::Value> =
            serde_json::from_value(value.clone()).unwrap();
        assert_eq!(crate::bundle::canonical::to_text(&sorted).unwrap(), text);
    }
}
