//! What changed between two bundles, and what an upgrade from one to the other would weigh: from their indexes alone.

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde::Serialize;

use crate::bundle::index::{Index, Release};
use crate::bundle::tar;
use crate::digest::{Blob, Digest};
use crate::oci::{cosign, media};

/// What changed. Lists are in the order of the new bundle, what is gone after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The old release.
    pub old: Release,
    /// The new one.
    pub new: Release,
    /// Images.
    pub images: Vec<Item>,
    /// Charts.
    pub charts: Vec<Item>,
    /// Models.
    pub models: Vec<Item>,
    /// Plain files.
    pub files: Vec<Item>,
    /// Programs for the operator's machine.
    pub tools: Vec<Item>,
    /// The blobs of both.
    pub blobs: Blobs,
    /// What an upgrade would weigh.
    pub upgrade: Weight,
}

/// One thing in one or both bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it is called in both: a repository, a chart's or model's name, a path.
    pub name: String,
    /// What became of it.
    pub change: Change,
    /// How it was called and what it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Version>,
    /// How it is called and what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Version>,
}

/// A thing in one bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// A tag or version; absent for files, and for images by digest alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Digest of its root manifest, or of a file.
    pub digest: Digest,
}

/// What became of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It has another content.
    Changed,
    /// It is called otherwise, and the same.
    Renamed,
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Nothing.
    Same,
}

/// The blobs of two bundles, each counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Blobs {
    /// In both.
    pub shared: Weight,
    /// In the new one alone.
    pub new: Weight,
    /// In the old one alone.
    pub gone: Weight,
}

/// Blobs and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Weight {
    /// How many.
    pub blobs: u64,
    /// Their bytes; of an upgrade, those of its payload.
    pub bytes: u64,
}

impl Weight {
    fn add(&mut self, size: u64) {
        self.blobs += 1;
        self.bytes = self.bytes.saturating_add(size);
    }
}

/// Compares two bundles. Each may be an upgrade itself: what it relies on counts as its own.
#[must_use]
pub fn diff(old: &Index, new: &Index) -> Diff {
    let had: HashSet<Digest> = old.all_blobs().map(|blob| blob.digest).collect();
    let has: HashSet<Digest> = new.all_blobs().map(|blob| blob.digest).collect();
    let mut blobs = Blobs::default();
    for Blob { digest, size } in new.all_blobs() {
        if had.contains(&digest) { &mut blobs.shared } else { &mut blobs.new }.add(size);
    }
    for blob in old.all_blobs().filter(|blob| !has.contains(&blob.digest)) {
        blobs.gone.add(blob.size);
    }
    let files = |index: &Index| -> Vec<(String, Version)> {
        let file = |path: String, digest| (path, Version { version: None, digest });
        index.files.iter().map(|one| file(one.path.to_string(), one.sha256)).collect()
    };
    let tools = |index: &Index| -> Vec<(String, Version)> {
        let tool = |path: String, digest| (path, Version { version: None, digest });
        index.tools.iter().map(|one| tool(one.path.to_string(), one.sha256)).collect()
    };
    Diff {
        old: old.release.clone(),
        new: new.release.clone(),
        images: items(images(old), images(new)),
        charts: items(charts(old), charts(new)),
        models: items(models(old), models(new)),
        files: items(files(old), files(new)),
        tools: items(tools(old), tools(new)),
        blobs,
        upgrade: weight(new, &had),
    }
}

fn images(index: &Index) -> Vec<(String, Version)> {
    let image = |image: &crate::bundle::index::IndexImage| {
        let version = image.reference.tag().map(ToOwned::to_owned);
        (image.reference.repository().to_string(), Version { version, digest: image.digest })
    };
    index.images.iter().map(image).collect()
}

fn charts(index: &Index) -> Vec<(String, Version)> {
    let chart = |chart: &crate::bundle::index::IndexChart| {
        (chart.name.clone(), Version { version: Some(chart.version.clone()), digest: chart.digest })
    };
    index.charts.iter().map(chart).collect()
}

fn models(index: &Index) -> Vec<(String, Version)> {
    let model = |model: &crate::bundle::index::IndexModel| {
        (model.name.clone(), Version { version: Some(model.version.to_string()), digest: model.digest })
    };
    index.models.iter().map(model).collect()
}

