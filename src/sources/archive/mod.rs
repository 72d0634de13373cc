//! A docker archive: the tar that `docker save` and `skopeo copy … docker-archive:` write, read in place.
//!
//! Since Docker 25 it holds an OCI layout too, whose manifests are used as they are. Older ones have only `manifest.json`, a list of
//! configuration and layers; from it an OCI manifest is made, the same from the same archive, which only the lock then has.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::file::{Links, Regular};
use super::layout::{check_marker, parse_index};
use super::names::{choose, choose_descriptor};
use super::{Error, Images, Named, RawManifest, read_small};
use crate::digest::{Blob, Digest};
use crate::limits;
use crate::oci::{Config, Descriptor, media};
use crate::store::{self, Pieces, Source};

mod entries;
mod layers;

use entries::{Entries, Extent};
use layers::Layers;

/// An archive whose entries are known.
#[derive(Debug)]
pub struct Archive {
    file: Regular,
    entries: Entries,
    /// The entries of `index.json`, where there is a layout inside.
    index: Vec<Descriptor>,
    /// The entries of `manifest.json`.
    images: Vec<Entry>,
    layers: Layers,
}

/// One image of `manifest.json` (moby, image/tarexport).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The manifest that is made of an [`Entry`]: these fields, in this order, always.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    schema_version: u8,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// How compressed files begin.
const COMPRESSED: [(&[u8], &str); 4] = [
    (&[0x1f, 0x8b], "gzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (b"BZh", "bzip2"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
];

impl Archive {
    /// Opens the archive `path` and reads its headers and lists.
    ///
    /// # Errors
    /// [`Error::Compressed`], [`Error::Malformed`], or what reading met.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = Regular::open(path, Links::Followed)?;
        let front = file.read(0, file.length.min(8))?;
        if let Some((_, with)) = COMPRESSED.iter().find(|(magic, _)| front.starts_with(magic)) {
            return Err(Error::Compressed { path: path.to_path_buf(), with });
        }
        let entries = Entries::read(&file)?;
        let mut archive =
            Self { file, entries, index: Vec::new(), images: Vec::new(), layers: Layers::default() };
        if let Some(marker) = archive.list("oci-layout")? {
            check_marker(&marker).map_err(|why| archive.broken(format!("oci-layout: {why}")))?;
            if let Some(index) = archive.list("index.json")? {
                archive.index =
                    parse_index(&index).map_err(|why| archive.broken(format!("index.json: {why}")))?;
            }
        }
        if let Some(images) = archive.list("manifest.json")? {
            archive.images =
                serde_json::from_slice(&images).map_err(|e| archive.broken(format!("manifest.json: {e}")))?;
        }
        if archive.index.is_empty() && archive.images.is_empty() {
            return Err(archive.broken("it is not a docker archive: it names no image".to_owned()));
        }
        Ok(archive)
    }

    fn broken(&self, why: String) -> Error {
        Error::Malformed { path: self.file.path.clone(), why }
    }

    fn place(&self) -> String {
        format!("docker-archive:{}", self.file.path.display())
    }

    /// The content of a list, `None` when the archive has no such entry.
    fn list(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some(extent) = self.entries.find(name) else { return Ok(None) };
        if extent.size > limits::MANIFEST_BYTES {
            return Err(self.broken(format!(
                "{name} has {} bytes; at most {} are read",
                extent.size,
                limits::MANIFEST_BYTES
            )));
        }
        Ok(Some(self.file.read(extent.offset, extent.size)?))
    }

    fn choose_entry(&self, named: &Named<'_>) -> Result<&Entry, Error> {
        let entries: Vec<(Vec<&str>, &Entry)> = self
            .images
            .iter()
            .map(|entry| (entry.repo_tags.iter().flatten().map(String::as_str).collect(), entry))
            .collect();
        let same = |a: &&Entry, b: &&Entry| a.config == b.config && a.layers == b.layers;
        choose(&entries, named, &self.place(), same).copied()
    }

    fn make(&self, entry: &Entry) -> Result<RawManifest, Error> {
        let missing = |name: &str| self.broken(format!("manifest.json names {name}, which it does not hold"));
        let extent = self.entries.find(&entry.config).ok_or_else(|| missing(&entry.config))?;
        if extent.size > limits::CONFIG_BYTES {
            return Err(self.broken(format!("the configuration {} has {} bytes", entry.config, extent.size)));
        }
        let bytes = self.file.read(extent.offset, extent.size)?;
        let digest = Digest::of(&bytes);
        let config = Config::parse(&bytes).map_err(|source| Error::Config { digest, source })?;
        let names = entry.layers.as_deref().unwrap_or_default();
        if names.len() != config.diff_ids.len() {
            return Err(self.broken(format!(
                "manifest.json lists {} layers for {}, its configuration {}",
                names.len(),
                entry.config,
                config.diff_ids.len()
            )));
        }
        let mut layers = Vec::with_capacity(names.len());
        for (name, expected) in names.iter().zip(&config.diff_ids) {
            let extent = self.entries.find(name).ok_or_else(|| missing(name))?;
            let layer = self.layers.learn(&self.file, extent)?;
            if let Some(got) = layer.diff_id.filter(|got| got != expected) {
                return Err(
                    self.broken(format!("layer {name} is {got} where its configuration says {expected}"))
                );
            }
            layers.push(Descriptor::new(layer.media_type, layer.blob));
        }
        let made = Made {
            schema_version: 2,
            media_type: media::OCI_MANIFEST,
            config: Descriptor::new(media::OCI_CONFIG, Blob { digest, size: extent.size }),
            layers,
        };
        let bytes = serde_json::to_vec(&made).map_err(|e| self.broken(e.to_string()))?;
        let digest = Digest::of(&bytes);
        Ok(RawManifest { bytes, media_type: Some(media::OCI_MANIFEST.to_owned()), digest, made: true })
    }

    /// Where the bytes of `blob` lie: under its digest's name, or by its size among the rest, hashed where that leaves a choice.
    fn locate(&self, blob: &Blob) -> Result<Option<Extent>, store::Error> {
        let hex = blob.digest.hex();
        let named = self.entries.find(&format!("blobs/sha256/{hex}"));
        if let Some(extent) = named.or_else(|| self.layers.place(blob)) {
            return Ok(Some(extent));
        }
        let candidates = self.entries.of_size(blob.size);
        if let Some((_, extent)) = candidates.iter().find(|(name, _)| name.contains(&hex)) {
            return Ok(Some(*extent));
        }
        if let [(_, only)] = candidates.as_slice() {
            return Ok(Some(*only));
        }
        for (_, extent) in candidates {
            if self.layers.learn(&self.file, extent)?.blob == *blob {
                return Ok(Some(extent));
            }
        }
        Ok(None)
    }
}

impl Source for Archive {
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        let missing = || store::Error::Missing { place: self.place(), digest: blob.digest };
        let extent = self.locate(blob)?.ok_or_else(missing)?;
        let offset = offset.min(extent.size);
        Ok(Box::new(self.file.part(extent.offset + offset, extent.size - offset)))
    }
}

impl Images for Archive {
    fn root(&self, named: &Named<'_>) -> Result<RawManifest, Error> {
        let in_layout = match self.index.as_slice() {
            [] => None,
            index => match choose_descriptor(index, named, &self.place()) {
                Ok(descriptor) => Some(descriptor),
                Err(Error::NoImage { .. }) if !self.images.is_empty() => None,
                Err(error) => return Err(error),
            },
        };
        match in_layout {
            Some(descriptor) => {
                let root = self.manifest(&descriptor.blob())?;
                Ok(RawManifest { media_type: Some(descriptor.media_type.clone()), ..root })
            }
            None => self.make(self.choose_entry(named)?),
        }
    }

    fn manifest(&self, blob: &Blob) -> Result<RawManifest, Error> {
        let bytes = read_small(self, blob, limits::MANIFEST_BYTES)?;
        Ok(RawManifest { bytes, media_type: None, digest: blob.digest, made: false })
    }
}
