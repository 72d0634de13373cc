//! Where the blobs of a load are read: the bundle itself, further bundles, and at last the registry, in another of its repositories.

use std::collections::HashMap;

use crate::digest::{Blob, Digest};
use crate::oci::Repository;
use crate::registry::Client;
use crate::store::volumes::Volumes;
use crate::store::{Error, Pieces, Source};

/// What a load reads from. Nothing of it is believed before it is hashed.
pub(super) struct Content<'a> {
    /// The bundle first; at least one.
    bundles: Vec<Volumes>,
    client: &'a Client,
    /// Repositories of the registry that hold a blob which others need.
    pub(super) elsewhere: HashMap<Digest, Vec<Repository>>,
}

impl<'a> Content<'a> {
    /// The bundle itself, first in `bundles`, and those that have what it lacks.
    pub(super) fn new(bundles: Vec<Volumes>, client: &'a Client) -> Self {
        Self { bundles, client, elsewhere: HashMap::new() }
    }

    /// The bundle itself.
    pub(super) fn own(&self) -> &Volumes {
        &self.bundles[0]
    }

    /// The registry.
    pub(super) fn client(&self) -> &'a Client {
        self.client
    }

    /// The bundle that has a blob.
    fn holder(&self, digest: &Digest) -> Option<&Volumes> {
        self.bundles.iter().find(|volumes| volumes.size(digest).is_some())
    }

    /// Whether one of the bundles has exactly this blob.
    pub(super) fn has(&self, blob: &Blob) -> bool {
        self.bundles.iter().any(|volumes| volumes.size(&blob.digest) == Some(blob.size))
    }

    /// The size of a blob that a bundle has.
    pub(super) fn size(&self, digest: &Digest) -> Option<u64> {
        self.holder(digest)?.size(digest)
    }

    /// Other repositories of the registry that hold a blob.
    pub(super) fn elsewhere(&self, digest: &Digest) -> &[Repository] {
        self.elsewhere.get(digest).map_or(&[], Vec::as_slice)
    }

    /// Where a blob is, for messages.
    pub(super) fn whereabouts(&self, digest: &Digest) -> String {
        match (self.holder(digest), self.elsewhere(digest).first()) {
            (Some(volumes), _) => volumes.whereabouts(digest),
            (None, Some(repository)) => repository.to_string(),
            (None, None) => "the bundle".to_owned(),
        }
    }
}

impl Source for Content<'_> {
    fn open<'b>(&'b self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'b>, Error> {
        match (self.holder(&blob.digest), self.elsewhere(&blob.digest).first()) {
            (Some(volumes), _) => volumes.open(blob, offset),
            (None, Some(repository)) => Ok(Box::new(self.client.open_blob(repository, blob, offset)?)),
            (None, None) => Err(Error::Missing { place: "the bundle".into(), digest: blob.digest }),
        }
    }
}
