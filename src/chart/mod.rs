//! Helm charts: what an archive holds, how a folder becomes one, and the form charts have in a registry.
//!
//! Codecs over bytes: nothing here opens a file or asks a repository. An archive is hostile until it has been read: what it unpacks to is
//! bounded by [`limits`](crate::limits), and it is held to names that every filesystem can store. Rendering is Helm's business, not ours.

pub mod archive;
mod dependencies;
mod gojson;
pub mod ignore;
mod metadata;
pub mod oci;
pub mod pack;
pub mod rendered;
pub mod repository;

pub use archive::{ArchiveError, Chart, Subchart};
pub use dependencies::{DependencyFault, DependencyLock};
pub use metadata::{Dependency, Kind, Metadata, MetadataError, Text, tag};
