//! `Chart.yaml`: what a chart says of itself.
//!
//! Unknown keys are ignored and numbers are taken for text, as Helm does. What Helm refuses is refused, and names and versions that
//! no registry could store: a chart is delivered as an OCI artifact.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::{Deserialize, Deserializer, de};

use super::gojson::{self, Object};
use crate::oci::{Reference, Repository};
use crate::release::yaml::{self, Hand};
use crate::text;

/// A `Chart.yaml`. Texts are as Helm keeps them: without characters that are not shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Its name.
    #[serde(default)]
    pub name: Text,
    #[serde(default)]
    home: Text,
    #[serde(default, deserialize_with = "or_default")]
    sources: Vec<Text>,
    /// Its version, as it is written.
    #[serde(default)]
    pub version: Text,
    /// One sentence.
    #[serde(default)]
    pub description: Text,
    #[serde(default, deserialize_with = "or_default")]
    keywords: Vec<Text>,
    #[serde(default, deserialize_with = "or_default")]
    maintainers: Vec<Maintainer>,
    #[serde(default)]
    icon: Text,
    #[serde(default)]
    api_version: Text,
    #[serde(default)]
    condition: Text,
    #[serde(default)]
    tags: Text,
    /// The version of what the chart installs.
    #[serde(default)]
    pub app_version: Text,
    #[serde(default, deserialize_with = "or_default")]
    deprecated: bool,
    /// Free text by key; `artifacthub.io/images` lists images.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, Text>,
    /// Which versions of Kubernetes it is for.
    #[serde(default)]
    pub kube_version: Text,
    /// The charts it needs; for `apiVersion: v1` those of `requirements.yaml`.
    #[serde(default, deserialize_with = "or_default")]
    pub dependencies: Vec<Dependency>,
    #[serde(default, rename = "type")]
    kind: Text,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
struct Maintainer {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    email: Text,
    #[serde(default)]
    url: Text,
}

/// A chart that another needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Dependency {
    /// Its name.
    #[serde(default)]
    pub name: Text,
    /// Its version: a range in `Chart.yaml`, one version in a lock.
    #[serde(default)]
    pub version: Text,
    /// Where it comes from; empty when it only lies in `charts/`.
    #[serde(default)]
    pub repository: Text,
    #[serde(default)]
    condition: Text,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<Text>,
    #[serde(default, deserialize_with = "or_default")]
    enabled: bool,
    #[serde(default, deserialize_with = "or_default")]
    import_values: Vec<serde_json::Value>,
    /// The name it is used by, when not its own.
    #[serde(default)]
    pub alias: Text,
}

/// What a chart is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It can be installed.
    Application,
    /// It only helps other charts, and cannot be rendered.
    Library,
}

