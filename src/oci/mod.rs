//! The OCI image domain as values: references, platforms, descriptors, manifests.
//!
//! Codecs over bytes; knows no network and no path. Manifests are kept as the bytes received, and parsed only to
//! walk them (image-spec manifest.md, image-index.md; Docker image manifest v2 schema 2).

pub mod config;
pub mod cosign;
mod local;
pub mod manifest;
pub mod media;
pub mod narrow;
pub mod platform;
pub mod reference;
pub mod referrer;
mod sbom;

pub use config::Config;
pub use local::LocalName;
pub use manifest::{Descriptor, Manifest};
pub use platform::Platform;
pub use reference::{Pointer, Reference, Repository};
pub use sbom::Sbom;
