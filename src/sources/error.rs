//! What can be wrong with a place images are read from.

use std::path::PathBuf;

use crate::digest::{Blob, Digest};
use crate::limits;
use crate::oci::config::ConfigError;
use crate::oci::manifest::ManifestError;
use crate::oci::narrow::NarrowError;
use crate::store;

/// A fault of a source of images, or of an image in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A blob or file could not be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// No image of that name, or none can be told from the others.
    #[error("{place} holds no image named {wanted}; it holds {}", names(.has))]
    NoImage {
        /// The layout or archive.
        place: String,
        /// The name looked for.
        wanted: String,
        /// The names there are.
        has: Vec<String>,
    },
    /// Two images of the same name.
    #[error("{place} holds several images named {wanted}")]
    Ambiguous {
        /// The layout or archive.
        place: String,
        /// The name.
        wanted: String,
    },
    /// A folder is not a layout, or a file not an archive.
    #[error("{path}: {why}", path = path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// An archive that cannot be read in place.
    #[error("{path}: it is compressed with {with}; images are read in place, from an uncompressed tar", path = path.display())]
    Compressed {
        /// Which file.
        path: PathBuf,
        /// How.
        with: &'static str,
    },
    /// A manifest that cannot be carried.
    #[error("manifest {digest}: {source}")]
    Manifest {
        /// Which.
        digest: Digest,
        /// Why.
        source: ManifestError,
    },
    /// A configuration that cannot be read.
    #[error("configuration {digest}: {source}")]
    Config {
        /// Which.
        digest: Digest,
        /// Why.
        source: ConfigError,
    },
    /// A configuration or manifest larger than is read into memory.
    #[error("{blob} is larger than the {limit} bytes that are read of its kind")]
    TooLarge {
        /// Which.
        blob: Blob,
        /// The limit.
        limit: u64,
    },
    /// Bytes that are not what points to them says.
    #[error("{wanted} was asked for, {got} came")]
    Wrong {
        /// What was asked for.
        wanted: Blob,
        /// What came.
        got: Blob,
    },
    /// The root is not the one that the reference pins.
    #[error("its digest is {got}, and its reference pins {pinned}")]
    Pinned {
        /// What the reference says.
        pinned: Digest,
        /// What there is.
        got: Digest,
    },
    /// The platforms are not what the release wants.
    #[error(transparent)]
    Platforms(#[from] NarrowError),
    /// Indexes of indexes, deeper than any real one.
    #[error("its indexes are nested more than {} deep", limits::GRAPH_DEPTH)]
    Depth,
    /// More manifests than any real image.
    #[error("it has more than {} manifests", limits::INDEX_ENTRIES)]
    TooMany,
    /// A place that this version cannot read from.
    #[error("this version of the program cannot read from {from}")]
    Place {
        /// As declared.
        from: String,
    },
    /// A model that cannot be carried.
    #[error(transparent)]
    Model(#[from] Box<super::ModelError>),
    /// A file or tool that cannot be carried.
    #[error(transparent)]
    Plain(#[from] super::PlainError),
    /// A chart that cannot be carried.
    #[error(transparent)]
    Chart(#[from] Box<super::ChartError>),
    /// Something that refers to an image and cannot be carried.
    #[error("{referrer}, which refers to {subject}: {why}")]
    Referrer {
        /// Its tag, else its digest.
        referrer: String,
        /// What it is about.
        subject: Digest,
        /// What is wrong with it.
        why: String,
    },
    /// An image without the signature that its release asks for.
    #[error("{subject} is not signed by key {key}: {why}")]
    Unsigned {
        /// The manifest that should be signed.
        subject: Digest,
        /// By which key.
        key: signing::KeyId,
        /// What there is instead.
        why: String,
    },
    /// A key that cannot be used.
    #[error("{path}: {why}", path = path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A manifest made here would not be text.
    #[error("manifest {0} is not UTF-8 text")]
    Text(Digest),
}

impl From<super::ModelError> for Error {
    fn from(error: super::ModelError) -> Self {
        Self::Model(Box::new(error))
    }
}

impl From<super::ChartError> for Error {
    fn from(error: super::ChartError) -> Self {
        Self::Chart(Box::new(error))
    }
}

impl Error {
    /// As a fault of a store called `place`, for those who only read blobs.
    #[must_use]
    pub fn into_store(self, place: &str) -> store::Error {
        match self {
            Self::Store(error) => error,
            other => store::Error::Malformed { path: place.into(), why: other.to_string() },
        }
    }
}

fn names(has: &[String]) -> String {
    match has {
        [] => "none with a name".to_owned(),
        some => some.iter().take(20).cloned().collect::<Vec<_>>().join(", "),
    }
}
