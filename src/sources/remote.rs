//! A repository of a registry as a source of images.

use std::sync::Arc;

use super::{Error, Images, Named, RawManifest, Refers};
use crate::digest::{Blob, Digest};
use crate::oci::{Pointer, Reference, Repository, cosign, referrer};
use crate::registry::{self, Client};
use crate::store::{self, Pieces, Source};

/// One repository, read through a client that others use too.
#[derive(Debug)]
pub struct Remote {
    client: Arc<Client>,
    repository: Repository,
}

impl Remote {
    /// The repository of `reference`.
    #[must_use]
    pub fn new(client: Arc<Client>, reference: &Reference) -> Self {
        Self { client, repository: reference.repository().clone() }
    }

    fn get(&self, pointer: &Pointer) -> Result<RawManifest, Error> {
        let raw = self.client.manifest(&self.repository, pointer).map_err(store::Error::from)?;
        let media_type = Some(raw.media_type).filter(|stated| !stated.is_empty());
        Ok(RawManifest { bytes: raw.bytes.to_vec(), media_type, digest: raw.digest, made: false })
    }
}

impl Source for Remote {
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        Ok(Box::new(self.client.open_blob(&self.repository, blob, offset)?))
    }
}

impl Images for Remote {
    fn root(&self, named: &Named<'_>) -> Result<RawManifest, Error> {
        self.get(&named.reference.pointer())
    }

    fn manifest(&self, blob: &Blob) -> Result<RawManifest, Error> {
        self.get(&Pointer::Digest(blob.digest))
    }

    /// Two questions where the registry answers both: its tags that are made of the digest, and what it lists about it.
    fn referrers(&self, subject: &Digest) -> Result<Vec<Refers>, Error> {
        let mut found = Vec::new();
        let prefix = referrer::fallback_tag(subject);
        let known = self.client.tags_beginning(&self.repository, &prefix).map_err(store::Error::from)?;
        for ending in cosign::ENDINGS {
            let tag = cosign::tag(subject, ending);
            if known.as_ref().is_some_and(|known| !known.contains(&tag)) {
                continue;
            }
            match self.get(&Pointer::Tag(tag.clone())) {
                Ok(raw) => found.push(Refers::Tagged { tag, raw }),
                Err(Error::Store(store::Error::Registry(registry::Error::NotFound { .. })))
                    if known.is_none() => {}
                Err(error) => return Err(error),
            }
        }
        let fallback = known.is_none_or(|known| known.contains(&prefix));
        let listed =
            self.client.referrers_of(&self.repository, subject, fallback).map_err(store::Error::from)?;
        found.extend(listed.into_iter().map(Refers::Listed));
        Ok(found)
    }
}
