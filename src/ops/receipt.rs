//! Receipts: who checked a bundle, with what, when, and everything that was seen.
//!
//! A receipt is a file of its own, never in the bundle's folder: canonical JSON, written once. Beside it lies, when the operator has a key for
//! that, `<file>.sig`: the Ed25519 signature over its exact bytes, as of everything else that is signed, so that `openssl` can check it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use signing::policy::{Consequences, Terms};
use signing::time::Time;
use signing::{KeyId, Policy, PublicKey, SecretKey, Weight, raw};

use crate::bundle::canonical;
use crate::bundle::damage::Damage;
use crate::bundle::index::Release;
use crate::digest::Digest;
use crate::limits;
use crate::ops::verify::Report;
use crate::sys::fs;
use crate::text::printable;

/// What a receipt says it is, so that no other signed document can be taken for one.
const KIND: &str = "bundle-receipt";
/// The version of its shape.
const FORMAT: u32 = 1;

/// A check, and who made it.
pub struct Receipt<'a> {
    /// The folders that were checked, as they were named.
    pub folders: &'a [PathBuf],
    /// The policy, and the bytes it was read from.
    pub policy: (&'a Policy, &'a [u8]),
    /// When; `None` where there is no clock.
    pub now: Option<i64>,
    /// The user: name and number.
    pub user: (String, u32),
    /// The machine.
    pub host: String,
    /// Ways of being less safe that were asked for.
    pub less_safe: Vec<String>,
    /// What came of it.
    pub report: &'a Report,
}

/// Why there is no receipt, or it is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// It is not one.
    #[error("{path}: it is not a receipt: {why}", path = path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

#[derive(Serialize)]
struct Document<'a> {
    checked_at: Option<String>,
    checker: Checker,
    folders: Vec<String>,
    format: u32,
    kind: &'static str,
    less_safe: Vec<String>,
    policy: Trusted,
    program: Program,
    report: &'a Report,
}

/// Who checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checker {
    /// The machine's name.
    pub host: String,
    /// The user's number.
    pub uid: u32,
    /// The user's name.
    pub user: String,
}

/// By which policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trusted {
    /// The keys it names.
    pub keys: Vec<KeyId>,
    /// SHA-256 of its file.
    pub sha256: Digest,
    /// How many must have signed.
    pub threshold: u32,
    /// Its version.
    pub version: u64,
}

/// With which program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Where the signature of the receipt `file` lies.
#[must_use]
pub fn signature_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// Finds out, before the long work, whether a receipt can be written: nothing is there, and the place takes files.
///
/// # Errors
/// What [`write`] would end in.
pub fn probe(file: &Path) -> Result<(), fs::Error> {
    for path in [file.to_owned(), signature_of(file)] {
        if path.symlink_metadata().is_ok() {
            return Err(fs::Error::Exists { path });
        }
    }
    fs::probe(file, fs::PUBLIC)
}

