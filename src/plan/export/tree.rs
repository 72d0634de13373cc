//! The plain tree: images as archives that engines load, charts as Helm's archives, models and files as they are.

use std::collections::HashSet;

use super::{Content, ExportError, Item, Planner, Written};
use crate::chart::oci as chart;
use crate::digest::Blob;
use crate::oci::media;
use crate::plan::placing::Kind;

impl Planner<'_> {
    pub(super) fn tree(&mut self, items: &[Item<'_>]) -> Result<(), ExportError> {
        let mut names = HashSet::new();
        for item in items {
            match item.kind {
                Kind::Image => self.image_files(item, &mut names)?,
                Kind::Chart => self.chart_files(item)?,
                Kind::Model => self.model_files(item)?,
            }
        }
        self.leave_referrers(items);
        if self.wanted.names.is_empty() {
            let plain: Vec<_> =
                self.index.plain().map(|(path, size, digest)| (path.clone(), size, digest)).collect();
            for (path, size, digest) in plain {
                self.plan.files.push((path, Content::Delivered(Blob { digest, size })));
            }
        }
        Ok(())
    }

    /// `images/agent-v1.2.0.tar`; with the platform in its name where there are several.
    fn image_files(&mut self, item: &Item<'_>, names: &mut HashSet<String>) -> Result<(), ExportError> {
        let found = self.for_platform(item)?;
        let several = found.len() > 1;
        if found.is_empty() {
            let why = "nothing in it is made for a platform".to_owned();
            return Err(ExportError::Unfit { name: item.name.clone(), why });
        }
        for (platform, digest) in found {
            let suffix = match platform {
                Some(platform) if several => format!("-{}", platform.to_string().replace('/', "-")),
                None if several => format!("-{}", digest.short()),
                _ => String::new(),
            };
            let Some(reference) = item.reference else { continue };
            let pointer = reference.tag().map_or_else(|| digest.short(), str::to_owned);
            let path = reference.repository().path();
            let last = path.rsplit('/').next().unwrap_or(path);
            // Two registries, or two folders of one, can have an image of the same last name.
            let candidates = [
                last.to_owned(),
                path.replace('/', "-"),
                reference.repository().to_string().replace(['/', ':'], "-"),
            ];
            let name = candidates
                .into_iter()
                .map(|name| format!("images/{name}-{pointer}{suffix}.tar"))
                .find(|name| names.insert(name.clone()))
                .ok_or_else(|| ExportError::Unfit {
                    name: item.name.clone(),
                    why: "another image has the same name of a file".into(),
                })?;
            let archive = self.docker(&[(item, digest)])?;
            self.put(&name, Content::Archive(archive))?;
            let written = Written { kind: item.kind, name: item.name.clone(), digest, file: Some(name) };
            self.plan.written.push(written);
        }
        Ok(())
    }

    /// `charts/redis-1.2.0.tgz`, and beside it what vouches for it.
    fn chart_files(&mut self, item: &Item<'_>) -> Result<(), ExportError> {
        let Some((_, layers)) = self.parts(item.root)? else {
            return Err(ExportError::Unfit {
                name: item.name.clone(),
                why: "its manifest is an index".into(),
            });
        };
        let name = format!("charts/{}.tgz", item.short);
        for layer in layers {
            match self.kind(&layer).to_owned().as_str() {
                chart::CHART => {
                    self.put(&name, Content::Blob(layer))?;
                }
                chart::PROVENANCE => {
                    self.put(&format!("{name}.prov"), Content::Blob(layer))?;
                }
                other => self.plan.left_out.push(format!("{}: its layer of type {other}", item.name)),
            }
        }
        let written =
            Written { kind: item.kind, name: item.name.clone(), digest: item.root, file: Some(name) };
        self.plan.written.push(written);
        Ok(())
    }

    /// `models/llama/…`: the files in its layers. Every platform has the same layers.
    fn model_files(&mut self, item: &Item<'_>) -> Result<(), ExportError> {
        let folder = format!("models/{}", item.short);
        let mut seen = HashSet::new();
        for (_, digest) in self.images(item)? {
            let Some((_, layers)) = self.parts(digest)? else { continue };
            for layer in layers {
                if self.kind(&layer) != media::OCI_LAYER {
                    let why = format!("its layer of type {} is not a plain tar", self.kind(&layer));
                    return Err(ExportError::Unfit { name: item.name.clone(), why });
                }
                if seen.insert(layer.digest) {
                    self.put(&folder, Content::Unpacked(layer))?;
                }
            }
        }
        let written =
            Written { kind: item.kind, name: item.name.clone(), digest: item.root, file: Some(folder) };
        self.plan.written.push(written);
        Ok(())
    }
}
