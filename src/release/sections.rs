//! The sections of `release.yaml` beside images: charts, models, files, tools, licence, upgrade, install.

use std::fmt;

use schemars::JsonSchema;
use semver::VersionReq;
use serde::{Deserialize, Deserializer, de};

use super::name::Name;
use super::schema::{OneOrMany, SizeText};
use super::yaml::At;
use crate::checked::ByteSize;
use crate::digest::Digest;
use crate::oci::{Platform, Reference};

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
}

/// How a release is installed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Install {
    /// Path of the questions put to the operator.
    #[serde(default)]
    pub questions: Option<String>,
    /// Path of the template that makes Helm values of the answers.
    #[serde(default)]
    pub values_template: Option<String>,
    /// What the cluster must offer.
    #[serde(default)]
    pub requires: Option<Requires>,
    /// Path of a script that backs data up before an upgrade.
    #[serde(default)]
    pub backup: Option<String>,
    /// What is asked to know that it works.
    #[serde(default)]
    pub health: Vec<Health>,
}

/// What a cluster must offer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Requires {
    /// Versions of Kubernetes.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub kubernetes: Option<VersionReq>,
    /// CPU cores of each node.
    #[serde(default)]
    pub cpu_per_node: Option<u32>,
    /// Memory of each node.
    #[serde(default)]
    #[schemars(with = "Option<SizeText>")]
    pub memory_per_node: Option<ByteSize>,
    /// Whether a storage class is needed.
    #[serde(default)]
    pub storage_class: bool,
    /// Whether an ingress controller is needed.
    #[serde(default)]
    pub ingress: bool,
    /// Versions of `PostgreSQL`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub postgres: Option<VersionReq>,
    /// Whether GPUs are needed.
    #[serde(default)]
    pub gpu: Gpu,
}

/// Whether GPUs are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Health {
    /// Kubernetes service.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// Path of the request.
    pub path: String,
}
