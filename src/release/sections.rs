//! The sections of `release.yaml` beside images: charts, models, files, tools, licence, upgrade, install.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use semver::{Version, VersionReq};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::name::Name;
use super::questions::is_variable;
use super::schema::{OneOrMany, SizeText};
use super::yaml::At;
use crate::checked::ByteSize;
use crate::digest::Digest;
use crate::limits;
use crate::oci::{Platform, Reference};
use crate::text::is_printable;

/// A Helm chart: by `path`, by `ref` and `version`, or by `repo`, `name` and `version`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Chart {
    /// Folder or `.tgz` of the chart.
    #[serde(default)]
    pub path: Option<String>,
    /// `oci://host/path` of the chart.
    #[serde(default, rename = "ref")]
    pub reference: Option<String>,
    /// Address of a chart repository.
    #[serde(default)]
    pub repo: Option<String>,
    /// The chart's name in `repo`.
    #[serde(default)]
    pub name: Option<String>,
    /// The chart's version, exact.
    #[serde(default)]
    pub version: Option<String>,
    /// Name of the Helm release.
    #[serde(default)]
    pub release: Option<String>,
    /// Kubernetes namespace.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Value sets to render when looking for images: each a file, or a list of files used together.
    #[serde(default)]
    pub values: Vec<Files>,
    /// The version of Kubernetes to render for; absent: the one Helm takes.
    #[serde(default)]
    pub kube_version: Option<String>,
    /// API versions that the cluster is said to have when rendering.
    #[serde(default)]
    pub api_versions: Vec<String>,
    /// Images that no rendering shows.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub extra_images: Vec<Reference>,
    /// Images found that are not carried, each with a reason.
    #[serde(default)]
    pub ignore_images: Vec<Ignored>,
}

/// An image that is found and not carried.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ignored {
    /// Which.
    #[schemars(with = "String")]
    pub image: Reference,
    /// Why; not empty.
    #[schemars(length(min = 1))]
    pub reason: String,
}

/// One file, or several used together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files(pub Vec<String>);

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Files;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file or a list of files")
            }
            fn visit_str<E: de::Error>(self, file: &str) -> Result<Files, E> {
                Ok(Files(vec![file.to_owned()]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Files, A::Error> {
                let mut files = Vec::new();
                while let Some(file) = list.next_element()? {
                    files.push(file);
                }
                Ok(Files(files))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Files {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Files".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        OneOrMany::json_schema(generator)
    }
}

/// Model weights, which become an OCI image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Model {
    /// Its name in the customer's registry, under `models/`.
    #[schemars(with = "String")]
    pub name: Name,
    /// `hf://OWNER/NAME@COMMIT` or `dir:PATH`.
    pub from: String,
    /// Which files, as patterns; absent means all.
    #[serde(default)]
    pub include: Vec<String>,
    /// The largest layer to make.
    #[serde(default)]
    #[schemars(with = "Option<SizeText>")]
    pub max_layer: Option<ByteSize>,
    /// A file of the model that the operator must accept.
    #[serde(default)]
    pub notice: Option<String>,
}

/// Files copied into the delivered folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileEntry {
    /// File or folder to read.
    pub from: String,
    /// Path in the delivered folder.
    pub to: String,
}

/// A program for the operator's machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tool {
    /// Its name.
    #[schemars(with = "String")]
    pub name: Name,
    /// Path or `https://` address.
    pub from: String,
    /// SHA-256 of the file, 64 hex digits.
    #[serde(deserialize_with = "crate::digest::bare_hex::deserialize")]
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Digest,
    /// What it runs on.
    #[schemars(with = "String")]
    pub platform: Platform,
}

/// What licence an installation needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct License {
    /// Whether installation is refused without one.
    #[serde(default)]
    pub required: bool,
    /// Path of the public key licences are checked with: RSA or Ed25519, PEM.
    pub public_key: At<String>,
    /// Features a licence must grant.
    #[serde(default)]
    pub features: Vec<At<String>>,
    /// Days an expired licence goes on working, when it does not say so itself.
    #[serde(default = "grace_days")]
    pub grace_days: u32,
    /// Days before expiry from which it is announced, when it does not say so itself.
    #[serde(default = "warn_days")]
    pub warn_days: u32,
}

fn grace_days() -> u32 {
    signing::license::verdict::GRACE_DAYS
}

fn warn_days() -> u32 {
    signing::license::verdict::WARN_DAYS
}

/// Which installed versions this release can replace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Upgrade {
    /// A range, like `>=1.1.0, <1.2.0`.
    #[schemars(with = "String")]
    pub from: VersionReq,
    /// Releases that none may pass over on the way here, oldest first.
    #[serde(default)]
    pub stops: Vec<At<Stop>>,
    /// What became of the answers that earlier releases asked for; done in this order.
    #[serde(default)]
    pub migrate: Vec<At<Migration>>,
}

