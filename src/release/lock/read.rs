//! A lock from its bytes: the format first, then the shape, then the graph.

use serde::Deserialize;

use super::{FORMAT, GraphFault, Lock};
use crate::digest::Digest;
use crate::release::yaml::{self, Hand};

/// Why bytes are not a lock this program can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not parse.
    #[error(transparent)]
    Yaml(#[from] yaml::Error),
    /// It is of a format made after this program.
    #[error("{file}: it is of lock format {format}; this program reads formats up to {FORMAT}")]
    Format {
        /// Name of the file.
        file: String,
        /// Its format.
        format: u32,
    },
    /// It parses, and is not whole.
    #[error("{file}: {fault}")]
    Graph {
        /// Name of the file.
        file: String,
        /// What is wrong.
        fault: Box<GraphFault>,
    },
}

/// Only the format, whatever else there is.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl Lock {
    /// Parses and proves `bytes`; `file` is the name faults are reported under.
    ///
    /// # Errors
    /// [`Error`]; a higher format is named before anything else is said about the content.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, Error> {
        let parsed: Result<Self, yaml::Error> = yaml::parse(bytes, file, Hand::Machine);
        let format = match &parsed {
            Ok(lock) => Some(lock.format),
            // A later format may have keys unknown here; that is not what is wrong with it.
            Err(_) => yaml::parse::<FormatOnly>(bytes, file, Hand::Machine).ok().map(|only| only.format),
        };
        if let Some(format) = format.filter(|format| !(1..=FORMAT).contains(format)) {
            return Err(Error::Format { file: file.to_owned(), format });
        }
        let lock = parsed?;
        lock.validate().map_err(|fault| Error::Graph { file: file.to_owned(), fault: Box::new(fault) })?;
        Ok(lock)
    }

    /// Whether the lock was made from exactly these bytes of `release.yaml`.
    #[must_use]
    pub fn belongs_to(&self, release: &[u8]) -> bool {
        self.release == Digest::of(release)
    }
}
