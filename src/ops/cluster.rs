//! The customer's cluster: the two programs that reach it, and what it remembers of what this program installed.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::limits;
use crate::oci::Platform;
use crate::ops::open::Authenticated;
use crate::path::EntryPath;
use crate::plan::installed::{History, RELEASE_LABEL, Record, RecordError};
use crate::sys::{delivered, fs};
use crate::tools::helm::{self, Helm};
use crate::tools::kubectl::{self, Cluster, Kubectl, Scope};

/// Both programs, pointed at one cluster.
#[derive(Debug, Clone)]
pub struct Reach {
    /// kubectl.
    pub kubectl: Kubectl,
    /// Helm.
    pub helm: Helm,
}

/// Why the cluster cannot be reached, or what it remembers cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// kubectl's, or the cluster's, fault.
    #[error(transparent)]
    Kubectl(#[from] kubectl::Error),
    /// Helm's.
    #[error(transparent)]
    Helm(#[from] helm::Error),
    /// A program of the bundle cannot be read.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// A program of the bundle is not the one that was signed.
    #[error("{path} is not the file that was signed", path = path.display())]
    ToolChanged {
        /// Which.
        path: PathBuf,
    },
    /// What it remembers cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Nothing is installed.
    #[error("{0}")]
    NotInstalled(String),
    /// Several things are, and none was named.
    #[error("several releases are installed: {}", .0.join(", "))]
    Several(Vec<String>),
}

/// Finds both programs: the ones that are named, else those on the search path, else those that `bundle` carries for this machine,
/// whose bytes are checked first. Asks the cluster for its version, so that one that does not answer is known at once.
///
/// # Errors
/// What is missing, too old, or does not answer.
pub fn reach(bundle: Option<&Authenticated>, cluster: Cluster) -> Result<Reach, Error> {
    // Hashing 100 MB from a stick is for where it is needed.
    let carried = |name: &str| bundle.map_or(Ok(None), |bundle| tool(bundle, name));
    let kubectl = match Kubectl::find(None, cluster.clone()) {
        Err(kubectl::Error::Missing { named: None }) => {
            Kubectl::find(carried("kubectl")?.as_deref(), cluster)?
        }
        found => found?,
    };
    let helm = match Helm::for_clusters(None) {
        Err(helm::Error::Missing { named: None }) => Helm::for_clusters(carried("helm")?.as_deref())?,
        found => found?,
    };
    kubectl.server_version()?;
    Ok(Reach { kubectl, helm })
}

/// The program `name` that the bundle carries for this machine, its bytes checked.
///
/// # Errors
/// When it is not what was signed, or cannot be read.
pub fn tool(bundle: &Authenticated, name: &str) -> Result<Option<PathBuf>, Error> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let here: Option<Platform> = format!("{}/{architecture}", std::env::consts::OS).parse().ok();
    let index = bundle.index.get();
    let tool = index.tools.iter().find(|tool| tool.name == name && Some(&tool.platform) == here.as_ref());
    let Some(tool) = tool else { return Ok(None) };
    let path = tool.path.under(bundle.home());
    if delivered::hash(bundle.home(), &tool.path, limits::PLAIN_FILE_BYTES)? != tool.sha256 {
        return Err(Error::ToolChanged { path });
    }
    Ok(Some(path))
}

/// What is remembered of `release` in `namespace`.
///
/// # Errors
/// What keeps it from being read.
pub fn history(kubectl: &Kubectl, release: &str, namespace: &str) -> Result<History, Error> {
    let labels = format!("{RELEASE_LABEL}={release}");
    let found = kubectl.list("configmaps", &labels, Scope::Namespace(namespace))?;
    let records: Result<Vec<Record>, RecordError> = found.iter().map(Record::of).collect();
    Ok(History::new(records?))
}

/// The one release that is meant: `release` in `namespace`, either of which may be left out where there is only one.
///
/// # Errors
/// [`Error::NotInstalled`], [`Error::Several`], or what keeps it from being read.
pub fn find(kubectl: &Kubectl, release: Option<&str>, namespace: Option<&str>) -> Result<History, Error> {
    let labels = match release {
        Some(release) => format!("{RELEASE_LABEL}={release}"),
        None => RELEASE_LABEL.to_owned(),
    };
    let scope = namespace.map_or(Scope::Cluster, Scope::Namespace);
    let found = kubectl.list("configmaps", &labels, scope)?;
    let records: Result<Vec<Record>, RecordError> = found.iter().map(Record::of).collect();
    let mut all: std::collections::BTreeMap<(String, String), Vec<Record>> =
        std::collections::BTreeMap::new();
    for record in records? {
        all.entry((record.release.name.clone(), record.namespace.clone())).or_default().push(record);
    }
    let names: Vec<String> =
        all.keys().map(|(name, namespace)| format!("{name} in namespace {namespace}")).collect();
    let mut all = all.into_values();
    match (all.next(), all.next()) {
        (None, _) => {
            let what = release.map_or_else(|| "nothing".to_owned(), |name| format!("no release \"{name}\""));
            let place =
                namespace.map_or_else(|| "this cluster".to_owned(), |name| format!("namespace {name}"));
            Err(Error::NotInstalled(format!("{what} that this program installed is in {place}")))
        }
        (Some(records), None) => Ok(History::new(records)),
        _ => Err(Error::Several(names)),
    }
}

/// Remembers a revision.
///
/// # Errors
/// What the cluster refuses.
pub fn save(kubectl: &Kubectl, record: &Record) -> Result<(), Error> {
    let text = record.object().to_string();
    Ok(kubectl.apply(
        &format!("configmap {}", record.name()),
        text.as_bytes(),
        Some(&record.namespace),
        false,
    )?)
}

/// Forgets a revision.
///
/// # Errors
/// What the cluster refuses.
pub fn forget(kubectl: &Kubectl, record: &Record) -> Result<(), Error> {
    let scope = Scope::Namespace(&record.namespace);
    kubectl.delete("configmap", &record.name(), scope)?;
    Ok(kubectl.delete("secret", &record.name(), scope)?)
}

/// The namespace `name` as an object.
#[must_use]
pub fn namespace_object(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// A file of the bundle's own that the index lists, its bytes checked.
///
/// # Errors
/// When it is not what was signed, or cannot be read.
pub fn listed(bundle: &Authenticated, path: &EntryPath) -> Result<Vec<u8>, Error> {
    let bytes = delivered::read(bundle.home(), path, limits::HAND_WRITTEN_BYTES)?;
    let wanted = bundle.index.get().files.iter().find(|file| file.path == *path).map(|file| file.sha256);
    match wanted == Some(crate::digest::Digest::of(&bytes)) {
        true => Ok(bytes),
        false => Err(Error::ToolChanged { path: path.under(bundle.home()) }),
    }
}
