//! The licence in the cluster: put there, and judged there.
//!
//! It is kept in the secret that the release's chart reads. Both are judged by the signed policy of a bundle, as an installation judges.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use signing::license::{Verdict, judge};
use signing::time::Time;
use signing::{Policy, Weight};

use super::{Checked, Key, Meant, expect, meant};
use crate::bundle::index::{Index, IndexLicense};
use crate::limits;
use crate::ops::finding::Finding;
use crate::ops::install::license::KEY;
use crate::ops::install::license_secret;
use crate::ops::open::Authenticated;
use crate::ops::preflight::fault_of;
use crate::ops::unlock;
use crate::plan::preflight::Fault;
use crate::sys::fs;
use crate::tools::kubectl::{self, Kubectl, Scope};

/// What is asked for.
pub struct Request<'a> {
    /// The folders the bundle is in, whose policy holds.
    pub folders: &'a [PathBuf],
    /// Who is trusted.
    pub policy: &'a Policy,
    /// Seconds since 1970; `None` where there is no clock.
    pub now: Option<i64>,
    /// The folder that remembers what was loaded; `None` where there is none.
    pub state: Option<&'a Path>,
    /// Which cluster.
    pub cluster: kubectl::Cluster,
    /// The namespace; `None` for where the release's charts go.
    pub namespace: Option<&'a str>,
    /// The secret; `None` for the one that the release's chart reads.
    pub secret: Option<&'a str>,
    /// Whose licence it must be; `None` for whose name its file in `licenses/` has, or anybody's.
    pub customer: Option<&'a str>,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle cannot be read.
    #[error(transparent)]
    Unlock(#[from] unlock::Error),
    /// The licence cannot be read.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The cluster cannot be asked.
    #[error("{detail}")]
    Cluster {
        /// Its kind.
        fault: Fault,
        /// In words.
        detail: String,
    },
    /// The release needs no licence.
    #[error("{0} names no key for licences, so it needs none")]
    NoPolicy(String),
    /// There is none.
    #[error("there is no licence in licenses/, and none was named")]
    None,
    /// There are several.
    #[error("several licences lie in licenses/: {}", .0.join(", "))]
    Several(Vec<String>),
    /// There is no such namespace.
    #[error("there is no namespace {0}")]
    NoNamespace(String),
    /// The cluster has no licence.
    #[error("there is no licence in the cluster: secret {secret} in namespace {namespace} has no {KEY}")]
    NotInstalled {
        /// The namespace.
        namespace: String,
        /// The secret.
        secret: String,
    },
}

impl From<kubectl::Error> for Error {
    fn from(error: kubectl::Error) -> Self {
        let (fault, detail) = fault_of(&error);
        Self::Cluster { fault, detail }
    }
}

/// What becomes of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was not there.
    Created,
    /// It held another licence.
    Changed,
    /// It holds this one.
    Kept,
    /// Nothing was done: the licence is refused, or only its state was asked for.
    Nothing,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InCluster {
    /// The licence, judged; absent when the bundle's own signatures refuse.
    #[serde(flatten)]
    pub checked: Option<Checked>,
    /// What was seen of the bundle.
    pub findings: Vec<Finding>,
    /// The namespace.
    pub namespace: String,
    /// The secret.
    pub secret: String,
    /// What became of the secret.
    pub change: Change,
}

/// What both begin with.
struct Begun {
    bundle: Authenticated,
    report: InCluster,
}

fn begin(request: &Request<'_>) -> Result<Result<Begun, InCluster>, Error> {
    let Request { folders, policy, now, .. } = *request;
    // A licence is renewed for what is installed, whatever was loaded since.
    let asked =
        unlock::Request { folders, policy, with: None, now, state: request.state, allow_downgrade: true };
    let seen = unlock::authenticate(&asked)?;
    let mut report = InCluster {
        checked: None,
        findings: seen.findings,
        namespace: request.namespace.unwrap_or_default().to_owned(),
        secret: request.secret.unwrap_or_default().to_owned(),
        change: Change::Nothing,
    };
    let Some(bundle) = seen.bundle else { return Ok(Err(report)) };
    let index = bundle.index.get();
    if report.namespace.is_empty() {
        let chart = index.charts.iter().find_map(|chart| chart.namespace.as_deref());
        chart.unwrap_or("default").clone_into(&mut report.namespace);
    }
    if report.secret.is_empty() {
        report.secret = license_secret(index);
    }
    Ok(Ok(Begun { bundle, report }))
}

fn policy_of(index: &Index) -> Result<&IndexLicense, Error> {
    let name = || format!("{} {}", index.release.name, index.release.version);
    index.license.as_ref().ok_or_else(|| Error::NoPolicy(name()))
}