/// A release that none may pass over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Stop {
    /// Which installed versions it can replace: what its own release declared.
    #[schemars(with = "String")]
    pub from: VersionReq,
    /// Its version.
    #[schemars(with = "String")]
    pub version: Version,
}

/// What became of an answer: renamed, with other values, or dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Migration {
    /// The question, as it was called.
    pub answer: String,
    /// Only when what is installed is older than this; absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub before: Option<Version>,
    /// Whether the answer is left behind.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
    /// How the question is called now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Answers that are called otherwise now: old to new.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

/// How a release is installed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Install {
    /// Path of the questions put to the operator.
    #[serde(default)]
    pub questions: Option<At<String>>,
    /// Path of the template that makes Helm values of the answers.
    #[serde(default)]
    pub values_template: Option<At<String>>,
    /// What the cluster must offer.
    #[serde(default)]
    pub requires: Option<Requires>,
    /// Path of a script that backs data up before an upgrade.
    #[serde(default)]
    pub backup: Option<At<String>>,
    /// What is asked to know that it works.
    #[serde(default)]
    pub health: Vec<At<Health>>,
}

/// What a cluster must offer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Requires {
    /// Versions of Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub kubernetes: Option<VersionReq>,
    /// CPU cores of each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_per_node: Option<u32>,
    /// Memory of each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SizeText>")]
    pub memory_per_node: Option<ByteSize>,
    /// Whether a storage class is needed.
    #[serde(default)]
    pub storage_class: bool,
    /// Whether an ingress controller is needed.
    #[serde(default)]
    pub ingress: bool,
    /// Versions of `PostgreSQL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub postgres: Option<VersionReq>,
    /// Whether GPUs are needed.
    #[serde(default)]
    pub gpu: Gpu,
}

/// Whether GPUs are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gpu {
    /// Not used.
    #[default]
    None,
    /// Used where there are any.
    Optional,
    /// Needed.
    Required,
}

/// An address that answers when an installation works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Health {
    /// Path of the request.
    pub path: String,
    /// Port of the service.
    pub port: u16,
    /// Kubernetes service.
    pub service: String,
}

impl Health {
    /// Whether it can be asked: a service by its label (RFC 1035), a port, and a path that begins with `/` and is printable ASCII.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let service = &self.service;
        (1..=63).contains(&service.len())
            && service.bytes().all(label)
            && !service.starts_with('-')
            && !service.ends_with('-')
            && self.port != 0
            && self.path.len() <= 1000
            && self.path.starts_with('/')
            && self.path.bytes().all(|b| b.is_ascii_graphic())
    }
}

impl Migration {
    /// Whether it says one thing, about names that questions can have.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let Self { answer, to, values, drop, .. } = self;
        let names = std::iter::once(answer).chain(to);
        let texts = values.iter().flat_map(|(old, new)| [old, new]);
        names.into_iter().all(|name| is_variable(name))
            && (to.is_some() || !values.is_empty()) != *drop
            && values.len() <= limits::QUESTIONS
            && texts.into_iter().all(|text| text.len() <= 1000 && text.chars().all(is_printable))
    }
}

impl Upgrade {
    /// What keeps the way over the stops from being one: the stop, and what is wrong with it.
    pub fn way_faults<'a>(
        stops: &'a [Stop],
        from: &VersionReq,
        version: &Version,
    ) -> Option<(&'a Stop, WayFault)> {
        let mut before: Option<&Stop> = None;
        for stop in stops {
            let fault = match before {
                _ if stop.version >= *version => Some(WayFault::NotBefore),
                Some(last) if last.version >= stop.version => Some(WayFault::Order),
                Some(last) if !stop.from.matches(&last.version) => {
                    Some(WayFault::Apart(last.version.clone()))
                }
                _ => None,
            };
            if let Some(fault) = fault {
                return Some((stop, fault));
            }
            before = Some(stop);
        }
        before.filter(|last| !from.matches(&last.version)).map(|last| (last, WayFault::Last))
    }
}

/// What keeps a list of stops from being a way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WayFault {
    /// It does not come before the release.
    #[error("it is not older than the release itself")]
    NotBefore,
    /// It comes before the one above it.
    #[error("stops stand oldest first")]
    Order,
    /// The stop before it does not lead to it.
    #[error("its from does not take {0}, the stop before it")]
    Apart(Version),
    /// It does not lead to the release.
    #[error("upgrade.from does not take it, so nothing leads from it to this release")]
    Last,
}
