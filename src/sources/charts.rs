//! Where charts are read: a folder or `.tgz`, a registry, a chart repository.
//!
//! A chart from a registry is carried as it is. Of any other the manifest and the configuration are made here, the same each time; the
//! archive is carried byte for byte, or packed the same each time. Locking a chart that has not changed fetches no archive, but for one
//! of a repository whose index states no digest.

use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use super::gather::{parse, proved};
use super::{Error, Images, Named, RawManifest, Sources, read_small};
use crate::chart::archive;
use crate::chart::oci::{self, Made};
use crate::digest::Digest;
use crate::limits;
use crate::oci::{Descriptor, Manifest, Reference, media};
use crate::release::lock::{LockedBlob, LockedChart, LockedManifest};
use crate::release::sections::Chart;

mod error;
mod folder;
mod made;
mod repository;

pub use error::ChartError;
pub(super) use repository::Indexes;

use made::{MadeChart, Parts};

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub struct ChartWish<'a> {
    /// As declared.
    pub chart: &'a Chart,
    /// What the lock has of it, where it has it.
    pub previous: Option<&'a LockedChart>,
}

/// A chart, pinned, and who has it.
pub struct ResolvedChart {
    /// The chart; the images it runs are not looked for here.
    pub locked: LockedChart,
    /// Who has its blobs.
    pub source: Arc<dyn Images>,
}

impl ResolvedChart {
    /// The archive, proved to be the pinned one.
    ///
    /// # Errors
    /// What reading it met.
    pub fn archive(&self) -> Result<Vec<u8>, Error> {
        let layers = self.locked.manifests.last().map(|root| root.layers.as_slice()).unwrap_or_default();
        let archive = layers.iter().find(|layer| oci::is_archive(&layer.media_type));
        let archive = archive.ok_or_else(|| Error::Place { from: self.locked.from.clone() })?;
        read_small(self.source.as_ref(), &archive.blob(), limits::CHART_BYTES)
    }
}

/// Where a chart is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A folder or an archive.
    Path(PathBuf),
    /// A registry.
    Registry(Reference),
    /// A repository, and the chart's name and version in it.
    Repository { url: Url, name: String, version: String },
}

/// What the `from` of a chart that is read from a path begins with.
const PATH: &str = "path:";
/// What the address of a chart in a registry begins with.
const OCI: &str = "oci://";

/// Who has the blobs of `chart`.
pub(super) fn open(chart: &LockedChart, sources: &Sources<'_>) -> Result<Arc<dyn Images>, Error> {
    let place = match chart.from.strip_prefix(PATH) {
        Some(path) => Place::Path(path.into()),
        None if chart.from.starts_with(OCI) => Place::Registry(reference(&chart.from, &chart.version)?),
        None => repository_place(&chart.from, &chart.name, &chart.version)?,
    };
    match place {
        Place::Registry(reference) => Ok(sources.repository(&reference)),
        other => {
            let made = MadeChart::new(&other, chart, sources);
            // What is on this machine is asked now, so that a chart that was changed is told before anything is written.
            if matches!(other, Place::Path(_)) {
                made.parts()?;
            }
            Ok(Arc::new(made))
        }
    }
}

/// Locks a chart.
pub(super) fn resolve(wish: &ChartWish<'_>, sources: &Sources<'_>) -> Result<ResolvedChart, Error> {
    let chart = wish.chart;
    let version = chart.version.as_deref().unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if let Some(path) = &chart.path {
        let parts = Parts::of_path(&sources.base.join(path), &sources.base)?;
        return Ok(made(wish, format!("{PATH}{path}"), &Place::Path(path.into()), parts, sources));
    }
    if let Some(address) = &chart.reference {
        return from_registry(wish, address, &reference(address, version)?, sources);
    }
    let (address, name) = (text(&chart.repo), text(&chart.name));
    let place = repository_place(&address, &name, version)?;
    let Place::Repository { url, .. } = &place else { return Err(Error::Place { from: address }) };
    let found = sources.indexes.find(sources.reach, url, &name, version)?;
    if let Some(locked) = wish.keep(&address, |old| {
        let archive = old.layers.iter().find(|layer| layer.media_type == oci::CHART);
        old.inline.is_some() && found.digest.is_some() && archive.map(|layer| layer.digest) == found.digest
    }) && locked.name == name
        && locked.version == version
    {
        let source = Arc::new(MadeChart::new(&place, &locked, sources));
        return Ok(ResolvedChart { locked, source });
    }
    let parts = repository::fetch(sources.reach, &found, &name, version)?;
    Ok(made(wish, address, &place, parts, sources))
}

impl ChartWish<'_> {
    /// What the lock has, when it is from the same place and `same` says so of its root.
    fn keep(&self, from: &str, same: impl Fn(&LockedManifest) -> bool) -> Option<LockedChart> {
        let old = self.previous.filter(|old| old.from == from)?;
        old.manifests.last().filter(|root| same(root))?;
        let Chart { release, namespace, .. } = self.chart;
        Some(LockedChart { release: release.clone(), namespace: namespace.clone(), ..old.clone() })
    }

    fn locked(&self, from: String, chart: (String, String), manifest: LockedManifest) -> LockedChart {
        let (name, version) = chart;
        LockedChart {
            name,
            version,
            from,
            release: self.chart.release.clone(),
            namespace: self.chart.namespace.clone(),
            manifests: vec![manifest],
            rendered: None,
            images: Vec::new(),
        }
    }
}

