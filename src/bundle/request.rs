//! What a customer lacks of an upgrade: names of blobs, for the vendor to cut a supplement from.
//!
//! JSON in the form of the index. It is not signed and holds no secret; the vendor's build takes it as a list of digests, each of which
//! the release must have.

use serde::{Deserialize, Serialize};

use crate::bundle::canonical;
use crate::bundle::index::Release;
use crate::digest::{Blob, Digest};
use crate::limits;
use crate::text::printable;

/// The form this program writes and reads.
pub const FORMAT: u64 = 1;

/// A request. Field order is the sorted order of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobRequest {
    /// What is lacking, in the order of the upgrade.
    pub blobs: Vec<Wanted>,
    /// SHA-256 of the upgrade's `bundle.json`.
    pub bundle: Digest,
    /// [`FORMAT`].
    pub format: u64,
    /// The release that cannot be loaded.
    pub release: Release,
}

/// One blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
}

/// Why bytes are no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not JSON, or not of the shape.
    #[error("it is no request: {0}")]
    Json(String),
    /// Of a later form.
    #[error("it is of form {0}; this program reads form {FORMAT}")]
    Newer(u64),
    /// More than a release has, or nothing.
    #[error("it asks for {0} blobs; it can ask for 1 to {max}", max = limits::INDEX_BLOBS)]
    Count(usize),
}

impl BlobRequest {
    /// The canonical text.
    ///
    /// # Errors
    /// That it cannot be written, which does not happen.
    pub fn to_text(&self) -> Result<Vec<u8>, RequestError> {
        canonical::to_text(self).map_err(|e| RequestError::Json(e.to_string()))
    }

    /// Reads a request of at most [`limits::INDEX_BYTES`].
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        let request: Self =
            serde_json::from_slice(bytes).map_err(|e| RequestError::Json(printable(&e.to_string(), 300)))?;
        if request.format != FORMAT {
            return Err(RequestError::Newer(request.format));
        }
        match request.blobs.len() {
            1..=limits::INDEX_BLOBS => Ok(request),
            count => Err(RequestError::Count(count)),
        }
    }
}

impl From<Blob> for Wanted {
    fn from(Blob { digest, size }: Blob) -> Self {
        Self { digest, size }
    }
}
