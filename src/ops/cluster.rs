//! The customer's cluster: the two programs that reach it, and what it remembers of what this program installed.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::bundle::index::IndexTool;
use crate::digest::Hasher;
use crate::limits;
use crate::oci::Platform;
use crate::ops::open::Authenticated;
use crate::path::EntryPath;
use crate::plan::installed::{History, RELEASE_LABEL, Record, RecordError};
use crate::sys::{delivered, fs, own, state};
use crate::tools::helm::{self, Helm};
use crate::tools::kubectl::{self, Cluster, Kubectl, Scope};

/// Permission bits of a program that only this user runs.
const PROGRAM: u32 = 0o700;
/// Bytes of a program copied at once.
const PIECE: usize = 256 << 10;

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
    private_copy(bundle, tool).map(Some)
}

/// A copy of a carried program that nobody else can change, made while its bytes are checked: what is checked is what runs, whatever the
/// medium does meanwhile. It stays with what this user's program remembers, and is used again.
fn private_copy(bundle: &Authenticated, tool: &IndexTool) -> Result<PathBuf, Error> {
    let wrong = || Error::ToolChanged { path: tool.path.under(bundle.home()) };
    let state = state::folder().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("bundle-{}", rustix::process::geteuid().as_raw()))
    });
    let name: EntryPath = tool.name.parse().map_err(|_| wrong())?;
    let folder = state.join("tools").join(tool.sha256.hex());
    let copy = name.under(&folder);
    fs::private_folder_of(&copy)?;
    own::folder(&folder)?;
    if delivered::hash(&folder, &name, tool.bytes).is_ok_and(|hash| hash == tool.sha256) {
        return Ok(copy);
    }
    let mut file = delivered::open(bundle.home(), &tool.path)?.take(tool.bytes.saturating_add(1));
    let mut draft = fs::Draft::begin(&copy, PROGRAM)?;
    let mut hasher = Hasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        let io = |path: PathBuf| move |source| fs::Error::Io { path, source };
        let read = file.read(&mut piece).map_err(io(tool.path.under(bundle.home())))?;
        if read == 0 {
            break;
        }
        hasher.update(&piece[..read]);
        draft.write_all(&piece[..read]).map_err(io(copy.clone()))?;
    }
    if hasher.finish() != tool.sha256 {
        return Err(wrong());
    }
    draft.replace()?;
    Ok(copy)
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