fn made(
    wish: &ChartWish<'_>,
    from: String,
    place: &Place,
    parts: Parts,
    sources: &Sources<'_>,
) -> ResolvedChart {
    let Made { manifest, config, layers, .. } = parts.made.clone();
    let manifest = LockedManifest {
        digest: Digest::of(manifest.as_bytes()),
        size: manifest.len() as u64,
        media_type: media::OCI_MANIFEST.to_owned(),
        platform: None,
        inline: Some(manifest),
        config: Some(locked_blob(&config)),
        layers: layers.iter().map(locked_blob).collect(),
        children: Vec::new(),
    };
    let locked = wish.locked(from, (parts.name.clone(), parts.version.clone()), manifest);
    let source = MadeChart::new(place, &locked, sources);
    source.hold(parts);
    ResolvedChart { locked, source: Arc::new(source) }
}

fn locked_blob(descriptor: &Descriptor) -> LockedBlob {
    let Descriptor { digest, size, media_type, .. } = descriptor.clone();
    LockedBlob { digest, size, media_type }
}

fn from_registry(
    wish: &ChartWish<'_>,
    address: &str,
    reference: &Reference,
    sources: &Sources<'_>,
) -> Result<ResolvedChart, Error> {
    let source = sources.repository(reference);
    let raw: RawManifest = source.root(&Named { tag: None, reference })?;
    let blob = proved(&raw, None)?;
    if let Some(locked) = wish.keep(address, |old| old.digest == blob.digest) {
        return Ok(ResolvedChart { locked, source });
    }
    let (manifest, media_type) = parse(&raw, raw.media_type.as_deref())?;
    let place = reference.to_string();
    let (config, archive) =
        oci::parts(&manifest).map_err(|source| ChartError::NotAChart { reference: place.clone(), source })?;
    let bytes = read_small(source.as_ref(), &config.blob(), limits::CONFIG_BYTES)?;
    let stated = oci::stated(&bytes).map_err(|why| ChartError::Config { place: place.clone(), why })?;
    let bytes = read_small(source.as_ref(), &archive.blob(), limits::CHART_BYTES)?;
    let own = check(&bytes, &place)?;
    let version = wish.chart.version.clone().unwrap_or_default();
    if own != stated || own.1 != version {
        let (name, own_version) = own;
        let declared = if stated.1 == version && stated.0 != name {
            format!("{} {}", stated.0, stated.1)
        } else {
            version
        };
        return Err(ChartError::Disagrees { place, name, version: own_version, declared }.into());
    }
    let Manifest::Image { layers, .. } = &manifest else { return Err(Error::Place { from: place }) };
    let manifest = LockedManifest {
        digest: blob.digest,
        size: blob.size,
        media_type,
        platform: None,
        inline: None,
        config: Some(locked_blob(config)),
        layers: layers.iter().map(locked_blob).collect(),
        children: Vec::new(),
    };
    Ok(ResolvedChart { locked: wish.locked(address.to_owned(), own, manifest), source })
}

/// Reads an archive and compares what it needs with what it holds; gives its name and version.
fn check(bytes: &[u8], place: &str) -> Result<(String, String), Error> {
    let chart =
        archive::read(bytes).map_err(|source| ChartError::Archive { place: place.to_owned(), source })?;
    let faults = chart.dependency_faults();
    if !faults.is_empty() {
        return Err(ChartError::Dependencies(faults).into());
    }
    Ok((chart.metadata.name.to_string(), chart.metadata.version.to_string()))
}

/// `oci://HOST/PATH` and a version, as a reference.
fn reference(address: &str, version: &str) -> Result<Reference, Error> {
    let fault = |source| ChartError::Reference { reference: address.to_owned(), source };
    let Some(rest) = address.strip_prefix(OCI) else {
        return Err(
            ChartError::Address { address: address.to_owned(), why: "ref: begins with oci://" }.into()
        );
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if rest.contains('@') || path.contains(':') {
        return Err(ChartError::Tagged(address.to_owned()).into());
    }
    let repository = crate::oci::Repository::new(host, path).map_err(fault)?;
    let tag = crate::chart::tag(version).ok_or_else(|| ChartError::Version(version.to_owned()))?;
    Ok(Reference::new(repository, Some(&tag), None).map_err(fault)?)
}

fn repository_place(address: &str, name: &str, version: &str) -> Result<Place, Error> {
    let fault =
        |why| ChartError::Address { address: address.split('?').next().unwrap_or_default().to_owned(), why };
    let url = Url::parse(address).map_err(|_| fault("it is no address; repo: begins with https://"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fault("repo: begins with https://; a chart in a registry is declared by ref:").into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("it holds credentials, which would stand in release.yaml and in the lock").into());
    }
    Ok(Place::Repository { url, name: name.to_owned(), version: version.to_owned() })
}
