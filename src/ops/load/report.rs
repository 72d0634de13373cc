//! What a load did, or would do, as plain data.

use std::collections::HashMap;

use serde::Serialize;
use signing::KeyId;

use super::put::{Fault, Outcomes};
use crate::bundle::index::{IndexImage, Release};
use crate::bundle::request::{self, BlobRequest, Wanted};
use crate::digest::Digest;
use crate::oci::Reference;
use crate::ops::finding::Finding;
use crate::plan::placing::{Kind, Placed};
use crate::registry;

/// What was loaded, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether everything is in the registry, byte for byte.
    pub ok: bool,
    /// Whether only planned.
    pub dry_run: bool,
    /// What was loaded; `None` when the signatures do not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Whose signatures hold.
    pub signers: Vec<KeyId>,
    /// Everything seen before the load; when one of them refuses, nothing was sent.
    pub findings: Vec<Finding>,
    /// What became of each image.
    pub images: Vec<Delivery>,
    /// What became of each signature, SBOM and the like: the same as of its image.
    pub referrers: Vec<Delivery>,
    /// What became of each chart.
    pub charts: Vec<Delivery>,
    /// What became of each model.
    pub models: Vec<Delivery>,
    /// What became of the blobs.
    pub blobs: Counts,
    /// SHA-256 of its `bundle.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Digest>,
    /// Of an upgrade: what was found of the blobs it relies on.
    #[serde(skip_serializing_if = "Relied::is_none")]
    pub relied_on: Relied,
    /// Those that are neither in the registry nor in a base bundle; nothing is sent while there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<Lacking>,
}

/// What was found of the blobs that an upgrade relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Relied {
    /// How many there are.
    pub blobs: u64,
    /// In every repository that needs them.
    pub there: u64,
    /// In another repository of the registry.
    pub elsewhere: u64,
    /// In a base bundle, and not in the registry.
    pub in_base: u64,
}

impl Relied {
    fn is_none(&self) -> bool {
        self.blobs == 0
    }
}

/// A blob that an upgrade relies on and that is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lacking {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The first image, chart or model that needs it, as the vendor names it.
    pub of: String,
}

/// What became of the blobs. One that is needed in several repositories is counted in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// To be sent; in a plan only.
    pub planned: u64,
    /// Sent.
    pub sent: u64,
    /// Taken over from another repository of the registry.
    pub mounted: u64,
    /// There before.
    pub present: u64,
    /// Bytes to be sent at most; in a plan only.
    pub planned_bytes: u64,
    /// Bytes of blobs put on the wire, repetitions included.
    pub sent_bytes: u64,
}

/// What became of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// As the vendor names it.
    pub from: String,
    /// As it is named in the registry.
    pub to: Reference,
    /// Its digest, there and here.
    pub digest: Digest,
    /// For an image: the digest its source had, when it was narrowed to fewer platforms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_digest: Option<Digest>,
    /// What became of it.
    pub state: State,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether it failed because the bundle is damaged, not the registry.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// Whether it failed because the medium was taken away.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// The registry's fault, where it is one.
    #[serde(skip)]
    pub cause: Option<registry::Error>,
}

/// What became of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is to be loaded; in a plan only.
    Planned,
    /// It was there, unchanged.
    Present,
    /// It was loaded.
    Loaded,
    /// It was not.
    Failed,
}

impl Report {
    /// Images, charts and models; what refers to an image fails with it.
    pub fn items(&self) -> impl Iterator<Item = &Delivery> + Clone {
        self.images.iter().chain(&self.charts).chain(&self.models)
    }

    /// Says of each image that was narrowed which digest it had before: others may know it by that.
    pub(super) fn remember_originals(&mut self, images: &[IndexImage]) {
        let originals: HashMap<String, Digest> =
            images.iter().filter_map(|i| Some((i.reference.to_string(), i.original_digest?))).collect();
        for image in &mut self.images {
            image.original_digest = originals.get(&image.from).copied();
        }
    }

    /// Takes in what became of `placed`, of which the registry had everything that `there` says.
    pub(super) fn settle(&mut self, placed: Vec<Placed>, there: &[bool], mut outcomes: Outcomes) {
        for (placed, there) in placed.into_iter().zip(there) {
            let (state, why, damaged, gone, cause) = match outcomes.remove(&placed.to) {
                _ if *there => (State::Present, None, false, false, None),
                None if self.dry_run => (State::Planned, None, false, false, None),
                None => (State::Failed, Some("it was not tried".to_owned()), false, false, None),
                Some(Ok(())) => (State::Loaded, None, false, false, None),
                Some(Err(Fault { why, damaged, gone, cause })) => {
                    (State::Failed, Some(why), damaged, gone, cause.map(|cause| *cause))
                }
            };
            self.referrers.extend(placed.referrers.into_iter().map(|referrer| Delivery {
                from: referrer.listed.to_string(),
                to: referrer.to,
                digest: referrer.listed.digest,
                original_digest: None,
                state,
                why: None,
                damaged: false,
                gone: false,
                cause: None,
            }));
            let Placed { kind, from, to, root: digest, .. } = placed;
            let list = match kind {
                Kind::Image => &mut self.images,
                Kind::Chart => &mut self.charts,
                Kind::Model => &mut self.models,
            };
            list.push(Delivery { from, to, digest, original_digest: None, state, why, damaged, gone, cause });
        }
        let failed = self.items().any(|item| item.state == State::Failed);
        self.ok = !failed;
    }
}

impl Report {
    /// What a vendor needs to know to send what is lacking; `None` when nothing is.
    #[must_use]
    pub fn request(&self) -> Option<BlobRequest> {
        let blobs: Vec<Wanted> =
            self.lacking.iter().map(|one| Wanted { digest: one.digest, size: one.size }).collect();
        let (bundle, release) = (self.bundle?, self.release.clone()?);
        (!blobs.is_empty()).then_some(BlobRequest { blobs, bundle, format: request::FORMAT, release })
    }
}
