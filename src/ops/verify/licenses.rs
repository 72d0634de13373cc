//! Licences that lie beside the bundle: whether each is one for this release.
//!
//! They are no part of what was signed with the bundle, so only what cannot be the vendor's refuses. What a licence lacks or when it ends
//! is said, and refused where it is used.

use signing::license::{Expect, Verdict, judge};
use signing::{Policy, Weight};

use crate::ops::finding::{Finding, What};
use crate::ops::inspect::names;
use crate::ops::license::told;
use crate::ops::open::Authenticated;
use crate::path::EntryPath;
use crate::sys::{delivered, fs};

/// Judges every `licenses/*.lic` by the signed policy of the release, at `now`.
pub(super) fn check(bundle: &Authenticated, policy: &Policy, now: Option<i64>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for customer in names(&bundle.home().join("licenses"), "lic") {
        let path = format!("licenses/{customer}.lic");
        // A name that no file of a bundle has is a finding of its own.
        let Ok(name) = path.parse::<EntryPath>() else { continue };
        let Some(license) = &bundle.index.get().license else {
            let detail = format!("{path} was not checked: the release names no key for licences");
            findings.push(Finding::warn(What::Unchecked { detail }));
            continue;
        };
        let expect = Expect {
            customer: Some(&customer),
            issuer: None,
            features: &license.features,
            grace_days: license.grace_days,
            warn_days: license.warn_days,
            clock: policy.terms().consequences.clock,
        };
        let limit = signing::limits::LICENSE_BYTES;
        match delivered::read(bundle.home(), &name, limit as u64) {
            Ok(bytes) => {
                let judgement = judge(&bytes, &license.public_key, &expect, now);
                findings.extend(judgement.verdicts().filter_map(|seen| finding(&path, seen, expect.clock)));
            }
            Err(fs::Error::TooLong { .. }) => {
                findings.extend(finding(&path, &Verdict::Oversized { limit }, expect.clock));
            }
            Err(error) => {
                let why = error.to_string();
                findings.push(Finding::refuse(What::Unreadable { path, why }));
            }
        }
    }
    findings
}

fn finding(path: &str, verdict: &Verdict, clock: Weight) -> Option<Finding> {
    let weight = match verdict {
        Verdict::WrongKey { .. }
        | Verdict::Altered { .. }
        | Verdict::WrongAlgorithm { .. }
        | Verdict::Malformed { .. }
        | Verdict::Oversized { .. } => Weight::Refuse,
        other => other.weight(clock).min(Weight::Warn),
    };
    let (path, detail) = (path.to_owned(), told(verdict));
    let what = What::License { path, verdict: verdict.name().to_owned(), detail };
    (weight != Weight::Ignore).then_some(Finding { weight, what })
}
