//! The manifests of a bundle, read, checked and parsed.

use std::collections::{HashMap, HashSet};

use crate::bundle::index::Index;
use crate::digest::Digest;
use crate::oci::{Manifest, media};
use crate::ops::transfer::{self, Checked};
use crate::plan::load::Known;
use crate::progress::Silent;
use crate::store;
use crate::store::volumes::Volumes;

/// Why they cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One could not be read from the bundle.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// One is none.
    #[error("manifest {digest}: {why}")]
    Manifest {
        /// Which.
        digest: Digest,
        /// What is wrong with it.
        why: String,
    },
}

/// Every manifest of the bundle.
pub(crate) fn read(index: &Index, volumes: &Volumes) -> Result<HashMap<Digest, Known>, Error> {
    let mut manifests = HashMap::new();
    let roots: HashSet<Digest> = index.roots().map(|root| root.digest).collect();
    for blob in &index.blobs {
        let media_type = &blob.media_type;
        if !media::is_manifest(media_type) && !media::is_index(media_type) && !roots.contains(&blob.digest) {
            continue;
        }
        let fault = |why: String| Error::Manifest { digest: blob.digest, why };
        if blob.size > crate::limits::MANIFEST_BYTES {
            return Err(fault(format!("{} bytes are more than a manifest has", blob.size)));
        }
        let place = volumes.whereabouts(&blob.digest);
        let bytes = transfer::read_whole(&Checked::new(volumes, &place, &Silent), &blob.blob())?;
        let (manifest, media_type) =
            Manifest::parse(&bytes, Some(media_type)).map_err(|e| fault(e.to_string()))?;
        manifests.insert(blob.digest, Known::new(media_type, manifest));
    }
    Ok(manifests)
}
