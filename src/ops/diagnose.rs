//! `bundle diagnose`: what support needs to see of an installation, in one file that may leave the house.
//!
//! The cluster is only read. Everything passes [`plan::redact`](crate::plan::redact) before it is packed; the values of the cluster's
//! secrets are read to be found elsewhere, and are written nowhere. What could not be had is listed, and takes nothing else away.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::limits;
use crate::ops::preflight::fault_of;
use crate::plan::preflight::Fault;
use crate::plan::redact::{KEY_BYTES, Kind, Redactor, Taken};
use crate::sys::random::{self, RandomError};
use crate::sys::{clock, fs};
use crate::tools::kubectl::{self, Kubectl, Scope};

mod collect;
mod pack;
mod page;

/// What is asked for.
pub struct Request<'a> {
    /// Which cluster.
    pub cluster: kubectl::Cluster,
    /// Namespaces to look at; empty for those this program installed something into.
    pub namespaces: &'a [String],
    /// What of an earlier check is put in: its file name and its content.
    pub reports: &'a [(&'a str, Value)],
    /// What is left as it is.
    pub keep: BTreeSet<Kind>,
    /// The folder that keeps the key of the pseudonyms; `None` for one that is thrown away.
    pub state: Option<&'a Path>,
    /// Where it goes; nothing may be there.
    pub out: &'a Path,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster cannot be asked.
    #[error("{detail}")]
    Cluster {
        /// Its kind.
        fault: Fault,
        /// In words.
        detail: String,
    },
    /// Nothing says where to look.
    #[error("nothing that this program installed is in the cluster, and no namespace was named")]
    NoNamespace,
    /// A named namespace is not there.
    #[error("there is no namespace {0}")]
    NamespaceMissing(String),
    /// It could not be written.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<kubectl::Error> for Error {
    fn from(error: kubectl::Error) -> Self {
        let (fault, detail) = fault_of(&error);
        Self::Cluster { fault, detail }
    }
}

/// Something that could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// A file of the diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its path.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// The namespaces looked at.
    pub namespaces: Vec<String>,
    /// What is in it.
    pub files: Vec<Entry>,
    /// What could not be had.
    pub missing: Vec<Missing>,
    /// What was taken out.
    pub taken: Vec<Taken>,
    /// What was left in because that was asked for.
    pub kept: BTreeSet<Kind>,
    /// Whether the same pseudonyms will stand for the same addresses next time.
    pub lasting: bool,
}

/// Collects, redacts and packs.
///
/// # Errors
/// When the cluster does not answer, or the file cannot be written; all else is in the report.
pub fn diagnose(request: &Request<'_>) -> Result<Report, Error> {
    // Found out now rather than after minutes of collecting.
    if request.out.symlink_metadata().is_ok() {
        return Err(fs::Error::Exists { path: request.out.to_owned() }.into());
    }
    let kubectl = Kubectl::find(None, request.cluster.clone())?;
    let version = kubectl.server_version()?;
    let namespaces = namespaces(&kubectl, request.namespaces)?;
    let (key, lasting) = pseudonym_key(request.state)?;
    let mut pack = pack::Pack::begin(request.out, clock::now())?;
    let mut collected = collect::Collected::new(Redactor::new(key, request.keep.clone()));
    collected.everything(&kubectl, &namespaces, &mut pack)?;
    for (name, report) in request.reports {
        collected.put_json(name, report.clone(), &mut pack)?;
    }
    let about = page::About {
        program: env!("CARGO_PKG_VERSION"),
        kubectl: kubectl.version().to_string(),
        cluster: version.to_string(),
        namespaces: &namespaces,
        lasting,
        kept: &request.keep,
    };
    collected.finish(&about, &mut pack)?;
    let collect::Collected { redactor, missing, .. } = collected;
    let (files, bytes) = pack.finish()?;
    Ok(Report {
        file: request.out.to_owned(),
        bytes,
        namespaces,
        files,
        missing,
        taken: redactor.taken(),
        kept: request.keep.clone(),
        lasting,
    })
}

/// The named ones, which must be there; else those with something of this program's in them.
fn namespaces(kubectl: &Kubectl, named: &[String]) -> Result<Vec<String>, Error> {
    for name in named {
        // Who may not look at namespaces may still look into one.
        if matches!(kubectl.get("namespace", name, Scope::Cluster), Ok(None)) {
            return Err(Error::NamespaceMissing(name.clone()));
        }
    }
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let ours = kubectl.list("configmaps", "app.kubernetes.io/managed-by=bundle", Scope::Cluster)?;
    let found: BTreeSet<String> = ours
        .iter()
        .filter_map(|object| Some(object.pointer("/metadata/namespace")?.as_str()?.to_owned()))
        .collect();
    if found.is_empty() { Err(Error::NoNamespace) } else { Ok(found.into_iter().collect()) }
}

/// The key that pseudonyms are made with, and whether it stays: support follows an address through two diagnoses only then.
fn pseudonym_key(state: Option<&Path>) -> Result<([u8; KEY_BYTES], bool), Error> {
    let fresh = *random::bytes::<KEY_BYTES>()?;
    let Some(path) = state.map(|folder| folder.join("pseudonyms.key")) else { return Ok((fresh, false)) };
    let read =
        || fs::read_private(&path, limits::KEY_BYTES).ok().and_then(|bytes| bytes.as_slice().try_into().ok());
    if let Some(key) = read() {
        return Ok((key, true));
    }
    // Where it cannot be kept, the diagnosis is worth more than the next one's names.
    let kept = fs::private_folder_of(&path).and_then(|()| fs::create(&path, &fresh, fs::PRIVATE));
    // Another run may have been first.
    Ok(match (kept, read()) {
        (Ok(()), _) => (fresh, true),
        (Err(_), Some(key)) => (key, true),
        (Err(_), None) => (fresh, false),
    })
}