/// Puts a licence into the cluster: `file`, else the one that lies beside the bundle. One that is refused changes nothing.
///
/// # Errors
/// What keeps it from being read, or put there.
pub fn install(request: &Request<'_>, file: Option<&Path>) -> Result<InCluster, Error> {
    let Begun { bundle, mut report } = match begin(request)? {
        Ok(begun) => begun,
        Err(refused) => return Ok(refused),
    };
    let license = policy_of(bundle.index.get())?;
    let (shown, customer, bytes) = read(&bundle, file, request.customer)?;
    let checked = check(license, (&shown, &bytes), (customer.as_deref(), request));
    let ok = checked.ok;
    report.checked = Some(checked);
    if !ok {
        return Ok(report);
    }
    let kubectl = Kubectl::find(None, request.cluster.clone())?;
    // Who may not look at namespaces may still write into one.
    if matches!(kubectl.get("namespace", &report.namespace, Scope::Cluster), Ok(None)) {
        return Err(Error::NoNamespace(report.namespace));
    }
    let there = value(&kubectl, &report)?;
    report.change = match there {
        Some(there) if there == bytes => Change::Kept,
        Some(_) => Change::Changed,
        None => Change::Created,
    };
    if report.change != Change::Kept {
        let object = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": report.secret, "labels": {"app.kubernetes.io/managed-by": "bundle"}},
            "data": {KEY: STANDARD.encode(&bytes)},
        });
        let what = format!("secret {}", report.secret);
        kubectl.apply(&what, object.to_string().as_bytes(), Some(&report.namespace), false)?;
    }
    Ok(report)
}

/// Judges the licence that is in the cluster.
///
/// # Errors
/// [`Error::NotInstalled`], or what keeps it from being read.
pub fn status(request: &Request<'_>) -> Result<InCluster, Error> {
    let Begun { bundle, mut report } = match begin(request)? {
        Ok(begun) => begun,
        Err(refused) => return Ok(refused),
    };
    let license = policy_of(bundle.index.get())?;
    let kubectl = Kubectl::find(None, request.cluster.clone())?;
    let Some(bytes) = value(&kubectl, &report)? else {
        return Err(Error::NotInstalled { namespace: report.namespace, secret: report.secret });
    };
    let shown = format!("secret {} in namespace {}", report.secret, report.namespace);
    report.checked = Some(check(license, (&shown, &bytes), (request.customer, request)));
    Ok(report)
}

/// What the secret holds.
fn value(kubectl: &Kubectl, report: &InCluster) -> Result<Option<Vec<u8>>, Error> {
    let secret = kubectl.get("secret", &report.secret, Scope::Namespace(&report.namespace))?;
    let text = secret.as_ref().and_then(|secret| secret.get("data")?.get(KEY)).and_then(Value::as_str);
    Ok(text.map(|text| STANDARD.decode(text).unwrap_or_default()))
}

fn check(
    license: &IndexLicense,
    (shown, bytes): (&str, &[u8]),
    (customer, request): (Option<&str>, &Request<'_>),
) -> Checked {
    let limit = signing::limits::LICENSE_BYTES;
    let clock = request.policy.terms().consequences.clock;
    let (weight, verdicts, claims) = if bytes.len() > limit {
        (Weight::Refuse, vec![Verdict::Oversized { limit }], None)
    } else {
        let judgement = judge(bytes, &license.public_key, &expect(license, customer, clock), request.now);
        (judgement.weight(), judgement.verdicts().cloned().collect(), judgement.claims().cloned())
    };
    Checked {
        ok: weight != Weight::Refuse,
        file: shown.to_owned(),
        weight,
        verdicts,
        key: Key::from(&license.public_key),
        at: request.now.and_then(Time::from_unix),
        claims,
    }
}

type Read = (String, Option<String>, Vec<u8>);

fn read(bundle: &Authenticated, file: Option<&Path>, customer: Option<&str>) -> Result<Read, Error> {
    // One more than a licence can have, so that too many are seen as such.
    let limit = signing::limits::LICENSE_BYTES as u64 + 1;
    let wanted = customer.map(ToOwned::to_owned);
    if let Some(file) = file {
        let bytes = fs::read_limited(file, limits::KEY_BYTES.max(limit))?;
        return Ok((file.display().to_string(), wanted, bytes));
    }
    match meant(bundle, customer, limit)? {
        Meant::None => Err(Error::None),
        Meant::One { path, customer, bytes } => Ok((path, wanted.or(Some(customer)), bytes)),
        Meant::Several(names) => Err(Error::Several(names)),
    }
}
