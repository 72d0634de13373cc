//! A model as an OCI image: an index with one manifest for each platform that nodes have, all with the same layers.
//!
//! Weights run nowhere and are the same everywhere, but containerd unpacks only what matches the node: an image whose configuration
//! names no platform, or another, is pulled and then not unpacked (containerd, `pkg/unpack`: "unpack requested for platform … no match").
//! So the index names [`PLATFORMS`], each with a configuration of a few hundred bytes.
//!
//! image-spec config.md: `rootfs.diff_ids` are the digests of the uncompressed layers, which here are the layers themselves.

use serde_json::json;

use super::File;
use crate::digest::{Blob, Digest};
use crate::oci::{Platform, media};
use crate::release::lock::{LockedBlob, LockedManifest};

/// What a model's image can be pulled and mounted on, as os and architecture.
pub const PLATFORMS: [(&str, &str); 2] = [("linux", "amd64"), ("linux", "arm64")];

/// The image that a model's files make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelImage {
    /// Children first, the index last.
    pub manifests: Vec<LockedManifest>,
    /// The configurations, which no file holds.
    pub configs: Vec<Vec<u8>>,
}

impl ModelImage {
    /// The image of `files`, each with the size of its layer, in the order of the layers.
    #[must_use]
    pub fn new(name: &str, version: &str, files: &[(File, u64)]) -> Self {
        let diff_ids: Vec<Digest> = files.iter().map(|(file, _)| file.layer).collect();
        let layers: Vec<LockedBlob> = files
            .iter()
            .map(|(file, size)| LockedBlob {
                digest: file.layer,
                size: *size,
                media_type: media::OCI_LAYER.to_owned(),
            })
            .collect();
        let (mut manifests, mut configs, mut children) = (Vec::new(), Vec::new(), Vec::new());
        for (os, architecture) in PLATFORMS {
            let config = json!({
                "architecture": architecture,
                "os": os,
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            });
            let config = config.to_string().into_bytes();
            let pointer = locked(&config, media::OCI_CONFIG);
            let text = json!({
                "schemaVersion": 2,
                "mediaType": media::OCI_MANIFEST,
                "config": descriptor(&pointer),
                "layers": files.iter().zip(&layers).map(|((file, _), layer)| {
                    let mut layer = descriptor(layer);
                    layer["annotations"] = json!({"org.opencontainers.image.title": file.path.as_str()});
                    layer
                }).collect::<Vec<_>>(),
            })
            .to_string();
            let manifest = blob(text.as_bytes());
            children.push(json!({
                "mediaType": media::OCI_MANIFEST,
                "digest": manifest.digest,
                "size": manifest.size,
                "platform": {"architecture": architecture, "os": os},
            }));
            manifests.push(LockedManifest {
                digest: manifest.digest,
                size: manifest.size,
                media_type: media::OCI_MANIFEST.to_owned(),
                platform: Some(Platform {
                    os: os.to_owned(),
                    architecture: architecture.to_owned(),
                    variant: None,
                }),
                inline: Some(text),
                config: Some(pointer),
                layers: layers.clone(),
                children: Vec::new(),
            });
            configs.push(config);
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_INDEX,
            "manifests": children,
            "annotations": {
                "org.opencontainers.image.title": name,
                "org.opencontainers.image.version": version,
            },
        })
        .to_string();
        let root = blob(index.as_bytes());
        manifests.push(LockedManifest {
            digest: root.digest,
            size: root.size,
            media_type: media::OCI_INDEX.to_owned(),
            platform: None,
            inline: Some(index),
            config: None,
            layers: Vec::new(),
            children: manifests.iter().map(|manifest| manifest.digest).collect(),
        });
        Self { manifests, configs }
    }
}

fn blob(bytes: &[u8]) -> Blob {
    Blob { digest: Digest::of(bytes), size: bytes.len() as u64 }
}

fn locked(bytes: &[u8], media_type: &str) -> LockedBlob {
    let Blob { digest, size } = blob(bytes);
    LockedBlob { digest, size, media_type: media_type.to_owned() }
}

fn descriptor(blob: &LockedBlob) -> serde_json::Value {
    json!({"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size})
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::oci::{Config, Manifest};

    #[test]
    fn the_image_is_what_its_parts_say() {
        let file = |path: &str, size| {
            let sha256 = Digest::of(path.as_bytes());
            (File { path: path.parse().unwrap(), size, sha256, layer: Digest::of(b"layer") }, size + 2048)
        };
        let image = ModelImage::new("llama", "1.2.0", &[file("a.json", 10), file("b.safetensors", 20)]);
        assert_eq!(image.manifests.len(), 3);
        for (manifest, config) in image.manifests.iter().zip(&image.configs) {
            let text = manifest.inline.as_deref().unwrap();
            let (parsed, _) = Manifest::parse(text.as_bytes(), Some(&manifest.media_type)).unwrap();
            assert_eq!(parsed.pointers().count(), 3);
            let parsed = Config::parse(config).unwrap();
            assert_eq!(parsed.platform, manifest.platform);
            assert_eq!(parsed.diff_ids, manifest.layers.iter().map(|l| l.digest).collect::<Vec<_>>());
            assert_eq!(manifest.config.as_ref().unwrap().digest, Digest::of(config));
        }
        assert_eq!(
            image,
            ModelImage::new("llama", "1.2.0", &[file("a.json", 10), file("b.safetensors", 20)])
        );
    }
}
