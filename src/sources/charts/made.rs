//! A chart whose manifest and configuration are made here: from a path, or out of a repository.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::folder::{self, pack_folder, refused};
use super::{ChartError, Place, check, repository};
use crate::chart::oci::{self, Made};
use crate::chart::{Metadata, archive};
use crate::checked::small;
use crate::digest::{Blob, Digest};
use crate::limits;
use crate::release::lock::LockedChart;
use crate::sources::{Error, Images, Named, RawManifest, Sources};
use crate::store::{self, Pieces, Source};

/// Archives up to this many bytes are kept in memory between the reading of their configuration and of themselves.
const KEPT: usize = 1 << 20;

/// A chart's blobs.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) made: Made,
    archive: Bytes,
    provenance: Option<Bytes>,
}

impl Parts {
    /// The chart in a folder or archive; a `.prov` beside an archive goes with it.
    pub(super) fn of_path(path: &Path, base: &Path) -> Result<Self, Error> {
        let place = path.display().to_string();
        let facts =
            path.metadata().map_err(|source| store::Error::Io { path: path.to_path_buf(), source })?;
        if facts.is_dir() {
            let archive = pack_folder(path, base)?;
            check(&archive, &place)?;
            return Self::new(archive, None, &place);
        }
        if facts.len() > limits::CHART_BYTES {
            let source = archive::ArchiveError::TooLarge { size: facts.len() };
            return Err(ChartError::Archive { place, source }.into());
        }
        let archive = folder::read(path, limits::CHART_BYTES)?;
        check(&archive, &place)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".prov");
        let beside = PathBuf::from(beside);
        let provenance = match beside.symlink_metadata() {
            Ok(_) => Some(folder::read(&beside, limits::MANIFEST_BYTES)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(refused(&beside, error.to_string()).into()),
        };
        Self::new(archive, provenance, &place)
    }

    /// The blobs of an archive that has been checked.
    pub(super) fn new(archive: Vec<u8>, provenance: Option<Vec<u8>>, place: &str) -> Result<Self, Error> {
        let metadata: Metadata = archive::read(&archive)
            .map_err(|source| ChartError::Archive { place: place.to_owned(), source })?
            .metadata;
        let blob = |bytes: &[u8]| Blob { digest: Digest::of(bytes), size: bytes.len() as u64 };
        let own = blob(&archive);
        if let Some(provenance) = &provenance {
            let text = String::from_utf8_lossy(provenance);
            let fault = |why| ChartError::Provenance { place: format!("{place}.prov"), why };
            if !text.starts_with("-----BEGIN PGP SIGNED MESSAGE-----") {
                return Err(fault("it is no provenance file, which is a PGP signed message").into());
            }
            if !text.contains(&own.digest.to_string()) {
                return Err(fault(
                    "it is the provenance of another archive: it does not state this one's digest",
                )
                .into());
            }
        }
        let made = oci::make(&metadata, own, provenance.as_deref().map(blob));
        let (name, version) = (metadata.name.to_string(), metadata.version.to_string());
        Ok(Self { name, version, made, archive: archive.into(), provenance: provenance.map(Bytes::from) })
    }

    fn root(&self) -> Digest {
        Digest::of(self.made.manifest.as_bytes())
    }

    fn raw(&self) -> RawManifest {
        let bytes = self.made.manifest.clone().into_bytes();
        RawManifest { digest: self.root(), bytes, media_type: None, made: true }
    }

    fn find(&self, digest: &Digest) -> Option<Bytes> {
        if self.made.config.digest == *digest {
            return Some(Bytes::from(self.made.config_bytes.clone().into_bytes()));
        }
        let layer = self.made.layers.iter().find(|layer| layer.digest == *digest)?;
        if oci::is_archive(&layer.media_type) { Some(self.archive.clone()) } else { self.provenance.clone() }
    }
}

/// A chart that is read, fetched or packed when its first blob is asked for.
pub(super) struct MadeChart {
    from: String,
    locked: Option<Digest>,
    read: Box<dyn Fn() -> Result<Parts, Error> + Send + Sync>,
    held: Mutex<Option<Arc<Parts>>>,
}

impl MadeChart {
    pub(super) fn new(place: &Place, chart: &LockedChart, sources: &Sources<'_>) -> Self {
        let base = sources.base.clone();
        let (client, indexes) = (sources.reach.client().cloned(), Arc::clone(&sources.indexes));
        let from = chart.from.clone();
        let pinned = chart.manifests.last().map(|root| root.layers.clone()).unwrap_or_default();
        let pinned =
            pinned.into_iter().find(|layer| layer.media_type == oci::CHART).map(|layer| layer.digest);
        let read: Box<dyn Fn() -> Result<Parts, Error> + Send + Sync> = match place.clone() {
            Place::Repository { url, name, version } => Box::new(move || {
                let client = client.clone().ok_or_else(|| ChartError::NoClient(from.clone()))?;
                let reach = crate::sources::Online(client);
                let mut found = indexes.find(&reach, &url, &name, &version)?;
                // The lock decides, whatever the index says now.
                found.digest = pinned.or(found.digest);
                repository::fetch(&reach, &found, &name, &version)
            }),
            Place::Path(path) => Box::new(move || Parts::of_path(&base.join(&path), &base)),
            Place::Registry(_) => Box::new(move || Err(Error::Place { from: from.clone() })),
        };
        let locked = chart.manifests.last().map(|root| root.digest);
        Self { from: chart.from.clone(), locked, read, held: Mutex::default() }
    }

    /// Keeps blobs for those who ask, when they are small.
    pub(super) fn hold(&self, parts: Parts) -> Arc<Parts> {
        let parts = Arc::new(parts);
        if parts.archive.len() <= KEPT {
            *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&parts));
        }
        parts
    }

    pub(super) fn parts(&self) -> Result<Arc<Parts>, Error> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(parts) = held {
            return Ok(parts);
        }
        let parts = (self.read)()?;
        match (self.locked, parts.root()) {
            (Some(locked), now) if locked != now => {
                Err(ChartError::Changed { from: self.from.clone(), locked, now }.into())
            }
            _ => Ok(self.hold(parts)),
        }
    }
}

impl Source for MadeChart {
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        let parts = self.parts().map_err(|error| error.into_store(&self.from))?;
        let missing = || store::Error::Missing { place: self.from.clone(), digest: blob.digest };
        let bytes = parts.find(&blob.digest).ok_or_else(missing)?;
        Ok(Box::new(Held(bytes.slice(small(offset).min(bytes.len())..))))
    }
}

/// Bytes in memory, handed out piece by piece.
struct Held(Bytes);

impl Pieces for Held {
    fn next(&mut self) -> Result<Option<Bytes>, store::Error> {
        let length = self.0.len().min(small(limits::PIECE_BYTES));
        Ok((length > 0).then(|| self.0.split_to(length)))
    }
}

impl Images for MadeChart {
    fn root(&self, _: &Named<'_>) -> Result<RawManifest, Error> {
        Ok(self.parts()?.raw())
    }

    fn manifest(&self, blob: &Blob) -> Result<RawManifest, Error> {
        let parts = self.parts()?;
        if parts.root() != blob.digest {
            return Err(store::Error::Missing { place: self.from.clone(), digest: blob.digest }.into());
        }
        Ok(parts.raw())
    }
}
