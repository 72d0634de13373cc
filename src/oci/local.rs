//! Names of what has no registry of its own: charts and models, which go below whatever registry and prefix a customer has.

use std::fmt;

use super::reference::ReferenceError;
use super::{Reference, Repository};

/// A repository path and a tag: `charts/redis:1.2.0`, `models/llama:1.0.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalName {
    path: String,
    tag: String,
}

impl LocalName {
    /// The name of a chart. Tags hold no `+`, so a version's becomes `_`, as Helm does it.
    pub fn chart(name: &str, version: &str) -> Result<Self, ReferenceError> {
        Self::new("charts", name, version)
    }

    /// The name of a model, with `+` as for charts.
    pub fn model(name: &str, version: &str) -> Result<Self, ReferenceError> {
        Self::new("models", name, version)
    }

    fn new(folder: &str, name: &str, version: &str) -> Result<Self, ReferenceError> {
        let local = Self { path: format!("{folder}/{name}"), tag: version.replace('+', "_") };
        // One rule for names and tags: what cannot be a reference anywhere is none here. A name has no folders.
        if name.contains('/') {
            return Err(ReferenceError::Path(crate::text::printable(name, 200)));
        }
        local.within(Repository::new("localhost", &local.path)?)?;
        Ok(local)
    }

    /// The path below a registry.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// As a reference, in `repository`.
    pub fn within(&self, repository: Repository) -> Result<Reference, ReferenceError> {
        Reference::new(repository, Some(&self.tag), None)
    }
}

impl fmt::Display for LocalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.tag)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_helm_gives() {
        assert_eq!(
            LocalName::chart("redis", "1.2.0-rc.1+build.5").unwrap().to_string(),
            "charts/redis:1.2.0-rc.1_build.5"
        );
        assert_eq!(LocalName::model("llama", "1.0.0").unwrap().to_string(), "models/llama:1.0.0");
        for (name, version) in
            [("a/b", "1"), ("A", "1"), ("..", "1"), ("a", ""), ("a", "1 0"), ("a", "-1"), ("", "1")]
        {
            assert!(LocalName::chart(name, version).is_err(), "{name} {version}");
        }
    }
}
