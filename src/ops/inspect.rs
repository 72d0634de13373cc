//! `bundle inspect`: what is inside, without any key.
//!
//! Tells what the bundle says of itself. Without a policy nobody has vouched for that, and the report says so.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use signing::{KeyId, Policy};

use crate::bundle::index::{
    Index, IndexChart, IndexFile, IndexImage, IndexInstall, IndexLicense, IndexModel, IndexReferrer,
    IndexSbom, IndexTool, IndexUpgrade, Payload, Release,
};
use crate::digest::Digest;
use crate::oci::{Reference, Sbom};
use crate::ops::finding::Finding;
use crate::ops::open::{self, Error};
use crate::ops::verify::ReliedOn;
use crate::text::printable;

/// What is inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether a policy was given and its signatures hold. While false, everything here is only claimed.
    pub authenticated: bool,
    /// What was seen when a policy was given.
    pub findings: Vec<Finding>,
    /// The release.
    pub release: Release,
    /// The format.
    pub format: u64,
    /// The payload.
    pub payload: Payload,
    /// Bytes of all volumes.
    pub volume_bytes: u64,
    /// Volume files.
    pub volumes: usize,
    /// Blobs, each counted once.
    pub blobs: usize,
    /// What it stands on, where it is an upgrade.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relied_on: Option<ReliedOn>,
    /// The images.
    pub images: Vec<IndexImage>,
    /// What refers to them: signatures, SBOMs.
    pub referrers: Vec<IndexReferrer>,
    /// SBOMs of the images.
    pub sboms: Vec<SbomReport>,
    /// The charts.
    pub charts: Vec<IndexChart>,
    /// The models.
    pub models: Vec<IndexModel>,
    /// Plain files.
    pub files: Vec<IndexFile>,
    /// Programs for the operator's machine.
    pub tools: Vec<IndexTool>,
    /// What licence an installation needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<IndexLicense>,
    /// How it is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install: Option<IndexInstall>,
    /// Which installed versions it can replace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<IndexUpgrade>,
    /// Whose signatures are there; whether they hold is another matter.
    pub signatures: Vec<KeyId>,
    /// The grants that are there.
    pub grants: Vec<String>,
    /// The licences that are there.
    pub licenses: Vec<String>,
}

/// One SBOM that is carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SbomReport {
    /// The image it is about.
    pub image: Reference,
    /// What it is written in.
    pub kind: Sbom,
    /// Digest of the blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Tells what is in the bundle in `folders`; with `policy`, whether that is vouched for (`now` as in `verify`).
pub fn inspect(folders: &[PathBuf], policy: Option<(&Policy, Option<i64>)>) -> Result<Report, Error> {
    let opened = open::open(folders)?;
    let home = opened.home().to_owned();
    let signatures = opened.signature_keys();
    let (_, index) = opened.unverified_index()?;
    let (findings, authenticated) = match policy {
        None => (vec![], false),
        Some((policy, now)) => {
            let (findings, authenticated) = opened.authenticate(policy, now)?;
            (findings, authenticated.is_some())
        }
    };
    let relied_on = ReliedOn::of(&index);
    let sizes = index.sizes();
    let Index { images, referrers, sboms, charts, models, files, tools, .. } = index;
    let Index { release, payload, volumes, blobs, format, license, install, upgrade, .. } = index;
    Ok(Report {
        authenticated,
        findings,
        release,
        format,
        payload,
        volume_bytes: volumes.iter().map(|volume| volume.bytes).sum(),
        volumes: volumes.len(),
        blobs: blobs.len(),
        relied_on,
        images,
        referrers,
        sboms: sboms.into_iter().map(|sbom| sized(sbom, &sizes)).collect(),
        charts,
        models,
        files,
        tools,
        license,
        install,
        upgrade,
        signatures,
        grants: names(&home.join(crate::bundle::names::GRANTS), "age"),
        licenses: names(&home.join(crate::bundle::names::LICENSES), "lic"),
    })
}

fn sized(IndexSbom { digest, image, kind }: IndexSbom, sizes: &HashMap<Digest, u64>) -> SbomReport {
    SbomReport { image, kind, digest, size: sizes.get(&digest).copied().unwrap_or(0) }
}

/// The stems of the files in `folder` with `extension`, sorted; none when there is no such folder.
pub(crate) fn names(folder: &Path, extension: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let mut names: Vec<String> = entries
        .take(crate::limits::GRANTS)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .filter_map(|path| Some(printable(&path.file_stem()?.to_string_lossy(), crate::limits::NAME_BYTES)))
        .collect();
    names.sort();
    names
}
