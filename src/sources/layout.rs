//! An OCI image layout: a folder (image-spec, image-layout.md).
//!
//! Only `oci-layout`, `index.json` and `blobs/sha256/<hex>` are opened; the hex comes from a parsed digest, so no name in the
//! content can lead elsewhere, and a blob that is a symbolic link is refused.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Deserialize;

use super::file::{Links, Regular};
use super::names::{choose_descriptor, names_of};
use super::{Error, Images, Named, RawManifest, Refers, read_small};
use crate::digest::{Blob, Digest};
use crate::limits;
use crate::oci::{Descriptor, Manifest, cosign, media};
use crate::store::{self, Pieces, Source};

/// A layout whose index has been read.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    entries: Vec<Descriptor>,
    /// What refers to each manifest; read when it is first asked for.
    referring: OnceLock<HashMap<Digest, Vec<Refers>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// Checks the content of an `oci-layout` file; the error says what is wrong.
pub(super) fn check_marker(bytes: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<Marker>(bytes) {
        Ok(marker) if marker.image_layout_version == "1.0.0" => Ok(()),
        Ok(_) => Err("it is of an image layout version other than 1.0.0".to_owned()),
        Err(e) => Err(format!("it does not state an image layout version: {e}")),
    }
}

/// The entries of an `index.json`; the error says what is wrong.
pub(super) fn parse_index(bytes: &[u8]) -> Result<Vec<Descriptor>, String> {
    match Manifest::parse(bytes, Some(media::OCI_INDEX)) {
        Ok((Manifest::Index { manifests, .. }, _)) => Ok(manifests),
        Ok(_) => Err("it is not an index".to_owned()),
        Err(e) => Err(e.to_string()),
    }
}

impl Layout {
    /// Opens the layout in the folder `path`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is none, or what reading met.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let read = |name: &str| {
            let file = path.join(name);
            let bytes = Regular::open(&file, Links::Followed)?.read_whole(limits::MANIFEST_BYTES)?;
            Ok::<_, Error>((file, bytes))
        };
        let (file, bytes) = read("oci-layout")?;
        check_marker(&bytes).map_err(|why| Error::Malformed { path: file, why })?;
        let (file, bytes) = read("index.json")?;
        let entries = parse_index(&bytes).map_err(|why| Error::Malformed { path: file, why })?;
        Ok(Self { path: path.to_path_buf(), entries, referring: OnceLock::new() })
    }

    fn place(&self) -> String {
        format!("oci:{}", self.path.display())
    }
}

impl Source for Layout {
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        let path = self.path.join("blobs").join("sha256").join(blob.digest.hex());
        let file = match Regular::open(&path, Links::Refused) {
            Err(store::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(store::Error::Missing { place: self.place(), digest: blob.digest });
            }
            other => other?,
        };
        if file.length != blob.size {
            let why = format!("it has {} bytes where {} are expected", file.length, blob.size);
            return Err(store::Error::Malformed { path, why });
        }
        Ok(Box::new(file.part(offset, blob.size.saturating_sub(offset))))
    }
}

impl Images for Layout {
    fn root(&self, named: &Named<'_>) -> Result<RawManifest, Error> {
        let entry = choose_descriptor(&self.entries, named, &self.place())?;
        let root = self.manifest(&entry.blob())?;
        Ok(RawManifest { media_type: Some(entry.media_type.clone()), ..root })
    }

    fn manifest(&self, blob: &Blob) -> Result<RawManifest, Error> {
        let bytes = read_small(self, blob, limits::MANIFEST_BYTES)?;
        Ok(RawManifest { bytes, media_type: None, digest: blob.digest, made: false })
    }

    fn look(&self, blob: &Blob) -> Result<(), Error> {
        self.open(blob, 0)?;
        Ok(())
    }

    fn referrers(&self, subject: &Digest) -> Result<Vec<Refers>, Error> {
        let kept = match self.referring.get() {
            Some(kept) => kept,
            None => {
                let read = self.read_referring()?;
                self.referring.get_or_init(|| read)
            }
        };
        Ok(kept.get(subject).cloned().unwrap_or_default())
    }
}

impl Layout {
    /// Every entry that refers to something, by what it refers to.
    fn read_referring(&self) -> Result<HashMap<Digest, Vec<Refers>>, Error> {
        let mut all = HashMap::<Digest, Vec<Refers>>::new();
        for entry in &self.entries {
            let name = names_of(entry).next();
            let tag = name.map(|name| name.rsplit(':').next().unwrap_or(name).to_owned());
            let raw = match self.manifest(&entry.blob()) {
                Ok(raw) => RawManifest { media_type: Some(entry.media_type.clone()), ..raw },
                // An image that nobody asks for may be broken; what has no name may refer to any.
                Err(_) if name.is_some() && tag.as_deref().and_then(made_of).is_none() => continue,
                Err(error) => return Err(error),
            };
            if let Some((tag, subject)) = tag.as_ref().and_then(|tag| Some((tag, cosign::subject(tag)?))) {
                all.entry(subject).or_default().push(Refers::Tagged { tag: tag.clone(), raw });
            } else if let Some(subject) = tag.as_deref().and_then(made_of) {
                // The list that registries without the API keep, and so may a copy of one.
                let path = self.path.join("index.json");
                let listed = parse_index(&raw.bytes).map_err(|why| Error::Malformed { path, why })?;
                all.entry(subject).or_default().extend(listed.into_iter().map(Refers::Listed));
            } else if let Ok((manifest, _)) = Manifest::parse(&raw.bytes, raw.media_type.as_deref())
                && let Some(subject) = manifest.subject()
            {
                all.entry(subject.digest).or_default().push(Refers::Listed(entry.clone()));
            }
        }
        Ok(all)
    }
}

/// What a tag that is made of a digest is about.
fn made_of(tag: &str) -> Option<Digest> {
    let hex = tag.strip_prefix("sha256-")?;
    Digest::from_hex(hex.split('.').next()?).ok()
}
