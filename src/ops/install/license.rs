//! Which licence, and what follows from it.

use std::path::{Path, PathBuf};

use signing::Weight;
use signing::license::{Expect, Verdict, judge};

use super::Error;
use crate::bundle::names::LICENSES;
use crate::digest::Digest;
use crate::limits;
use crate::ops::finding::{Finding, What};
use crate::ops::license::{self, Meant, told};
use crate::ops::open::Authenticated;
use crate::plan::installed::{Licensed, SecretKey};
use crate::sys::fs;

/// Where a licence comes from, and whose it must be.
#[derive(Debug, Clone, Copy)]
pub struct From<'a> {
    /// Its file; `None` for the one that lies in the bundle's `licenses/`.
    pub file: Option<&'a Path>,
    /// The one that is in force, for when there is none in `licenses/`.
    pub there: Option<&'a There>,
    /// Whose it must be; `None` for whose name its file in `licenses/` has.
    pub customer: Option<&'a str>,
    /// What a clock that is unset or evidently wrong weighs.
    pub clock: Weight,
    /// Seconds since 1970; `None` where there is no clock.
    pub now: Option<i64>,
}

/// A licence as the cluster keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct There {
    /// Where, for messages.
    pub place: String,
    /// Whose it is.
    pub customer: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A licence that was judged.
#[derive(Debug, Clone)]
pub struct Judged {
    /// What was seen.
    pub findings: Vec<Finding>,
    /// The licence in one line.
    pub words: String,
    /// Its bytes, and what the record says of it; `None` when there is none, or it is refused.
    pub file: Option<(Vec<u8>, Licensed)>,
}

/// The key of a licence in its secret.
pub const KEY: &str = "license.jwt";

/// Finds the licence and judges it by the release's policy. `secret` is where it goes.
///
/// # Errors
/// When it cannot be read, or several lie there and none is meant.
pub fn find(bundle: &Authenticated, from: From<'_>, secret: &str) -> Result<Judged, Error> {
    let Some(policy) = &bundle.index.get().license else {
        return match from.file {
            Some(file) => Err(Error::NoLicensePolicy { file: file.to_owned() }),
            None => Ok(Judged { findings: vec![], words: "the release needs none".to_owned(), file: None }),
        };
    };
    let Some((path, customer, bytes)) = read(bundle, from)? else {
        let detail = "there is none, and the release needs one".to_owned();
        let what = What::License {
            path: format!("{LICENSES}/"),
            verdict: "none".to_owned(),
            detail: detail.clone(),
        };
        let findings = if policy.required { vec![Finding::refuse(what)] } else { vec![] };
        return Ok(Judged { findings, words: detail, file: None });
    };
    let shown = path.display().to_string();
    let expect = Expect {
        customer: customer.as_deref(),
        issuer: None,
        features: &policy.features,
        grace_days: policy.grace_days,
        warn_days: policy.warn_days,
        clock: from.clock,
    };
    let judgement = judge(&bytes, &policy.public_key, &expect, from.now);
    let findings: Vec<Finding> = judgement
        .verdicts()
        .map(|verdict| (verdict.weight(from.clock), verdict))
        .filter(|(weight, verdict)| *weight != Weight::Ignore && !matches!(verdict, Verdict::Valid { .. }))
        .map(|(weight, verdict)| {
            let what = What::License {
                path: shown.clone(),
                verdict: verdict.name().to_owned(),
                detail: told(verdict),
            };
            Finding { weight, what }
        })
        .collect();
    let words = told(judgement.verdict());
    let file = match judgement.claims() {
        Some(claims) if judgement.weight() != Weight::Refuse => {
            let licensed = Licensed {
                customer: claims.customer.clone(),
                expires: claims.expires,
                tier: claims.entitlements.tier.clone(),
                file: Digest::of(&bytes),
                at: SecretKey { secret: secret.to_owned(), key: KEY.to_owned() },
            };
            Some((bytes, licensed))
        }
        _ => None,
    };
    Ok(Judged { findings, words, file })
}

type Read = (PathBuf, Option<String>, Vec<u8>);

fn read(bundle: &Authenticated, from: From<'_>) -> Result<Option<Read>, Error> {
    let limit = signing::limits::LICENSE_BYTES as u64;
    if let Some(file) = from.file {
        let bytes = fs::read_limited(file, limit.min(limits::KEY_BYTES))?;
        return Ok(Some((file.to_owned(), from.customer.map(ToOwned::to_owned), bytes)));
    }
    match license::meant(bundle, from.customer, limit)? {
        Meant::One { path, customer, bytes } => {
            let customer = from.customer.map_or(customer, ToOwned::to_owned);
            Ok(Some((PathBuf::from(path), Some(customer), bytes)))
        }
        Meant::None => Ok(from.there.map(|there| {
            let customer = from.customer.unwrap_or(&there.customer).to_owned();
            (PathBuf::from(&there.place), Some(customer), there.bytes.clone())
        })),
        Meant::Several(names) => Err(Error::SeveralLicenses(names)),
    }
}
