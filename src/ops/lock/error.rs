//! Why a release is not locked.

use std::path::PathBuf;

use serde::Serialize;

use crate::digest::Digest;
use crate::oci::Reference;
use crate::release::check;
use crate::release::lock::GraphFault;
use crate::release::sections::Model;
use crate::release::yaml::tree::TreeError;
use crate::release::yaml::{At, Place};
use crate::release::{questions, template};
use crate::relocate::Spot;
use crate::relocate::discover::Lack;
use crate::sources;
use crate::sys::fs;
use crate::tools::helm;

/// Why a release is not locked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// `release.yaml` is refused.
    #[error(transparent)]
    Release(#[from] check::Error),
    /// How it is installed or upgraded does not hold, all faults.
    #[error("{}", lines(.0))]
    Install(Vec<InstallFault>),
    /// It has the name that its lock would have.
    #[error("{path} ends in .lock, as the lock of a release does", path = path.display())]
    IsLock {
        /// The `release.yaml`.
        path: PathBuf,
    },
    /// It declares nothing to carry.
    #[error("{file}: it names no image, chart or model", file = file.display())]
    Nothing {
        /// The `release.yaml`.
        file: PathBuf,
    },
    /// The key that licences are checked with cannot be had.
    #[error("{file}:{place}: license.public-key: {source}")]
    License {
        /// The `release.yaml`.
        file: String,
        /// Where the key is named.
        place: Place,
        /// What is wrong with it.
        source: crate::ops::keys::Error,
    },
    /// The lock there is was made by a later version, which writing would undo.
    #[error(transparent)]
    Later(crate::release::lock::Error),
    /// Images, charts, files and tools that could not be resolved, all of them.
    #[error("{}", lines(.0))]
    Entries(Vec<EntryFault>),
    /// Models that could not be locked, all their faults.
    #[error("{}", lines(.0))]
    Models(Vec<ModelFault>),
    /// Files and tools that cannot lie in one folder.
    #[error("{file}: {source}")]
    Plain {
        /// The `release.yaml`.
        file: String,
        /// Why.
        source: crate::bundle::plain::PlainError,
    },
    /// There is no helm that can render the charts.
    #[error(transparent)]
    Helm(Box<helm::Error>),
    /// Charts that cannot be rendered, all of them.
    #[error("{}", lines(.0))]
    Charts(Vec<ChartFault>),
    /// Images that charts run and the release does not declare, all of them.
    #[error("{}", lines(.0))]
    Undeclared(Vec<Undeclared>),
    /// The images contradict each other.
    #[error(transparent)]
    Whole(Box<GraphFault>),
    /// The lock is not up to date.
    #[error("{lock} is stale: {}", reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "), lock = lock.display())]
    Stale {
        /// The lock.
        lock: PathBuf,
        /// Why.
        reasons: Vec<Stale>,
    },
}

pub(in crate::ops) fn lines(all: &[impl ToString]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// An image, chart, file or tool that could not be resolved.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{place}: {of}: {source}")]
pub struct EntryFault {
    /// The `release.yaml`.
    pub file: String,
    /// Where the entry stands in it.
    pub place: Place,
    /// What it is.
    pub of: String,
    /// Why.
    pub source: Box<sources::Error>,
}

impl EntryFault {
    pub(in crate::ops) fn new(place: Place, of: String, source: sources::Error) -> Self {
        Self { file: String::new(), place, of, source: Box::new(source) }
    }

    pub(in crate::ops) fn within(self, file: &str) -> Self {
        Self { file: file.to_owned(), ..self }
    }
}

/// What is wrong with `install:` or `upgrade:`, or a file of theirs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstallFault {
    /// A file that cannot be read or delivered.
    #[error("{file}:{place}: install.{key}: {why}")]
    File {
        /// The `release.yaml`.
        file: String,
        /// Where the file is named.
        place: Place,
        /// Under which key.
        key: &'static str,
        /// Why.
        why: String,
    },
    /// Questions that cannot be asked.
    #[error(transparent)]
    Questions(questions::Error),
    /// A template that cannot be rendered for every answer.
    #[error(transparent)]
    Template(template::Error),
    /// A rule for answers that leads nowhere.
    #[error("{file}:{place}: upgrade.migrate: {why}")]
    Rule {
        /// The `release.yaml`.
        file: String,
        /// Where the rule stands.
        place: Place,
        /// Why.
        why: String,
    },
}

