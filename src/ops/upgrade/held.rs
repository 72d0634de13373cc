//! Whether the registry holds every blob of a release: a name it answers to may have lost what is below it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use crate::digest::{Blob, Digest};
use crate::limits;
use crate::oci::{Manifest, Pointer, Repository};
use crate::ops::transfer;
use crate::plan::placing::Placed;
use crate::registry::{Client, Error};

/// A blob that the registry should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The image, chart or model that needs it, as the vendor names it.
    pub of: String,
    /// The repository that should have it.
    pub repository: String,
    /// Which.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Asks after every blob of everything that is placed.
///
/// # Errors
/// When the registry cannot be asked, which is not the same as lacking it.
pub fn lost(placed: &[Placed], parallel: usize, client: &Client) -> Result<Vec<Lost>, Error> {
    let mut needed = Vec::<(&Placed, Blob)>::new();
    let mut lost = Vec::new();
    for one in placed {
        let repository = one.to.repository();
        let mut pending = vec![(one.root, 0usize)];
        while let Some((digest, depth)) = pending.pop() {
            let raw = match client.manifest(repository, &Pointer::Digest(digest)) {
                Ok(raw) => raw,
                Err(Error::NotFound { .. }) => {
                    lost.push(of(one, Blob { digest, size: 0 }));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let kind = Some(raw.media_type.as_str()).filter(|kind| !kind.is_empty());
            // What is no manifest holds nothing; that it is none was told when it was loaded.
            let Ok((manifest, _)) = Manifest::parse(&raw.bytes, kind) else { continue };
            let index = matches!(manifest, Manifest::Index { .. });
            for pointer in manifest.pointers() {
                match index {
                    true if depth < limits::GRAPH_DEPTH => pending.push((pointer.digest, depth + 1)),
                    true => {}
                    false => needed.push((one, pointer.blob())),
                }
            }
        }
    }
    let mut seen = BTreeMap::<(Repository, Digest), ()>::new();
    needed.retain(|(one, blob)| seen.insert((one.to.repository().clone(), blob.digest), ()).is_none());
    let answers: Mutex<Vec<(usize, Result<bool, Error>)>> = Mutex::default();
    transfer::in_parallel(needed.len(), parallel, &AtomicBool::new(false), &|item| {
        let (one, blob) = &needed[item];
        let there = client.head_blob(one.to.repository(), &blob.digest).map(|size| size == Some(blob.size));
        if let Ok(mut answers) = answers.lock() {
            answers.push((item, there));
        }
    });
    let mut answers = answers.into_inner().unwrap_or_default();
    answers.sort_by_key(|(item, _)| *item);
    for (item, there) in answers {
        if !there? {
            let (one, blob) = needed[item];
            lost.push(of(one, blob));
        }
    }
    Ok(lost)
}

fn of(placed: &Placed, blob: Blob) -> Lost {
    let (of, repository) = (placed.from.clone(), placed.to.repository().to_string());
    Lost { of, repository, digest: blob.digest, size: blob.size }
}

/// Blobs that are named one by one.
const NAMED: usize = 20;

/// In words, a line for each.
#[must_use]
pub fn told(lost: &[Lost]) -> String {
    let line = |one: &Lost| format!("{} lacks {}, of {}", one.repository, one.digest, one.of);
    let mut lines: Vec<String> = lost.iter().take(NAMED).map(line).collect();
    if lost.len() > NAMED {
        lines.push(format!("and {} more", lost.len() - NAMED));
    }
    lines.join("\n")
}
