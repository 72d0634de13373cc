//! Names of things in registries, as `docker` and `kubectl` read them.
//!
//! Grammar: `github.com/distribution/reference`, reference.go, with its normalisation: no registry means `docker.io`, and
//! there a single name means `library/<name>`. Printed in full, always.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::digest::{Digest, DigestError};

/// A repository in a registry: `docker.io/incidentfox/agent`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: String,
    path: String,
}

/// Which manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pointer {
    /// By a name that can move.
    Tag(String),
    /// By content.
    Digest(Digest),
}

/// A repository with a tag, a digest, or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The part before the first `/` is not a host.
    #[error("\"{0}\" has no valid registry host")]
    Host(String),
    /// A path component breaks the grammar.
    #[error("\"{0}\" is not a valid repository: lower-case letters, digits and single . _ - between them")]
    Path(String),
    /// The tag breaks the grammar.
    #[error("\"{0}\" has an invalid tag: at most 128 letters, digits, . _ -")]
    Tag(String),
    /// The digest is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

fn valid_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let port_holds =
        port.is_none_or(|p| !p.is_empty() && p.len() <= 5 && p.bytes().all(|b| b.is_ascii_digit()));
    let name_holds = match name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name.len() <= 253
                && name.split('.').all(|label| {
                    !label.is_empty()
                        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                })
        }
    };
    port_holds && name_holds
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn valid_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    if !bytes.first().is_some_and(|b| alphanumeric(*b)) || !bytes.last().is_some_and(|b| alphanumeric(*b)) {
        return false;
    }
    component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

fn valid_path(path: &str) -> bool {
    path.len() <= 255 && path.split('/').all(valid_component)
}

/// Whether `tag` can be one: at most 128 letters, digits, `.`, `_`, `-`.
#[must_use]
pub fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn printable(text: &str) -> String {
    crate::text::printable(text, 200)
}

impl Repository {
    /// A repository at `registry` (host, perhaps with a port) under `path`.
    pub fn new(registry: &str, path: &str) -> Result<Self, ReferenceError> {
        if !valid_host(registry) {
            return Err(ReferenceError::Host(printable(registry)));
        }
        if !valid_path(path) {
            return Err(ReferenceError::Path(printable(path)));
        }
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        Ok(Self { registry: registry.to_owned(), path: path.to_owned() })
    }

    /// Host and port: `docker.io`, `harbor.acme.internal:8443`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path below the registry: `incidentfox/agent`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Reference {
    /// A reference from its parts; without tag and digest it means `latest`.
    pub fn new(
        repository: Repository,
        tag: Option<&str>,
        digest: Option<Digest>,
    ) -> Result<Self, ReferenceError> {
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag(printable(tag)));
        }
        let tag = match (tag, digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { repository, tag, digest })
    }

    /// The repository.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag, if one is named.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is named.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What to ask a registry for: the digest where there is one, else the tag.
    #[must_use]
    pub fn pointer(&self) -> Pointer {
        match (self.digest, &self.tag) {
            (Some(digest), _) => Pointer::Digest(digest),
            (None, Some(tag)) => Pointer::Tag(tag.clone()),
            (None, None) => Pointer::Tag("latest".to_owned()),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, path.to_owned())
            }
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        let path = match registry {
            "docker.io" | "index.docker.io" if !path.contains('/') => format!("library/{path}"),
            _ => path,
        };
        Self::new(Repository::new(registry, &path)?, tag, digest)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => fmt::Display::fmt(digest, f),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_printed_in_full() {
        let hex = "a".repeat(64);
        for (text, full) in [
            ("alpine", "docker.io/library/alpine:latest".to_owned()),
            ("alpine:3.20", "docker.io/library/alpine:3.20".to_owned()),
            ("incidentfox/agent:v1", "docker.io/incidentfox/agent:v1".to_owned()),
            ("docker.io/alpine:1", "docker.io/library/alpine:1".to_owned()),
            ("index.docker.io/a/b:1", "docker.io/a/b:1".to_owned()),
            ("localhost/x:1", "localhost/x:1".to_owned()),
            ("localhost:5000/x", "localhost:5000/x:latest".to_owned()),
            ("127.0.0.1:5000/a/b/c:v1", "127.0.0.1:5000/a/b/c:v1".to_owned()),
            ("[::1]:5000/a:v1", "[::1]:5000/a:v1".to_owned()),
            (&format!("a/b@sha256:{hex}"), format!("docker.io/a/b@sha256:{hex}")),
            (&format!("h.io/b:t@sha256:{hex}"), format!("h.io/b:t@sha256:{hex}")),
            ("h.io/a__b/c--d/e.f", "h.io/a__b/c--d/e.f:latest".to_owned()),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(full.parse::<Reference>().unwrap(), reference);
        }
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        for bad in [
            "",
            ":tag",
            "/a",
            "a/",
            "A/b",
            "h.io/UPPER",
            "h.io/a..b",
            "h.io/-a",
            "h.io/a-",
            "a b",
            "a:b:c",
            "h.io:port/a",
            "h.io/a:",
            "h.io/a:-x",
            "h.io/a@sha256:12",
            "h.io/../etc",
            "http://h.io/a",
            "h_.io/a",
            "h.io/a___b",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
