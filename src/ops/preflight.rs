//! `bundle preflight`: what the customer's side has, before anything is changed there.
//!
//! Facts are gathered here, each on its own, so that one that cannot be had takes no other away; they are judged by
//! [`plan::preflight`](crate::plan::preflight). The one thing written is a throw-away blob in the registry, which is removed again.

use std::path::{Path, PathBuf};

use serde::Serialize;
use signing::license::Verdict;
use signing::{KeyId, Policy, Weight};

use crate::bundle::index::{Index, Release};
use crate::ops::finding::{Finding, refused};
use crate::ops::license::{self, Beside, Outcome, told as told_license};
use crate::ops::open::Authenticated;
use crate::ops::unlock;
use crate::plan::mapping::{Mapping, MappingError};
use crate::plan::placing;
use crate::plan::preflight::{self as plan, Area, Check, Facts, Load, Seen};
use crate::registry::Client;
use crate::sys::fs;
use crate::tools::kubectl;

mod cluster;
mod postgres;
mod registry;

pub use cluster::told as fault_of;

/// What is asked for.
pub struct Request<'a> {
    /// The folders the bundle is in.
    pub folders: &'a [PathBuf],
    /// Who is trusted.
    pub policy: &'a Policy,
    /// Seconds since 1970; `None` where there is no clock.
    pub now: Option<i64>,
    /// The folder that remembers what was loaded; `None` where there is none.
    pub state: Option<&'a Path>,
    /// Whether an older release than the highest loaded is let through.
    pub allow_downgrade: bool,
    /// Where each reference goes; `None` to leave the registry out.
    pub mapping: Option<&'a Mapping>,
    /// Which cluster.
    pub cluster: kubectl::Cluster,
    /// Where the release is installed; `None` for where its charts say.
    pub namespace: Option<&'a str>,
    /// The storage class that will be used; `None` for the default.
    pub storage_class: Option<&'a str>,
    /// The ingress class that will be used; `None` for any.
    pub ingress_class: Option<&'a str>,
    /// A database outside the cluster: `HOST[:PORT]`.
    pub postgres: Option<&'a str>,
    /// Whose licence it must be; `None` for whose name the file has.
    pub customer: Option<&'a str>,
}

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle cannot be read.
    #[error(transparent)]
    Unlock(#[from] unlock::Error),
    /// References cannot be mapped.
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing refuses.
    pub ok: bool,
    /// What would be installed; absent when the signatures do not hold.
    pub release: Option<Release>,
    /// Whose signatures hold.
    pub signers: Vec<KeyId>,
    /// Everything that was checked.
    pub checks: Vec<Check>,
}

/// Checks everything, and changes nothing.
///
/// # Errors
/// When the bundle itself cannot be opened; all else is in the report.
pub fn preflight(request: &Request<'_>, client: &Client) -> Result<Report, Error> {
    let Request { folders, policy, now, state, allow_downgrade, .. } = *request;
    let seen =
        unlock::authenticate(&unlock::Request { folders, policy, with: None, now, state, allow_downgrade })?;
    let mut checks: Vec<Check> = seen.findings.iter().map(|finding| told(Area::Bundle, finding)).collect();
    let (release, signers) = (seen.release.clone(), seen.signers.clone());
    let Some(bundle) = &seen.bundle else { return Ok(Report { ok: false, release, signers, checks }) };
    let index = bundle.index.get();
    if !refused(&seen.findings) {
        let detail =
            format!("signed by {}", signers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        let seen = Seen::Told { name: "signature".to_owned(), detail };
        checks.push(Check { area: Area::Bundle, weight: Weight::Ignore, seen });
    }
    checks.extend(licences(bundle, request));
    let registry = match request.mapping {
        Some(mapping) => {
            let placed = placing::place(index, mapping)?;
            let repositories = placed.iter().map(|placed| placed.to.repository().clone()).collect();
            Some(registry::facts(mapping, repositories, client))
        }
        None => None,
    };
    let facts = Facts {
        requires: index.install.as_ref().and_then(|install| install.requires.as_ref()),
        load: load(index),
        registry,
        cluster: cluster::facts(bundle, request),
        postgres: request.postgres.map(postgres::facts),
        disks: disks(),
    };
    checks.extend(plan::judge(&facts));
    Ok(Report { ok: !plan::refused(&checks), release, signers, checks })
}

fn told(area: Area, finding: &Finding) -> Check {
    // The variant's name, as JSON has it.
    let name = serde_json::to_value(&finding.what).ok();
    let name = name.as_ref().and_then(|value| value["what"].as_str()).unwrap_or_default().to_owned();
    Check { area, weight: finding.weight, seen: Seen::Told { name, detail: finding.what.to_string() } }
}

/// Every licence beside the bundle, as an installation would judge it.
fn licences(bundle: &Authenticated, request: &Request<'_>) -> Vec<Check> {
    let check = |weight, name: &str, detail| Check {
        area: Area::Licence,
        weight,
        seen: Seen::Told { name: name.to_owned(), detail },
    };
    let clock = request.policy.terms().consequences.clock;
    let found = license::beside(bundle, request.policy, request.now, request.customer);
    if found.is_empty() {
        let required = bundle.index.get().license.as_ref().filter(|policy| policy.required);
        let none = || {
            check(
                Weight::Refuse,
                "none",
                "there is no licence in licenses/, and the release needs one".to_owned(),
            )
        };
        return required.map(|_| none()).into_iter().collect();
    }
    let mut checks = Vec::new();
    for Beside { path, outcome, .. } in found {
        let verdict = |seen: &Verdict| {
            check(seen.weight(clock), seen.name(), format!("{path}: {}", told_license(seen)))
        };
        match &outcome {
            Outcome::Judged(judgement) => checks.extend(judgement.verdicts().map(verdict)),
            Outcome::Oversized(seen) => checks.push(verdict(seen)),
            Outcome::Unreadable(why) => {
                checks.push(check(Weight::Refuse, "unreadable", format!("{path}: {why}")));
            }
            Outcome::NoKey => {
                let detail = format!("{path} was not checked: the release names no key for licences");
                checks.push(check(Weight::Warn, "unchecked", detail));
            }
        }
    }
    checks
}

fn load(index: &Index) -> Load {
    let mut platforms: Option<Vec<String>> = None;
    for image in &index.images {
        let own: Vec<String> = image.platforms.iter().map(ToString::to_string).collect();
        platforms = Some(match platforms {
            None => own,
            // A platform that only some images have still runs those; what none has runs nothing.
            Some(mut known) => {
                known
                    .extend(own.into_iter().filter(|platform| !known.contains(platform)).collect::<Vec<_>>());
                known
            }
        });
    }
    Load {
        largest: index.blobs.iter().map(|blob| blob.size).max().unwrap_or(0),
        images: index.blobs.iter().map(|blob| blob.size).sum(),
        platforms: platforms.unwrap_or_default(),
        models: index.models.iter().map(|model| model.name.clone()).collect(),
    }
}

/// What an installation keeps on this machine while it runs: rendered charts and kubectl's and Helm's own notes. A load keeps nothing.
const ROOM: u64 = 256 << 20;

fn disks() -> Vec<(String, u64, u64)> {
    let folder = std::env::temp_dir();
    fs::free_bytes(&folder).map(|free| (folder.display().to_string(), free, ROOM)).into_iter().collect()
}
