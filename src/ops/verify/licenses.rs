//! Licences that lie beside the bundle: whether each is one for this release.
//!
//! They are no part of what was signed with the bundle, so only what cannot be the vendor's refuses. What a licence lacks or when it ends
//! is said, and refused where it is used.

use signing::license::Verdict;
use signing::{Policy, Weight};

use crate::ops::finding::{Finding, What};
use crate::ops::license::{Beside, Outcome, beside, told};
use crate::ops::open::Authenticated;

/// Judges every `licenses/*.lic` by the signed policy of the release, at `now`.
pub(super) fn check(bundle: &Authenticated, policy: &Policy, now: Option<i64>) -> Vec<Finding> {
    let clock = policy.terms().consequences.clock;
    let mut findings = Vec::new();
    for Beside { path, outcome, .. } in beside(bundle, policy, now, None) {
        match outcome {
            Outcome::Judged(judgement) => {
                findings.extend(judgement.verdicts().filter_map(|seen| finding(&path, seen, clock)));
            }
            Outcome::Oversized(verdict) => findings.extend(finding(&path, &verdict, clock)),
            Outcome::Unreadable(why) => findings.push(Finding::refuse(What::Unreadable { path, why })),
            Outcome::NoKey => {
                let detail = format!("{path} was not checked: the release names no key for licences");
                findings.push(Finding::warn(What::Unchecked { detail }));
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