/// A model that could not be locked.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{place}: model {name}: {source}")]
pub struct ModelFault {
    /// The `release.yaml`.
    pub file: String,
    /// Where the model stands in it.
    pub place: Place,
    /// Which model.
    pub name: String,
    /// Why.
    pub source: sources::ModelError,
}

impl ModelFault {
    pub(super) fn new(model: &At<Model>, source: sources::ModelError) -> Self {
        Self { file: String::new(), place: model.place, name: model.value.name.to_string(), source }
    }

    pub(super) fn within(self, file: &str) -> Self {
        Self { file: file.to_owned(), ..self }
    }
}

/// One way in which a lock is not up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Stale {
    /// There is none.
    #[error("there is no lock")]
    NoLock,
    /// It cannot be read.
    #[error("it cannot be read: {why}")]
    Unreadable {
        /// Why.
        why: String,
    },
    /// It belongs to another `release.yaml`.
    #[error("the release was changed after it was written")]
    Release,
    /// An image that it lacks.
    #[error("it lacks {reference}")]
    Missing {
        /// Which.
        reference: Reference,
    },
    /// An image that the release no longer names.
    #[error("it has {reference}, which the release does not name")]
    Extra {
        /// Which.
        reference: Reference,
    },
    /// A name that now stands for something else.
    #[error("{reference} is now {now}, was {was}")]
    Moved {
        /// Which.
        reference: Reference,
        /// The digest in the lock.
        was: Digest,
        /// The digest it has now.
        now: Digest,
    },
    /// A model that is new, or has other files.
    #[error("model {name} is not as it was locked")]
    Model {
        /// Which.
        name: String,
    },
    /// A chart that it lacks, or that is another now.
    #[error("chart {name} {version} is new or has changed")]
    Chart {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// A difference in anything else, as after an edit by hand.
    #[error("it is not what would be written now")]
    Content,
}

/// A chart that cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{place}: {why}")]
pub struct ChartFault {
    /// The `release.yaml`.
    pub file: String,
    /// Where the chart stands in it.
    pub place: Place,
    /// Which chart.
    pub chart: String,
    /// Why.
    pub why: ChartWhy,
}

/// Why a chart cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ChartWhy {
    /// Its archive cannot be read.
    #[error(transparent)]
    Source(Box<sources::Error>),
    /// A values file cannot be read.
    #[error("values: {0}")]
    Values(fs::Error),
    /// Helm does not render it.
    #[error(transparent)]
    Helm(Box<helm::Error>),
    /// What it renders is not YAML.
    #[error("what it renders is not YAML: {0}")]
    Yaml(TreeError),
}

/// An image that a chart runs and the release does not declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undeclared {
    /// The `release.yaml`.
    pub file: String,
    /// Which chart.
    pub chart: String,
    /// With which values files; none: the chart's own.
    pub values: Vec<String>,
    /// Where in what it renders.
    pub spot: Spot,
    /// The image.
    pub reference: Reference,
    /// Why what is declared does not do.
    pub why: Lack,
}

impl std::fmt::Display for Undeclared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, chart, values, spot, reference, why } = self;
        write!(f, "chart {chart}")?;
        if !values.is_empty() {
            write!(f, ", with {}", values.join(", "))?;
        }
        write!(f, ": {spot}: ")?;
        match why {
            Lack::NotDeclared => {
                write!(f, "it is not declared; the line to add to {file}, under images:\n  - {reference}")
            }
            Lack::OtherDigest => write!(
                f,
                "the name is declared, and stands for another digest now; the line to add to {file}, under images:\n  - {reference}"
            ),
            Lack::NoTag => write!(
                f,
                "something appends a tag to it; declare the image with the tag in {file}, under images:\n  - {}:TAG",
                reference.repository()
            ),
        }
    }
}
