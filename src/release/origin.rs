//! Where an image's bytes are read when not from the registry its reference names.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::oci::Reference;
use crate::oci::reference::ReferenceError;

/// A place images come from: `oci:PATH[:TAG]`, `docker-archive:PATH[:TAG]` or a reference.
///
/// As in skopeo, the path ends at the first `:`, so that a tag can be a full reference; a path with a colon in it cannot be named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A registry, under this name.
    Registry(Reference),
    /// An OCI image layout: a folder.
    Layout {
        /// The folder; relative ones are relative to `release.yaml`.
        path: PathBuf,
        /// Which of its images; absent when it has one, or one under the image's own reference.
        tag: Option<String>,
    },
    /// A tar as `docker save` and `skopeo copy … docker-archive:` write it.
    Archive {
        /// The file; relative ones are relative to `release.yaml`.
        path: PathBuf,
        /// Which of its images; absent when it has one, or one under the image's own reference.
        tag: Option<String>,
    },
}

/// Why a text is not an [`Origin`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// `oci:` or `docker-archive:` with nothing, an URL or a control character behind it.
    #[error("\"{0}\" names no path: expected oci:PATH[:TAG] or docker-archive:PATH[:TAG]")]
    Path(String),
    /// Another of the transports that copying tools know.
    #[error("images cannot be read from \"{0}:\"; oci:, docker-archive: and registry references can")]
    Transport(String),
    /// Not a reference either.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

/// Transports of containers/image that are not read here, so that they are not taken for repository names.
const OTHER_TRANSPORTS: [&str; 9] = [
    "oci-archive",
    "dir",
    "docker-daemon",
    "containers-storage",
    "ostree",
    "sif",
    "tarball",
    "docker",
    "atomic",
];

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let split = |rest: &str| {
            let (path, tag) = match rest.split_once(':') {
                Some((path, tag)) => (path, Some(tag)),
                None => (rest, None),
            };
            let empty_tag = tag.is_some_and(str::is_empty);
            let is_url = tag.is_none() && path.starts_with("//");
            if path.is_empty() || empty_tag || is_url || rest.chars().any(char::is_control) {
                return Err(OriginError::Path(printable(text)));
            }
            Ok((PathBuf::from(path), tag.map(str::to_owned)))
        };
        if let Some(rest) = text.strip_prefix("oci:") {
            let (path, tag) = split(rest)?;
            return Ok(Self::Layout { path, tag });
        }
        if let Some(rest) = text.strip_prefix("docker-archive:") {
            let (path, tag) = split(rest)?;
            return Ok(Self::Archive { path, tag });
        }
        if let Some((transport, rest)) = text.split_once(':')
            && OTHER_TRANSPORTS.contains(&transport)
            && rest.contains('/')
        {
            return Err(OriginError::Transport(transport.to_owned()));
        }
        Ok(Self::Registry(text.parse()?))
    }
}

fn printable(text: &str) -> String {
    crate::text::printable(text, 200)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, path, tag) = match self {
            Self::Registry(reference) => return reference.fmt(f),
            Self::Layout { path, tag } => ("oci", path, tag),
            Self::Archive { path, tag } => ("docker-archive", path, tag),
        };
        write!(f, "{scheme}:{}", path.display())?;
        tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_printed_again() {
        for text in [
            "oci:build/layout",
            "oci:build/layout:web-ui",
            "oci:/abs/layout:docker.io/incidentfox/agent:v1.2.0",
            "docker-archive:agent.tar",
            "docker-archive:agent.tar:docker.io/incidentfox/agent:v1",
            "registry.internal:5000/mirror/agent:v1",
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for bad in
            ["", "oci:", "oci::tag", "oci:p:", "oci://host/x", "docker-archive:", "dir:/x", "docker://a/b:1"]
        {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
