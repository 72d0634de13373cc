//! The form charts have in a registry: a manifest with the chart's metadata as its configuration, the archive as a layer, and perhaps its
//! provenance as another (`helm push`).

use serde::Serialize;

use super::metadata::{Metadata, Text};
use crate::digest::{Blob, Digest};
use crate::oci::{Descriptor, Manifest, media};
use crate::text;

/// Media type of a chart's configuration.
pub const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
/// Media type of a chart's archive.
pub const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// Media type of a chart's provenance file.
pub const PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";
/// Media type of an archive that Helm before 3.7 pushed; it reads it still.
const OLD_CHART: &str = "application/tar+gzip";

/// A manifest of a chart and its configuration, made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The manifest's bytes.
    pub manifest: String,
    /// The configuration.
    pub config: Descriptor,
    /// The configuration's bytes.
    pub config_bytes: String,
    /// The archive and, where there is one, the provenance, in the order of the manifest.
    pub layers: Vec<Descriptor>,
}

/// The manifest of a chart with this metadata, archive and provenance: what Helm would push, but for the time of creation, so that it is
/// the same bytes each time.
#[must_use]
pub fn make(metadata: &Metadata, archive: Blob, provenance: Option<Blob>) -> Made {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Document<'a> {
        schema_version: u8,
        media_type: &'a str,
        config: &'a Descriptor,
        layers: &'a [Descriptor],
        annotations: std::collections::BTreeMap<String, String>,
    }
    let config_bytes = metadata.config();
    let size = config_bytes.len() as u64;
    let config = Descriptor::new(CONFIG, Blob { digest: Digest::of(config_bytes.as_bytes()), size });
    let mut layers = vec![Descriptor::new(CHART, archive)];
    layers.extend(provenance.map(|blob| Descriptor::new(PROVENANCE, blob)));
    // Helm's order.
    layers.sort_by_key(|layer| layer.digest);
    let document = Document {
        schema_version: 2,
        media_type: media::OCI_MANIFEST,
        config: &config,
        layers: &layers,
        annotations: metadata.manifest_annotations(),
    };
    // A struct of texts and numbers can always be written.
    let manifest = serde_json::to_string(&document).unwrap_or_default();
    Made { manifest, config, config_bytes, layers }
}

/// Whether a layer of this media type is a chart's archive.
#[must_use]
pub fn is_archive(media_type: &str) -> bool {
    matches!(media_type, CHART | OLD_CHART)
}

/// Why a manifest is not of a chart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAChart {
    /// It is an index, or has another configuration.
    #[error("it is no Helm chart: its configuration is of the media type \"{0}\"")]
    Config(String),
    /// It has no archive, or several.
    #[error("it is no Helm chart: it has {0} layers of the media type {CHART}")]
    Archives(usize),
}

/// The configuration and the archive of a chart's manifest.
///
/// # Errors
/// [`NotAChart`].
pub fn parts(manifest: &Manifest) -> Result<(&Descriptor, &Descriptor), NotAChart> {
    let (config, layers) = match manifest {
        Manifest::Image { config, layers, .. } => (config, layers),
        Manifest::Index { .. } => return Err(NotAChart::Config("of an index".to_owned())),
    };
    if config.media_type != CONFIG {
        return Err(NotAChart::Config(text::printable(&config.media_type, 100)));
    }
    let archives: Vec<&Descriptor> = layers.iter().filter(|layer| is_archive(&layer.media_type)).collect();
    match archives.as_slice() {
        [archive] => Ok((config, archive)),
        other => Err(NotAChart::Archives(other.len())),
    }
}

/// Name and version that a configuration states.
///
/// # Errors
/// What is wrong with it, in words.
pub fn stated(config: &[u8]) -> Result<(String, String), String> {
    #[derive(serde::Deserialize)]
    struct Stated {
        name: Text,
        version: Text,
    }
    let stated: Stated =
        serde_json::from_slice(config).map_err(|error| text::printable(&error.to_string(), 200))?;
    Ok((stated.name.to_string(), stated.version.to_string()))
}