/// Pairs things of one name: those of the same version with each other, the others in order.
fn items(old: Vec<(String, Version)>, new: Vec<(String, Version)>) -> Vec<Item> {
    let mut left = BTreeMap::<String, VecDeque<Version>>::new();
    let mut order = Vec::new();
    for (name, version) in old {
        order.push(name.clone());
        left.entry(name).or_default().push_back(version);
    }
    let mut paired = Vec::new();
    for (name, version) in new {
        let same = left.get_mut(&name).and_then(|left| {
            let at = left.iter().position(|old| old.version == version.version)?;
            left.remove(at)
        });
        paired.push((name, same, version));
    }
    let mut all: Vec<Item> = paired
        .into_iter()
        .map(|(name, same, new)| {
            let old = same.or_else(|| left.get_mut(&name).and_then(VecDeque::pop_front));
            let change = match &old {
                None => Change::Added,
                Some(old) if *old == new => Change::Same,
                Some(old) if old.digest == new.digest => Change::Renamed,
                Some(_) => Change::Changed,
            };
            Item { name, change, old, new: Some(new) }
        })
        .collect();
    for name in order {
        if let Some(old) = left.get_mut(&name).and_then(VecDeque::pop_front) {
            all.push(Item { name, change: Change::Removed, old: Some(old), new: None });
        }
    }
    all
}

/// The payload of an upgrade: what the old bundle has not, and what is carried always. Laid out like any payload, so its length follows.
fn weight(new: &Index, had: &HashSet<Digest>) -> Weight {
    let roots: HashSet<Digest> = new.roots().map(|root| root.digest).collect();
    let carried = new.blobs.iter().map(|blob| (blob.blob(), blob.media_type.as_str()));
    let relied = new.relied_on.iter().map(|blob| (blob.blob(), blob.media_type.as_str()));
    let always = |blob: &Blob, kind: &str| {
        media::is_manifest(kind)
            || media::is_index(kind)
            || roots.contains(&blob.digest)
            || cosign::is_signed_text(kind, blob.size)
    };
    // What lies before the first blob names everything, whatever is carried.
    let before = new.blobs.first().map_or(0, |first| first.offset - tar::header_length(first.size));
    let mut weight = Weight { blobs: 0, bytes: before + tar::END };
    for (blob, kind) in carried.chain(relied) {
        if always(&blob, kind) || !had.contains(&blob.digest) {
            weight.add(tar::header_length(blob.size) + blob.size + tar::padding(blob.size));
        }
    }
    weight
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn version(version: &str, content: &str) -> Version {
        Version { version: Some(version.to_owned()), digest: Digest::of(content.as_bytes()) }
    }

    #[test]
    fn things_are_paired_by_name_and_then_by_version() {
        let one = |name: &str, v: &str, content: &str| (name.to_owned(), version(v, content));
        let old = vec![
            one("same", "1", "a"),
            one("changed", "1", "b"),
            one("renamed", "1", "c"),
            one("two", "1", "d"),
            one("two", "2", "e"),
            one("gone", "1", "f"),
        ];
        let new = vec![
            one("two", "3", "g"),
            one("two", "1", "d"),
            one("same", "1", "a"),
            one("changed", "2", "h"),
            one("renamed", "2", "c"),
            one("added", "1", "i"),
        ];
        let got: Vec<(String, Change, String)> = items(old, new)
            .into_iter()
            .map(|item| {
                let text = |v: Option<Version>| v.and_then(|v| v.version).unwrap_or_default();
                (item.name, item.change, format!("{}>{}", text(item.old), text(item.new)))
            })
            .collect();
        let wanted = [
            ("two", Change::Changed, "2>3"),
            ("two", Change::Same, "1>1"),
            ("same", Change::Same, "1>1"),
            ("changed", Change::Changed, "1>2"),
            ("renamed", Change::Renamed, "1>2"),
            ("added", Change::Added, ">1"),
            ("gone", Change::Removed, "1>"),
        ];
        assert_eq!(got, wanted.map(|(name, change, text)| (name.to_owned(), change, text.to_owned())));
    }
}