/// Why a `Chart.yaml` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// It does not parse.
    #[error(transparent)]
    Yaml(#[from] yaml::Error),
    /// A key that must be there is not.
    #[error("{file}: the key \"{key}\" is missing")]
    Missing {
        /// Which file.
        file: String,
        /// Which key.
        key: &'static str,
    },
    /// A value that cannot be.
    #[error("{file}: {key} \"{value}\" {why}")]
    Value {
        /// Which file.
        file: String,
        /// Which key.
        key: &'static str,
        /// Its value, made printable.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Metadata {
    /// Parses a `Chart.yaml`; `file` is the name faults are reported under.
    ///
    /// # Errors
    /// [`MetadataError`].
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, MetadataError> {
        let mut metadata: Self = yaml::parse(without_mark(bytes), file, Hand::Chart)?;
        metadata.clean();
        let missing = |key| MetadataError::Missing { file: file.to_owned(), key };
        let value = |key, value: &str, why| {
            let value = text::printable(value, 100);
            MetadataError::Value { file: file.to_owned(), key, value, why }
        };
        if metadata.api_version.is_empty() {
            // As Helm does: charts for Helm 2 need not say.
            metadata.api_version = Text("v1".to_owned());
        }
        if !matches!(metadata.api_version.as_str(), "v1" | "v2") {
            let why = "is not known: charts of v1 and v2 are carried";
            return Err(value("apiVersion", &metadata.api_version, why));
        }
        for (key, text) in [("name", &metadata.name), ("version", &metadata.version)] {
            if text.is_empty() {
                return Err(missing(key));
            }
        }
        let name = metadata.name.as_str();
        let in_registry =
            !name.contains('/') && Repository::new("registry", &format!("charts/{name}")).is_ok();
        if !in_registry {
            return Err(value("name", name, "cannot be the name of a repository in a registry"));
        }
        if !is_version(&metadata.version) {
            return Err(value("version", &metadata.version, "is not a semantic version"));
        }
        if tag(&metadata.version).is_none() {
            return Err(value("version", &metadata.version, "cannot be a tag in a registry: it is too long"));
        }
        if !matches!(metadata.kind.as_str(), "" | "application" | "library") {
            return Err(value("type", &metadata.kind, "is neither application nor library"));
        }
        metadata.check_dependencies().map_err(|name| {
            value("dependencies", &name, "stands there twice under one name, or has no name")
        })?;
        Ok(metadata)
    }

    /// Takes in the dependencies of a `requirements.yaml`, which charts of `apiVersion: v1` have.
    pub(super) fn take_requirements(&mut self, bytes: &[u8], file: &str) -> Result<(), MetadataError> {
        #[derive(Deserialize)]
        struct Requirements {
            #[serde(default, deserialize_with = "or_default")]
            dependencies: Vec<Dependency>,
        }
        let requirements: Requirements = yaml::parse(without_mark(bytes), file, Hand::Chart)?;
        if !requirements.dependencies.is_empty() {
            self.dependencies = requirements.dependencies;
        }
        self.clean();
        self.check_dependencies().map_err(|name| MetadataError::Value {
            file: file.to_owned(),
            key: "dependencies",
            value: text::printable(&name, 100),
            why: "stands there twice under one name, or has no name",
        })
    }

    fn check_dependencies(&self) -> Result<(), String> {
        let mut names = HashSet::new();
        for dependency in &self.dependencies {
            let name = dependency.used_as();
            if name.is_empty() || !names.insert(name) {
                return Err(name.to_owned());
            }
        }
        Ok(())
    }

    /// Helm's own cleaning (`Metadata.Validate`), which digests and configurations are made after.
    fn clean(&mut self) {
        let own = [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ];
        own.into_iter().chain(&mut self.sources).chain(&mut self.keywords).for_each(Text::clean);
        for maintainer in &mut self.maintainers {
            [&mut maintainer.name, &mut maintainer.email, &mut maintainer.url]
                .into_iter()
                .for_each(Text::clean);
        }
        for dependency in &mut self.dependencies {
            let Dependency { name, version, repository, condition, tags, .. } = dependency;
            [name, version, repository, condition].into_iter().chain(tags).for_each(Text::clean);
        }
    }

    /// Whether it is of `apiVersion: v1`, whose dependencies are in files of their own.
    #[must_use]
    pub fn is_v1(&self) -> bool {
        self.api_version.as_str() == "v1"
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.kind.as_str() == "library" { Kind::Library } else { Kind::Application }
    }

    /// The configuration of the chart in a registry: its metadata as Helm writes it there.
    #[must_use]
    pub fn config(&self) -> String {
        let texts = |texts: &[Text]| texts.iter().map(|text| gojson::quoted(text)).collect::<Vec<_>>();
        let maintainers = self.maintainers.iter().map(|maintainer| {
            let Maintainer { name, email, url } = maintainer;
            Object::new()
                .text_or_none("name", name)
                .text_or_none("email", email)
                .text_or_none("url", url)
                .end()
        });
        let mut object = Object::new()
            .text_or_none("name", &self.name)
            .text_or_none("home", &self.home)
            .list_or_none("sources", texts(&self.sources).into_iter())
            .text_or_none("version", &self.version)
            .text_or_none("description", &self.description)
            .list_or_none("keywords", texts(&self.keywords).into_iter())
            .list_or_none("maintainers", maintainers)
            .text_or_none("icon", &self.icon)
            .text_or_none("apiVersion", &self.api_version)
            .text_or_none("condition", &self.condition)
            .text_or_none("tags", &self.tags)
            .text_or_none("appVersion", &self.app_version)
            .flag_or_none("deprecated", self.deprecated);
        if !self.annotations.is_empty() {
            let all = self.annotations.iter();
            let all = all.fold(Object::new(), |all, (key, value)| all.text(key, value));
            object = object.raw("annotations", &all.end());
        }
        object
            .text_or_none("kubeVersion", &self.kube_version)
            .list_or_none("dependencies", self.dependencies.iter().map(Dependency::json))
            .text_or_none("type", &self.kind)
            .end()
    }

    /// The annotations of the chart's manifest as Helm sets them, but for the time of creation: the same chart is always the same bytes.
    #[must_use]
    pub fn manifest_annotations(&self) -> BTreeMap<String, String> {
        const PREFIX: &str = "org.opencontainers.image";
        let (title, version) = (format!("{PREFIX}.title"), format!("{PREFIX}.version"));
        let authors: Vec<String> = self
            .maintainers
            .iter()
            .map(|Maintainer { name, email, .. }| match email.is_empty() {
                true => name.to_string(),
                false => format!("{name} ({email})"),
            })
            .collect();
        let source = self.sources.first().map(Text::as_str).unwrap_or_default();
        let own = [
            (format!("{PREFIX}.description"), self.description.as_str()),
            (format!("{PREFIX}.url"), self.home.as_str()),
            (format!("{PREFIX}.source"), source),
            (format!("{PREFIX}.authors"), &authors.join(", ")),
            (title.clone(), self.name.as_str()),
            (version.clone(), self.version.as_str()),
        ];
        let mut all: BTreeMap<String, String> = own
            .into_iter()
            .filter(|(_, value)| !value.trim().is_empty())
            .map(|(key, value)| (key, value.to_owned()))
            .collect();
        let others = self.annotations.iter().filter(|(key, _)| **key != title && **key != version);
        all.extend(others.map(|(key, value)| (key.clone(), value.to_string())));
        all
    }
}

impl Dependency {
    /// The name its values are under: its alias, or its own.
    #[must_use]
    pub fn used_as(&self) -> &str {
        if self.alias.is_empty() { &self.name } else { &self.alias }
    }

    /// As Helm hashes it.
    pub(super) fn json(&self) -> String {
        self.json_at(&self.repository)
    }

    /// As Helm hashes it, as if it came from `repository`.
    pub(super) fn json_at(&self, repository: &str) -> String {
        Object::new()
            .text("name", &self.name)
            .text_or_none("version", &self.version)
            .text("repository", repository)
            .text_or_none("condition", &self.condition)
            .list_or_none("tags", self.tags.iter().map(|tag| gojson::quoted(tag)))
            .flag_or_none("enabled", self.enabled)
            .list_or_none("import-values", self.import_values.iter().map(gojson::value))
            .text_or_none("alias", &self.alias)
            .end()
    }
}

/// The tag a chart's version has in a registry: `+`, which tags cannot have, becomes `_`, as in Helm.
#[must_use]
pub fn tag(version: &str) -> Option<String> {
    let tag = version.replace('+', "_");
    let repository = Repository::new("registry", "charts").ok()?;
    Reference::new(repository, Some(&tag), None).is_ok().then_some(tag)
}

/// Whether Helm takes `text` for a version: as semantic versioning has it, perhaps after a `v`, perhaps with less than three numbers.
fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (numbers, pre) = rest.split_once('-').map_or((rest, None), |(numbers, pre)| (numbers, Some(pre)));
    let number = |n: &str| !n.is_empty() && n.len() < 20 && n.bytes().all(|b| b.is_ascii_digit());
    let words = |text: &str| {
        text.split('.').all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    };
    (1..=3).contains(&numbers.split('.').count())
        && numbers.split('.').all(number)
        && pre.is_none_or(words)
        && build.is_none_or(words)
}

/// Without the byte-order mark that Helm drops.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A text that may be written as a number, a flag or nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Text(String);

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Spaces for all that is space, and nothing that is not shown (Helm's `sanitizeString`).
    fn clean(&mut self) {
        let clean = |c: char| match c {
            c if c.is_whitespace() => Some(' '),
            c if text::is_printable(c) && !c.is_control() => Some(c),
            _ => None,
        };
        self.0 = self.0.chars().filter_map(clean).collect();
    }
}

impl std::ops::Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Text, E> {
                Ok(Text(flag.to_string()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
            // Go's `%g`, but for numbers of a million and more, which are no versions.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
                Ok(Text::default())
            }
            fn visit_none<E: de::Error>(self) -> Result<Text, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests;