/// Writes the receipt, and its signature when there is a key.
///
/// # Errors
/// What the system refused.
pub fn write(file: &Path, receipt: &Receipt<'_>, key: Option<&SecretKey>) -> Result<(), Error> {
    let (policy, policy_bytes) = receipt.policy;
    let terms = policy.terms();
    let document = Document {
        checked_at: receipt.now.and_then(Time::from_unix).map(|time| time.to_string()),
        checker: Checker {
            host: printable(&receipt.host, 200),
            uid: receipt.user.1,
            user: printable(&receipt.user.0, 200),
        },
        folders: receipt.folders.iter().map(|folder| folder.display().to_string()).collect(),
        format: FORMAT,
        kind: KIND,
        less_safe: receipt.less_safe.iter().cloned().chain(weakened(terms)).collect(),
        policy: Trusted {
            keys: terms.keys.iter().map(|trusted| trusted.key.id()).collect(),
            sha256: Digest::of(policy_bytes),
            threshold: terms.threshold,
            version: terms.version,
        },
        program: Program { name: "bundle".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        report: receipt.report,
    };
    let text = canonical::to_text(&document)
        .map_err(|error| Error::Malformed { path: file.to_owned(), why: error.to_string() })?;
    fs::create(file, &text, fs::PUBLIC)?;
    if let Some(key) = key {
        fs::create(&signature_of(file), &raw::sign(key, &text), fs::PUBLIC)?;
    }
    Ok(())
}

/// What the policy takes less seriously than it would if it did not say, in words.
fn weakened(terms: &Terms) -> Vec<String> {
    let (has, usual) = (terms.consequences, Consequences::default());
    let weights = [
        ("clock", has.clock, usual.clock),
        ("downgrade", has.downgrade, usual.downgrade),
        ("expired", has.expired, usual.expired),
        ("not-yet-valid", has.not_yet_valid, usual.not_yet_valid),
        ("unknown-key", has.unknown_key, usual.unknown_key),
    ];
    let said = |weight| match weight {
        Weight::Ignore => "ignore",
        Weight::Warn => "warn",
        Weight::Refuse => "refuse",
    };
    let weights = weights.into_iter().filter(|(_, has, usual)| has < usual);
    let mut all: Vec<String> =
        weights.map(|(finding, has, _)| format!("the policy weighs {finding}={}", said(has))).collect();
    if terms.threshold == 1 && terms.keys.len() > 1 {
        all.push(format!("the policy takes any one of {} keys", terms.keys.len()));
    }
    all
}

/// What a receipt says, and whether its signature holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Whether it is a receipt and, where a key was given, signed by it.
    pub ok: bool,
    /// What is known of its signature.
    pub signature: Signature,
    /// Whether the check that it records found nothing that refuses the bundle.
    pub bundle_ok: bool,
    /// SHA-256 of the bundle's `bundle.json`.
    pub index: Option<Digest>,
    /// The release.
    pub release: Option<Release>,
    /// When it was checked.
    pub checked_at: Option<String>,
    /// By whom.
    pub checker: Checker,
    /// By which policy.
    pub policy: Trusted,
    /// With which program.
    pub program: Program,
    /// Ways of being less safe that were used.
    pub less_safe: Vec<String>,
    /// Findings that it records.
    pub findings: usize,
}

/// What is known of a receipt's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Signature {
    /// It is this key's.
    Holds {
        /// The key.
        key: KeyId,
    },
    /// There is one, and it is not this key's over these bytes.
    DoesNotHold {
        /// The key.
        key: KeyId,
    },
    /// There is one, and no key was given.
    NotChecked,
    /// There is none.
    Missing,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "what is not used must be there and of its type")]
struct Read {
    checked_at: Option<String>,
    checker: Checker,
    folders: Vec<String>,
    format: u32,
    kind: String,
    less_safe: Vec<String>,
    policy: Trusted,
    program: Program,
    report: serde_json::Value,
}

/// Reads the receipt `file`, and checks its signature by `key`.
///
/// # Errors
/// Why it is no receipt.
pub fn check(file: &Path, key: Option<&PublicKey>) -> Result<Checked, Error> {
    let text = fs::read_limited(file, limits::REPORT_BYTES)?;
    let signature = match fs::read_limited(&signature_of(file), limits::KEY_BYTES) {
        Ok(signature) => Some(signature),
        Err(fs::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let signature = match (signature, key) {
        (None, _) => Signature::Missing,
        (Some(_), None) => Signature::NotChecked,
        (Some(bytes), Some(key)) if raw::holds(key, &text, &bytes) => Signature::Holds { key: key.id() },
        (Some(_), Some(key)) => Signature::DoesNotHold { key: key.id() },
    };
    let malformed = |why: String| Error::Malformed { path: file.to_owned(), why: printable(&why, 300) };
    let read: Read = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
    if read.kind != KIND || read.format != FORMAT {
        return Err(malformed(format!("it is a {} of format {}", read.kind, read.format)));
    }
    let report = serde_json::to_vec(&read.report).map_err(|error| malformed(error.to_string()))?;
    let report = Damage::parse(&report).map_err(|error| malformed(error.to_string()))?;
    Ok(Checked {
        ok: key.is_none() || matches!(signature, Signature::Holds { .. }),
        signature,
        bundle_ok: report.ok,
        index: report.index,
        release: report.release,
        checked_at: read.checked_at,
        checker: read.checker,
        policy: read.policy,
        program: read.program,
        less_safe: read.less_safe,
        findings: report.findings,
    })
}
