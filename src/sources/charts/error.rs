//! What can be wrong with a chart, or with the place it is read from.

use std::path::PathBuf;

use crate::chart::ignore::RuleError;
use crate::chart::oci::NotAChart;
use crate::chart::repository::IndexError;
use crate::chart::{ArchiveError, DependencyFault, MetadataError};
use crate::digest::Digest;
use crate::oci::reference::ReferenceError;
use crate::path::PathError;

/// A fault of a chart.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// A chart repository, and nothing that could ask it.
    #[error("{0} is a chart repository, and there is no client to ask it")]
    NoClient(String),
    /// A `ref:` that names no repository of a registry.
    #[error("\"{reference}\" is not oci://HOST/PATH: {source}")]
    Reference {
        /// As declared.
        reference: String,
        /// What is wrong with it.
        source: ReferenceError,
    },
    /// A `ref:` with something that the version says.
    #[error("\"{0}\" names a tag or digest; the version says which chart it is")]
    Tagged(String),
    /// A `ref:` or `repo:` that is no address.
    #[error("\"{address}\": {why}")]
    Address {
        /// As declared.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A version that cannot be a tag.
    #[error("the version \"{0}\" cannot be a tag in a registry")]
    Version(String),
    /// The archive is refused.
    #[error("{place}: {source}")]
    Archive {
        /// Which.
        place: String,
        /// Why.
        source: ArchiveError,
    },
    /// The folder's `Chart.yaml` is refused.
    #[error("{folder}: {source}", folder = folder.display())]
    Metadata {
        /// Which folder.
        folder: PathBuf,
        /// Why.
        source: MetadataError,
    },
    /// The charts it needs are not the ones it holds.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Dependencies(Vec<DependencyFault>),
    /// A rule of `.helmignore` is refused.
    #[error("{folder}/{source}", folder = folder.display())]
    Ignore {
        /// Which folder.
        folder: PathBuf,
        /// Why.
        source: RuleError,
    },
    /// A file of the folder cannot be in a chart.
    #[error("{path}: {why}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A name of the folder cannot be in a chart.
    #[error("{folder}: {source}", folder = folder.display())]
    Name {
        /// Which folder.
        folder: PathBuf,
        /// Why.
        source: PathError,
    },
    /// What lies in the registry is no chart.
    #[error("{reference}: {source}")]
    NotAChart {
        /// Where.
        reference: String,
        /// Why.
        source: NotAChart,
    },
    /// What is declared and what is there differ.
    #[error("{place} is {name} {version}; declared is {declared}")]
    Disagrees {
        /// Where.
        place: String,
        /// The name in its `Chart.yaml`.
        name: String,
        /// The version there.
        version: String,
        /// Name and version that the release, or what points there, states.
        declared: String,
    },
    /// The configuration in the registry cannot be read.
    #[error("{place}: its configuration cannot be read: {why}")]
    Config {
        /// Where.
        place: String,
        /// Why.
        why: String,
    },
    /// The repository's index does not lead to the chart.
    #[error("{repository}: {source}")]
    Index {
        /// Which repository.
        repository: String,
        /// Why.
        source: IndexError,
    },
    /// The archive is not the one the index lists, or the lock pins.
    #[error("{place}: its digest is {got}, and {stated} is {by}")]
    Digest {
        /// Which archive.
        place: String,
        /// The digest that was expected.
        stated: Digest,
        /// By whom: "listed in the index", "pinned in the lock".
        by: &'static str,
        /// What came.
        got: Digest,
    },
    /// A provenance file that is not of this archive.
    #[error("{place}: {why}")]
    Provenance {
        /// Which.
        place: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The chart was changed after it was locked.
    #[error("{from} was changed after it was locked: its manifest was {locked}, and is {now}")]
    Changed {
        /// As declared.
        from: String,
        /// The digest in the lock.
        locked: Digest,
        /// The digest it has now.
        now: Digest,
    },
}
