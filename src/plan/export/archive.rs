//! The archive that `docker load` and `podman load` read: one manifest of each image, its layers in the form that every engine takes.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Archive, Content, ExportError, Item, Planner, Written, layer_name};
use crate::digest::{Blob, Digest};
use crate::oci::media;
use crate::plan::payload::blob_name;
use crate::plan::placing::Kind;

impl Planner<'_> {
    pub(super) fn archive(&mut self, items: &[Item<'_>]) -> Result<(), ExportError> {
        let mut images = Vec::new();
        for item in items {
            if item.kind != Kind::Image {
                let why = "only images go into a docker archive".to_owned();
                if !self.wanted.names.is_empty() {
                    return Err(ExportError::Unfit { name: item.name.clone(), why });
                }
                self.plan.left_out.push(format!("{}: {why}", item.name));
                continue;
            }
            let mut found = self.for_platform(item)?;
            if found.len() > 1 {
                let has = found.into_iter().filter_map(|(platform, _)| platform).collect();
                return Err(ExportError::Several { image: item.name.clone(), has });
            }
            let Some((_, digest)) = found.pop() else {
                let why = "nothing in it is made for a platform".to_owned();
                return Err(ExportError::Unfit { name: item.name.clone(), why });
            };
            self.plan.written.push(Written { kind: item.kind, name: item.name.clone(), digest, file: None });
            images.push((item, digest));
        }
        if images.is_empty() {
            return Err(ExportError::Nothing);
        }
        self.leave_referrers(items);
        let archive = self.docker(&images)?;
        self.put("archive.tar", Content::Archive(archive))
    }

    pub(super) fn docker(&self, images: &[(&Item<'_>, Digest)]) -> Result<Archive, ExportError> {
        let mut entries = Vec::new();
        let (mut blobs, mut unpacked) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for (item, digest) in images {
            let unfit = |why: &str| ExportError::Unfit { name: item.name.clone(), why: why.to_owned() };
            let Some((config, layers)) = self.parts(*digest)? else {
                return Err(unfit("it is an index inside an index"));
            };
            if !media::is_config(self.kind(&config)) || !layers.iter().all(|l| self.kind(l).contains("tar")) {
                return Err(unfit("it is no image that runs: its layers are not file systems"));
            }
            for blob in std::iter::once(&config).chain(&layers) {
                if !seen.insert(blob.digest) {
                    continue;
                }
                if self.is_zstd(blob) { unpacked.push((*blob, 0)) } else { blobs.push(*blob) }
            }
            let tags = item
                .reference
                .and_then(|reference| reference.tag().map(|tag| format!("{}:{tag}", reference.repository())));
            entries.push(json!({
                "Config": blob_name(&config.digest),
                "RepoTags": tags.into_iter().collect::<Vec<_>>(),
                "Layers": layers.iter().map(|layer| self.layer_file(layer)).collect::<Vec<_>>(),
            }));
        }
        Ok(Archive { manifest: Value::Array(entries).to_string().into_bytes(), blobs, unpacked })
    }

    /// Whether a layer is packed in a way that not every Docker reads.
    fn is_zstd(&self, layer: &Blob) -> bool {
        self.kind(layer).ends_with("zstd")
    }

    fn layer_file(&self, layer: &Blob) -> String {
        if self.is_zstd(layer) { layer_name(&layer.digest) } else { blob_name(&layer.digest) }
    }
}
