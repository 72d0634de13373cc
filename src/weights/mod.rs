//! Model weights: what is checked of their files, and the OCI image they become.
//!
//! Layer 1: bytes and names in, verdicts and layouts out. A model is a set of [`File`]s; each becomes one uncompressed layer
//! ([`layer`]), all together an image that containerd can mount as a volume ([`image`]). `safetensors` headers are checked while a file
//! passes ([`safetensors`]), shards against their list ([`shards`]).

pub mod image;
pub mod include;
pub mod layer;
pub mod names;
pub mod origin;
pub mod safetensors;
pub mod shards;

pub use image::ModelImage;
pub use include::Include;
pub use layer::Layer;
pub use origin::{Commit, ModelOrigin, Repo};

use crate::digest::Digest;
use crate::path::EntryPath;

/// One file of a model, as it was locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it lies in the model.
    pub path: EntryPath,
    /// How many bytes it has.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// SHA-256 of the layer it becomes.
    pub layer: Digest,
}
