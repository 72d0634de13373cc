//! A repository of a registry as a source of images.

use std::sync::Arc;

use super::{Error, Images, Named, RawManifest};
use crate::digest::Blob;
use crate::oci::{Pointer, Reference, Repository};
use crate::registry::Client;
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
}
