//! What an upgrade is built on: the index of an earlier bundle, or what a customer's request says is lacking.

use std::collections::HashSet;
use std::path::Path;

use super::{Against, Error};
use crate::bundle::index::Release;
use crate::bundle::request::BlobRequest;
use crate::digest::Digest;
use crate::limits;
use crate::ops::open;
use crate::plan::payload::{Base, Has};
use crate::release::lock::Lock;
use crate::sys::fs;

/// What there is to build on, and what the folder of the result is called by.
pub(super) struct Given {
    pub(super) base: Base,
    pub(super) suffix: String,
}

/// Reads what `against` names, for a release as `lock` says.
pub(super) fn read(against: Against<'_>, lock: &Lock) -> Result<Option<Given>, Error> {
    match against {
        Against::Nothing => Ok(None),
        Against::Base(path) => since(path, lock).map(Some),
        Against::Request(path) => supplement(path, lock).map(Some),
    }
}

fn since(path: &Path, lock: &Lock) -> Result<Given, Error> {
    let (digest, index) = open::index_at(path)?;
    let Release { name, version, .. } = &index.release;
    if *name != lock.name {
        return Err(Error::OtherRelease {
            path: path.to_owned(),
            name: name.clone(),
            wanted: lock.name.clone(),
        });
    }
    if *version >= lock.version {
        let (base, version) = (version.clone(), lock.version.clone());
        return Err(Error::NotOlder { path: path.to_owned(), base, version });
    }
    if let Some(upgrade) = lock.upgrade.as_ref().filter(|upgrade| !upgrade.from.matches(version)) {
        let (base, from) = (version.clone(), upgrade.from.clone());
        return Err(Error::OutOfRange { path: path.to_owned(), base, from });
    }
    let suffix = format!("-from-{version}");
    let has = index.all_blobs().map(|blob| blob.digest).collect();
    let images = index.images.into_iter().map(|image| image.reference).collect();
    let base = Base { index: digest, version: index.release.version, images, has: Has::These(has) };
    Ok(Given { base, suffix })
}

fn supplement(path: &Path, lock: &Lock) -> Result<Given, Error> {
    let bytes = fs::read_limited(path, limits::INDEX_BYTES)?;
    let fault = |why: String| Error::Asked { path: path.to_owned(), why };
    let request = BlobRequest::parse(&bytes).map_err(|error| fault(error.to_string()))?;
    let Release { name, version, .. } = &request.release;
    if (name, version) != (&lock.name, &lock.version) {
        return Err(fault(format!(
            "it is about {name} {version}; the lock is of {} {}",
            lock.name, lock.version
        )));
    }
    let blobs = lock.graphs().flat_map(|graph| graph.manifests()).flat_map(|manifest| {
        let below =
            manifest.config.iter().chain(&manifest.layers).map(crate::release::lock::LockedBlob::blob);
        std::iter::once(manifest.blob()).chain(below)
    });
    let there: HashSet<_> = blobs.map(|blob| (blob.digest, blob.size)).collect();
    if let Some(other) = request.blobs.iter().find(|blob| !there.contains(&(blob.digest, blob.size))) {
        return Err(fault(format!("{} of {} bytes is no blob of this lock", other.digest, other.size)));
    }
    let lacking = request.blobs.iter().map(|blob| blob.digest).collect();
    let suffix = format!("-supplement-{}", &Digest::of(&bytes).hex()[..8]);
    let (index, version) = (request.bundle, request.release.version);
    Ok(Given { base: Base { index, version, images: Vec::new(), has: Has::AllBut(lacking) }, suffix })
}
