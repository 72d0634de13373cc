//! What lies in the payload before its blobs, for tools that know layouts and not us: `oci-layout`, `index.json`, `manifest.json`.
//!
//! OCI image-spec 1.1 "Image Layout"; Docker image specification 1.2 "Combined Image JSON + Filesystem Changeset Format". It is made from
//! the lock when a bundle is built, and compared with the signed index when one is checked: who unpacks it with `tar` and copies
//! with `skopeo` gets what the index says.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::json;

use crate::bundle::index::{Index, IndexReferrer};
use crate::bundle::tar;
use crate::digest::Digest;
use crate::oci::{LocalName, Reference, media};
use crate::plan::load::Known;
use crate::plan::payload::{PayloadError, blob_name};
use crate::release::lock::{Graph, Lock, LockedImage, LockedManifest, Of};

/// The file that makes a folder a layout, and its bytes.
pub const LAYOUT: (&str, &[u8]) = ("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}");
/// The file that names every root.
pub const INDEX: &str = "index.json";
/// The file that `docker load` reads.
pub const DOCKER: &str = "manifest.json";

/// One root as `index.json` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    media_type: &'a str,
    digest: Digest,
    size: u64,
    name: Option<String>,
    /// Whether it can run as an image: only that is given the name by which containerd imports it.
    runs: bool,
    artifact_type: Option<&'a str>,
}

/// The roots of a lock, in payload order.
pub fn of_lock(lock: &Lock) -> Result<Vec<Entry<'_>>, PayloadError> {
    lock.graphs().map(|graph| of_graph(&graph)).collect()
}

fn of_graph<'a>(graph: &Graph<'a>) -> Result<Entry<'a>, PayloadError> {
    let root = graph.root().ok_or_else(|| PayloadError::Empty(graph.of.to_string()))?;
    let mut entry = Entry {
        media_type: &root.media_type,
        digest: root.digest,
        size: root.size,
        name: None,
        runs: matches!(graph.of, Of::Image(_) | Of::Model(_)),
        artifact_type: None,
    };
    entry.name = match graph.of {
        Of::Image(image) => Some(image.reference.to_string()),
        Of::Referrer(image, referrer) => {
            entry.artifact_type = referrer.artifact_type.as_deref();
            tagged(&image.reference, referrer.tag.as_deref())
        }
        Of::Chart(chart) => Some(LocalName::chart(&chart.name, &chart.version)?.to_string()),
        Of::Model(model) => Some(LocalName::model(&model.name, &model.version.to_string())?.to_string()),
    };
    Ok(entry)
}

/// The roots of a signed index, in payload order.
pub fn of_index(index: &Index) -> Result<Vec<Entry<'_>>, PayloadError> {
    let blobs: HashMap<Digest, (&str, u64)> =
        index.blobs.iter().map(|b| (b.digest, (b.media_type.as_str(), b.size))).collect();
    let mut about = HashMap::<&Reference, Vec<&IndexReferrer>>::new();
    for referrer in &index.referrers {
        about.entry(&referrer.image).or_default().push(referrer);
    }
    let entry = |digest: Digest, name: Option<String>, runs: bool| {
        let (media_type, size) = blobs.get(&digest).copied().unwrap_or_default();
        Entry { media_type, digest, size, name, runs, artifact_type: None }
    };
    let mut entries = Vec::new();
    for image in &index.images {
        entries.push(entry(image.digest, Some(image.reference.to_string()), true));
        for one in about.get(&image.reference).into_iter().flatten() {
            let entry = entry(one.digest, tagged(&image.reference, one.tag.as_deref()), false);
            entries.push(Entry { artifact_type: one.artifact_type.as_deref(), ..entry });
        }
    }
    for chart in &index.charts {
        entries.push(entry(chart.digest, Some(chart.local_name()?.to_string()), false));
    }
    for model in &index.models {
        entries.push(entry(model.digest, Some(model.local_name()?.to_string()), true));
    }
    Ok(entries)
}

fn tagged(image: &Reference, tag: Option<&str>) -> Option<String> {
    tag.map(|tag| format!("{}:{tag}", image.repository()))
}

/// `index.json`: one entry for each root, under the name that `skopeo` and `ctr` find it by.
#[must_use]
pub fn layout_index(entries: &[Entry<'_>]) -> Vec<u8> {
    let manifests: Vec<_> = entries.iter().map(layout_entry).collect();
    json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests})
        .to_string()
        .into_bytes()
}

