//! An OCI image layout: every chosen graph, and what refers to it.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::{Content, ExportError, Item, Planner, Written};
use crate::digest::Digest;
use crate::oci::media;
use crate::plan::load::walk;
use crate::plan::payload::blob_name;
use crate::plan::placing::Kind;
use crate::plan::prelude;

impl Planner<'_> {
    pub(super) fn layout(&mut self, items: &[Item<'_>]) -> Result<(), ExportError> {
        let mut roots = Vec::new();
        let mut entries = Vec::new();
        let mut within = HashSet::new();
        for item in items {
            let narrowed = self.wanted.platform.is_some() && item.kind == Kind::Image;
            let root = match self.for_platform(item)?.first() {
                Some((_, digest)) if narrowed => *digest,
                _ => item.root,
            };
            roots.push(root);
            let mut entry = self.descriptor(root)?;
            entry["annotations"]["org.opencontainers.image.ref.name"] = json!(item.name);
            if item.kind != Kind::Chart {
                entry["annotations"]["io.containerd.image.name"] = json!(item.name);
            }
            entries.push(entry);
            within.extend(walk(root, self.manifests, &self.sizes)?.0);
            self.plan.written.push(Written {
                kind: item.kind,
                name: item.name.clone(),
                digest: root,
                file: None,
            });
        }
        for referrer in self.referrers(items) {
            if !within.contains(&referrer.subject) {
                self.plan.left_out.push(format!(
                    "{referrer}: it is about {}, which is not for the platform that was chosen",
                    referrer.subject
                ));
                continue;
            }
            within.insert(referrer.digest);
            roots.push(referrer.digest);
            let mut entry = self.descriptor(referrer.digest)?;
            if let Some(kind) = &referrer.artifact_type {
                entry["artifactType"] = json!(kind);
            }
            if let Some(tag) = &referrer.tag {
                let name = format!("{}:{tag}", referrer.image.repository());
                entry["annotations"]["org.opencontainers.image.ref.name"] = json!(name);
            }
            entries.push(entry);
        }
        let mut blobs = BTreeMap::new();
        for root in roots {
            let (manifests, others) = walk(root, self.manifests, &self.sizes)?;
            for digest in manifests {
                blobs.insert(digest, self.size(root, digest)?);
            }
            blobs.extend(others.into_iter().map(|blob| (blob.digest, blob)));
        }
        let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": entries});
        self.put(prelude::LAYOUT.0, Content::Bytes(prelude::LAYOUT.1.to_vec()))?;
        self.put(prelude::INDEX, Content::Bytes(index.to_string().into_bytes()))?;
        for blob in blobs.into_values() {
            self.put(&blob_name(&blob.digest), Content::Blob(blob))?;
        }
        Ok(())
    }

    fn descriptor(&self, root: Digest) -> Result<Value, ExportError> {
        let known = self.known(root)?;
        Ok(json!({"mediaType": known.media_type, "digest": root, "size": self.size(root, root)?.size}))
    }
}
