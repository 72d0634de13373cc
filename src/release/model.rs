//! `release.yaml` as types: what a vendor declares.
//!
//! Strict in shape: unknown keys and wrong types are refused while parsing. What shape cannot say (duplicates, ranges) is
//! checked in [`super::check`]. Paths are as written, relative to the file; nothing here touches a disk.

use std::fmt;

use schemars::JsonSchema;
use semver::Version;
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, de};

use super::lock::Seal;
use super::name::Name;
use super::origin::Origin;
use super::schema::{ShortOr, SizeText};
use super::sections::{Chart, FileEntry, Install, License, Model, Tool, Upgrade};
use super::yaml::At;
use crate::checked::ByteSize;
use crate::limits;
use crate::oci::{Platform, Reference};

/// A whole `release.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "release.yaml", extend("$id" = "release.v1.json"))]
pub struct Release {
    /// The version of this file's form.
    #[serde(rename = "apiVersion")]
    pub api_version: ApiVersion,
    /// What this file declares.
    pub kind: Kind,
    /// The release's name: lower-case letters, digits and single dashes. Becomes part of file names.
    #[schemars(with = "String", regex(pattern = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"), length(max = 63))]
    pub name: Name,
    /// The release's version, semantic versioning 2.0.
    #[schemars(with = "String")]
    pub version: Version,
    /// Who makes it.
    #[schemars(length(min = 1, max = 200))]
    pub vendor: At<String>,
    /// The platforms every image must have, unless it names its own. Absent: whatever each image has.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    pub platforms: Option<At<Vec<Platform>>>,
    /// Container images.
    #[serde(default)]
    pub images: Vec<At<Image>>,
    /// Helm charts.
    #[serde(default)]
    pub charts: Vec<At<Chart>>,
    /// Model weights.
    #[serde(default)]
    pub models: Vec<At<Model>>,
    /// Plain files of the delivered folder.
    #[serde(default)]
    pub files: Vec<At<FileEntry>>,
    /// Programs for the operator's machine.
    #[serde(default)]
    pub tools: Vec<At<Tool>>,
    /// How the payload is sealed.
    #[serde(default)]
    pub seal: Seal,
    /// The size volume files stay below.
    #[serde(default = "default_volume_size")]
    #[schemars(with = "SizeText")]
    pub volume_size: At<ByteSize>,
    /// What licence an installation needs.
    #[serde(default)]
    pub license: Option<At<License>>,
    /// Which installed versions this release can replace.
    #[serde(default)]
    pub upgrade: Option<At<Upgrade>>,
    /// How it is installed.
    #[serde(default)]
    pub install: Option<At<Install>>,
}

fn default_volume_size() -> At<ByteSize> {
    At { value: ByteSize(limits::VOLUME_SIZE), place: super::yaml::Place { line: 1, column: 1 } }
}

/// The version of the form of `release.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first.
    #[serde(rename = "bundle/v1")]
    V1,
}

/// What a file declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Kind {
    /// A release.
    Release,
}

/// One image: a reference, or a reference with more said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The name it is used by.
    pub reference: Reference,
    /// The platforms it must have, instead of the release's.
    pub platforms: Option<Vec<Platform>>,
    /// How its own signature is checked.
    pub verify: Option<Verify>,
    /// Where it is read, when not under its reference.
    pub from: Option<Origin>,
}

/// The long form of an image.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "ImageEntry")]
pub(super) struct LongImage {
    /// The name it is used by.
    #[serde(rename = "ref")]
    #[schemars(with = "String")]
    reference: Reference,
    /// The platforms it must have, instead of the release's.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    platforms: Option<Vec<Platform>>,
    /// How its own signature is checked.
    #[serde(default)]
    verify: Option<Verify>,
    /// Where it is read instead: `oci:PATH[:TAG]`, `docker-archive:PATH[:TAG]`, or another registry reference.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    from: Option<Origin>,
}

/// How an image's own signature is checked when it is locked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Verify {
    /// Path of the public key of a cosign signature.
    pub cosign_key: String,
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Image;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an image reference, or a mapping with the key \"ref\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Image, E> {
                let reference = text.parse().map_err(E::custom)?;
                Ok(Image { reference, platforms: None, verify: None, from: None })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Image, A::Error> {
                let long = LongImage::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Image {
                    reference: long.reference,
                    platforms: long.platforms,
                    verify: long.verify,
                    from: long.from,
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Image {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Image".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        ShortOr::<LongImage>::json_schema(generator)
    }
}

impl Release {
    /// The platforms `image` must have; `None` when neither it nor the release names any.
    #[must_use]
    pub fn platforms_of<'a>(&'a self, image: &'a Image) -> Option<&'a [Platform]> {
        image.platforms.as_deref().or_else(|| self.platforms.as_ref().map(|p| p.value.as_slice()))
    }
}
