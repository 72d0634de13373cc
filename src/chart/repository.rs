//! A chart repository's `index.yaml`: which archive is a chart's version.

use std::collections::BTreeMap;

use serde::Deserialize;
use url::Url;

use super::metadata::{Text, or_default, without_mark};
use crate::digest::Digest;
use crate::release::yaml::{self, Hand};
use crate::text;

/// An `index.yaml`, as much of it as is looked at.
#[derive(Debug, Clone, Deserialize)]
pub struct Index {
    #[serde(default, deserialize_with = "or_default")]
    entries: BTreeMap<String, Option<Vec<Option<Entry>>>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Entry {
    #[serde(default)]
    version: Text,
    #[serde(default, deserialize_with = "or_default")]
    urls: Vec<Text>,
    #[serde(default)]
    digest: Text,
}

/// Where an archive is, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its address.
    pub url: Url,
    /// Its SHA-256, where the index states it.
    pub digest: Option<Digest>,
}

/// Why an index does not lead to an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// It does not parse.
    #[error(transparent)]
    Yaml(#[from] yaml::Error),
    /// No chart of that name.
    #[error("the repository has no chart {name}{}", list(.near))]
    NoName {
        /// The name.
        name: String,
        /// Names that contain it.
        near: Vec<String>,
    },
    /// Not in that version.
    #[error("the repository has no {name} {version}{}", list(.has))]
    NoVersion {
        /// The chart.
        name: String,
        /// The version.
        version: String,
        /// Some that it has.
        has: Vec<String>,
    },
    /// The version has no address, or one that cannot be called.
    #[error("the repository has {name} {version} at \"{url}\": {why}")]
    Address {
        /// The chart.
        name: String,
        /// The version.
        version: String,
        /// The address as it stands there.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The version stands there twice.
    #[error("the repository has {name} {version} twice, with different digests")]
    Twice {
        /// The chart.
        name: String,
        /// The version.
        version: String,
    },
    /// The digest is none.
    #[error("the repository states a digest of {name} {version} that is none: \"{digest}\"")]
    Digest {
        /// The chart.
        name: String,
        /// The version.
        version: String,
        /// What it states.
        digest: String,
    },
}

/// How many names or versions a message lists.
const LISTED: usize = 10;

fn list(some: &[String]) -> String {
    match some {
        [] => String::new(),
        some => format!("; it has {}", some.join(", ")),
    }
}

impl Index {
    /// Parses an `index.yaml`; `file` is the name faults are reported under.
    ///
    /// # Errors
    /// [`IndexError::Yaml`].
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, IndexError> {
        Ok(yaml::parse(without_mark(bytes), file, Hand::Repository)?)
    }

    /// The archive of the chart `name` in exactly `version`, in the repository at `base`.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn find(&self, base: &Url, name: &str, version: &str) -> Result<Found, IndexError> {
        let shown = |text: &str| text::printable(text, 200);
        let (own_name, own_version) = (|| shown(name), || shown(version));
        let Some(Some(entries)) = self.entries.get(name) else {
            let near =
                self.entries.keys().filter(|other| other.contains(name) || name.contains(other.as_str()));
            let near = near.take(LISTED).map(|name| shown(name)).collect();
            return Err(IndexError::NoName { name: own_name(), near });
        };
        let entries: Vec<&Entry> = entries.iter().flatten().collect();
        let same: Vec<&&Entry> = entries.iter().filter(|entry| entry.version.as_str() == version).collect();
        let Some(entry) = same.first() else {
            let has = entries.iter().take(LISTED).map(|entry| shown(&entry.version)).collect();
            return Err(IndexError::NoVersion { name: own_name(), version: own_version(), has });
        };
        if same.iter().any(|other| other.digest != entry.digest) {
            return Err(IndexError::Twice { name: own_name(), version: own_version() });
        }
        let address = entry.urls.first().map(Text::as_str).unwrap_or_default();
        let refused = |why| IndexError::Address {
            name: own_name(),
            version: own_version(),
            url: shown(address.split('?').next().unwrap_or_default()),
            why,
        };
        if address.is_empty() {
            return Err(refused("it names no address"));
        }
        let url = folder(base).join(address).map_err(|_| refused("it is no address"))?;
        match url.scheme() {
            "http" | "https" => {}
            "oci" => return Err(refused("it is in a registry; declare it by ref: instead of repo:")),
            _ => return Err(refused("it is neither http nor https")),
        }
        let digest = match entry.digest.strip_prefix("sha256:").unwrap_or(&entry.digest) {
            "" => None,
            hex => Some(Digest::from_hex(hex).map_err(|_| IndexError::Digest {
                name: own_name(),
                version: own_version(),
                digest: shown(hex),
            })?),
        };
        Ok(Found { url, digest })
    }
}

/// The address of a repository's `index.yaml`.
#[must_use]
pub fn index_url(base: &Url) -> Url {
    let mut url = folder(base);
    url.set_path(&format!("{}index.yaml", url.path()));
    url
}

/// `base` as a folder, so that relative addresses are below it.
fn folder(base: &Url) -> Url {
    let mut url = base.clone();
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", base.path()));
    }
    url
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const INDEX: &str = r#"
apiVersion: v1
generated: "2026-01-01T00:00:00Z"
entries:
  shop:
  - {name: shop, version: 1.1.0, appVersion: 1.10, urls: [shop-1.1.0.tgz], digest: 4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce, created: 2026-01-01T00:00:00Z}
  - {name: shop, version: 1.0.0, urls: ["https://cdn.example/x/shop-1.0.0.tgz?sig=1"]}
  - null
  bad:
  - {version: 1.0.0, urls: ["oci://r.example/bad"]}
  - {version: 2.0.0, urls: []}
  - {version: 3.0.0, urls: ["file:///etc/passwd"]}
  - {version: 4.0.0, urls: [a.tgz], digest: zz}
  - {version: 5.0.0, urls: [a.tgz], digest: 4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce}
  - {version: 5.0.0, urls: [a.tgz]}
  none: null
"#;

    fn find(base: &str, name: &str, version: &str) -> Result<Found, IndexError> {
        Index::parse(INDEX.as_bytes(), "index.yaml").unwrap().find(&base.parse().unwrap(), name, version)
    }

    #[test]
    fn an_exact_version_is_found_at_its_address() {
        let found = find("https://charts.example/stable", "shop", "1.1.0").unwrap();
        assert_eq!(found.url.as_str(), "https://charts.example/stable/shop-1.1.0.tgz");
        assert!(found.digest.is_some());
        let found = find("https://charts.example/stable/", "shop", "1.0.0").unwrap();
        assert_eq!((found.url.host_str(), found.digest), (Some("cdn.example"), None));
        let url = index_url(&"https://charts.example/stable?token=x".parse().unwrap());
        assert_eq!(url.as_str(), "https://charts.example/stable/index.yaml?token=x");
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        for (name, version, said) in [
            ("shop", "1.2.0", "the repository has no shop 1.2.0; it has 1.1.0, 1.0.0"),
            ("shop", ">=1.0.0", "no shop >=1.0.0"),
            ("sho", "1.0.0", "the repository has no chart sho; it has shop"),
            ("none", "1.0.0", "no chart none"),
            ("bad", "1.0.0", "declare it by ref:"),
            ("bad", "2.0.0", "it names no address"),
            ("bad", "3.0.0", "neither http nor https"),
            ("bad", "4.0.0", "a digest of bad 4.0.0 that is none"),
            ("bad", "5.0.0", "bad 5.0.0 twice"),
        ] {
            let error = find("https://charts.example", name, version).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
