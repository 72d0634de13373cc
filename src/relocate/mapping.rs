//! Where each image of a bundle went, as `bundle load --mapping` writes it: JSON, an object whose `images` are a list. What else is in
//! it (charts, models) is not for manifests.

use serde::{Deserialize, Serialize};

use super::known::{Entry, Known};
use crate::digest::Digest;
use crate::limits;
use crate::oci::Reference;

/// Where one thing went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Went {
    /// As the vendor names it.
    pub from: Reference,
    /// As it is named in the customer's registry.
    pub to: Reference,
    /// Its digest, there and here.
    pub digest: Digest,
    /// The digest its source had, when it was narrowed to fewer platforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_digest: Option<Digest>,
}

/// Why bytes are not a mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// Larger than that of the largest release.
    #[error("it has {0} bytes; at most {max} are read", max = limits::MAPPING_BYTES)]
    TooLarge(u64),
    /// Not JSON, or not of the shape.
    #[error("it is not a mapping that bundle load wrote: {0}")]
    Json(String),
}

/// Reads a mapping.
///
/// # Errors
/// [`MappingError`].
pub fn parse(bytes: &[u8]) -> Result<Vec<Went>, MappingError> {
    let size = bytes.len() as u64;
    if size > limits::MAPPING_BYTES {
        return Err(MappingError::TooLarge(size));
    }
    #[derive(Deserialize)]
    struct Whole {
        images: Vec<Went>,
    }
    serde_json::from_slice::<Whole>(bytes)
        .map(|whole| whole.images)
        .map_err(|error| MappingError::Json(crate::text::printable(&error.to_string(), 200)))
}

/// What a mapping knows; `ignored` are references that may stay as they are.
#[must_use]
pub fn known(all: Vec<Went>, ignored: Vec<Reference>) -> Known {
    let entries = all.into_iter().map(|went| Entry {
        from: went.from,
        digest: Some(went.digest),
        original: went.original_digest,
        to: Some(went.to),
    });
    Known::new(entries.collect(), ignored)
}