fn layout_entry(entry: &Entry<'_>) -> serde_json::Value {
    let mut value = json!({"mediaType": entry.media_type, "digest": entry.digest, "size": entry.size});
    if let Some(kind) = entry.artifact_type {
        value["artifactType"] = json!(kind);
    }
    if let Some(name) = &entry.name {
        value["annotations"]["org.opencontainers.image.ref.name"] = json!(name);
        if entry.runs {
            value["annotations"]["io.containerd.image.name"] = json!(name);
        }
    }
    value
}

/// `manifest.json`: what `docker load` reads. It knows one platform for each name, so the first of each image is named.
#[must_use]
pub fn docker_manifest(lock: &Lock) -> Vec<u8> {
    let entries: Vec<_> = lock
        .images
        .iter()
        .filter_map(|image| {
            let manifest = docker_loadable(image)?;
            Some(json!({
                "Config": blob_name(&manifest.config.as_ref()?.digest),
                "RepoTags": repo_tags(&image.reference),
                "Layers": manifest.layers.iter().map(|l| blob_name(&l.digest)).collect::<Vec<_>>(),
            }))
        })
        .collect();
    serde_json::Value::Array(entries).to_string().into_bytes()
}

fn repo_tags(reference: &Reference) -> Vec<String> {
    tagged(reference, reference.tag()).into_iter().collect()
}

/// The first platform's manifest whose layers are all file system layers.
fn docker_loadable(image: &LockedImage) -> Option<&LockedManifest> {
    let wanted = image.platforms.first()?;
    image.manifests.iter().find(|manifest| {
        manifest.platform.as_ref().is_some_and(|p| p.satisfies(wanted))
            && manifest.config.is_some()
            && manifest.layers.iter().all(|l| l.media_type.contains("tar"))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// Whether `bytes`, which lie before the header of the first blob, are what `index` and the `manifests` read from the payload imply: to the
/// byte, but that `manifest.json` may name any platform of an image. Tells the file that says something else.
pub fn check(bytes: &[u8], index: &Index, manifests: &HashMap<Digest, Known>) -> Result<(), &'static str> {
    let rest = literal(bytes, LAYOUT.0, LAYOUT.1).ok_or(LAYOUT.0)?;
    let listing = of_index(index).map_err(|_| INDEX)?;
    let rest = literal(rest, INDEX, &layout_index(&listing)).ok_or(INDEX)?;
    // The one text that the index does not imply whole: as long as its header says, and nothing after it but padding.
    let said = rest.get(124..135).and_then(|octal| std::str::from_utf8(octal).ok());
    let length = said.and_then(|octal| usize::from_str_radix(octal, 8).ok()).ok_or(DOCKER)?;
    let data = usize::try_from(tar::BLOCK).ok().and_then(|block| rest.get(block..)).ok_or(DOCKER)?;
    let text = data.get(..length).ok_or(DOCKER)?;
    if literal(rest, DOCKER, text) != Some(&[]) {
        return Err(DOCKER);
    }
    let entries: Vec<DockerEntry> = serde_json::from_slice(text).map_err(|_| DOCKER)?;
    let mut images = index.images.iter();
    let in_order = entries.iter().all(|entry| {
        images.any(|image| {
            entry.repo_tags == repo_tags(&image.reference) && names_one_of(entry, image.digest, manifests)
        })
    });
    in_order.then_some(()).ok_or(DOCKER)
}

/// Passes over the entry of a file with these very bytes; `None` when something else lies there.
fn literal<'a>(bytes: &'a [u8], name: &str, data: &[u8]) -> Option<&'a [u8]> {
    let size = data.len() as u64;
    let rest = bytes.strip_prefix(tar::header(name, size).as_slice())?.strip_prefix(data)?;
    let (padding, rest) = rest.split_at_checked(usize::try_from(tar::padding(size)).ok()?)?;
    padding.iter().all(|byte| *byte == 0).then_some(rest)
}

/// Whether an entry has the configuration and layers of `root` or of a manifest below it.
fn names_one_of(entry: &DockerEntry, root: Digest, manifests: &HashMap<Digest, Known>) -> bool {
    let (mut open, mut seen) = (vec![root], HashSet::new());
    while let Some(digest) = open.pop() {
        let Some(known) = manifests.get(&digest).filter(|_| seen.insert(digest)) else { continue };
        if known.index {
            open.extend(known.pointers.iter().map(|child| child.digest));
        } else if let [config, layers @ ..] = &*known.pointers
            && entry.config == blob_name(&config.digest)
            && entry.layers.len() == layers.len()
            && entry.layers.iter().zip(layers).all(|(name, layer)| *name == blob_name(&layer.digest))
        {
            return true;
        }
    }
    false
}
