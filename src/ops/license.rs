//! `bundle license`: issues licence files, judges them, and shows what one says.
//!
//! The verdict is [`signing::license::judge`]'s; here are files, tiers and the clock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use signing::license::verdict::{GRACE_DAYS, WARN_DAYS};
use signing::license::{
    Algorithm, Claims, Entitlements, Expect, LicenseKey, LicenseSigner, Malformed, Serial, SerialError,
    Verdict, issue as sign, judge, peek,
};
use signing::time::Time;
use signing::{KeyId, Weight};

use crate::license::tiers::{self, Refusal, Tiers};
use crate::limits;
use crate::ops::grant::GrantName;
use crate::sys::random::{self, RandomError};
use crate::sys::{clock, fs};

mod beside;
pub mod cluster;
mod words;

pub use beside::{Beside, Meant, Outcome, beside, expect, meant};
pub use words::told;

/// Why no licence was issued, or none can be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The tiers are not what tiers are.
    #[error(transparent)]
    Tiers(#[from] tiers::Error),
    /// The tiers do not have what is asked for.
    #[error("{file}: {source}", file = file.display())]
    Refusal {
        /// The file of tiers.
        file: PathBuf,
        /// What is not had.
        source: Refusal,
    },
    /// A value that cannot be.
    #[error("{field} \"{got}\": {why}")]
    Value {
        /// Which option.
        field: &'static str,
        /// What it holds.
        got: String,
        /// Why it cannot be.
        why: String,
    },
    /// Something that neither an option nor the tiers say.
    #[error("nothing says {0}")]
    Missing(&'static str),
    /// The clock is not set, so nothing can be dated.
    #[error("the clock is not set, so a licence cannot be dated")]
    Clock,
    /// The licence's name cannot be made.
    #[error(transparent)]
    Serial(#[from] SerialError),
    /// What it would say, no reader would accept.
    #[error("the licence cannot be issued: {0}")]
    Claims(Malformed),
    /// The file is not a licence.
    #[error("{file} is not a licence: {source}", file = file.display())]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        source: Malformed,
    },
    /// What was signed does not hold under the key's own public half.
    #[error("what was signed does not verify: {0}")]
    Unsound(String),
    /// The system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// What to issue.
pub struct Issue<'a> {
    /// Signs it.
    pub signer: &'a LicenseSigner,
    /// The file of tiers; `None` to take tier, features and limits as they are given.
    pub tiers: Option<&'a Path>,
    /// Whose it is.
    pub customer: &'a str,
    /// The tier.
    pub tier: &'a str,
    /// The first second it is over.
    pub expires: Time,
    /// The first second it holds.
    pub not_before: Option<Time>,
    /// Limits beside, or in place of, the tier's.
    pub limits: &'a BTreeMap<String, i64>,
    /// Features beside the tier's.
    pub features: &'a [String],
    /// Notes for people.
    pub fields: &'a BTreeMap<String, String>,
    /// Who issues it; `None` for whom the tiers name.
    pub issuer: Option<&'a str>,
    /// What its name begins with; `None` for what the tiers say.
    pub key_prefix: Option<&'a str>,
    /// Days of grace; `None` for what the tiers, else the defaults, say.
    pub grace_days: Option<u32>,
    /// Days of warning; `None` for what the tiers, else the defaults, say.
    pub warn_days: Option<u32>,
    /// Where it goes; nothing may be there.
    pub out: &'a Path,
}

/// A licence that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issued {
    /// Its file.
    pub file: String,
    /// What it says.
    pub claims: Claims,
    /// The key it is signed with.
    pub key: Key,
}

/// A key, as reports name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Its kind and size.
    pub kind: String,
    /// The algorithm it stands for.
    pub algorithm: Algorithm,
}

impl From<&LicenseKey> for Key {
    fn from(key: &LicenseKey) -> Self {
        Self { id: key.id(), kind: key.kind(), algorithm: key.algorithm() }
    }
}

/// What a licence is called where no tiers say how.
const PREFIX: &str = "LIC";

/// Issues a licence.
pub fn issue(request: &Issue<'_>) -> Result<Issued, Error> {
    let value =
        |field, got: &str, why: &str| Error::Value { field, got: got.to_owned(), why: why.to_owned() };
    if request.customer.parse::<GrantName>().is_err() {
        let why = "expected letters, digits, - _ and . between them, at most 64: it names a file";
        return Err(value("--customer", request.customer, why));
    }
    let now = clock::now().and_then(Time::from_unix).ok_or(Error::Clock)?;
    if request.expires <= now {
        return Err(value("--expires", &request.expires.to_string(), &format!("it is past; it is {now}")));
    }
    if let Some(from) = request.not_before.filter(|from| *from >= request.expires) {
        let why = format!("it expires on {}, before it begins", request.expires);
        return Err(value("--not-before", &from.to_string(), &why));
    }
    let tiers = request.tiers.map(read_tiers).transpose()?;
    let (mut entitlements, code) = match (&tiers, request.tiers) {
        (Some(tiers), Some(file)) => {
            let (granted, code) = tiers
                .grant(request.tier, request.features, request.limits)
                .map_err(|source| Error::Refusal { file: file.to_owned(), source })?;
            (granted, code.to_owned())
        }
        _ => free(request)?,
    };
    entitlements.custom_fields =
        request.fields.iter().map(|(name, text)| (name.clone(), text.clone().into())).collect();
    let tiers = tiers.as_ref();
    let prefix = request.key_prefix.or(tiers.map(|t| t.key_prefix.value.as_str())).unwrap_or(PREFIX);
    let issuer = request.issuer.or(tiers.map(|t| t.issuer.value.as_str()));
    let days = |own: Option<u32>, tiers: Option<u32>, default| Some(own.or(tiers).unwrap_or(default));
    let claims = Claims {
        issuer: issuer.ok_or(Error::Missing("who issues it: give --issuer, or --tiers"))?.to_owned(),
        customer: request.customer.to_owned(),
        issued: now,
        not_before: request.not_before,
        expires: request.expires,
        license_key: Some(Serial::new(prefix, &code, request.customer, *random::bytes()?)?.to_string()),
        grace_days: days(
            request.grace_days,
            tiers.and_then(|t| Some(t.grace_days.as_ref()?.value)),
            GRACE_DAYS,
        ),
        warn_days: days(request.warn_days, tiers.and_then(|t| Some(t.warn_days.as_ref()?.value)), WARN_DAYS),
        entitlements,
        others: BTreeMap::new(),
    };
    let token = sign(&claims, request.signer).map_err(Error::Claims)?;
    // Checked once as the customer will, before it leaves the house.
    let public = request.signer.public();
    let judgement = judge(token.as_bytes(), &public, &Expect::default(), Some(request.expires.unix() - 1));
    if judgement.claims() != Some(&claims) || judgement.weight() == Weight::Refuse {
        return Err(Error::Unsound(told(judgement.verdict())));
    }
    fs::create(request.out, token.as_bytes(), fs::PUBLIC)?;
    Ok(Issued { file: request.out.display().to_string(), claims, key: Key::from(&public) })
}

fn read_tiers(file: &Path) -> Result<Tiers, Error> {
    let bytes = fs::read_limited(file, limits::HAND_WRITTEN_BYTES)?;
    Ok(Tiers::parse(&bytes, &file.display().to_string())?)
}

/// What is granted where no tiers say what there is; and a code for the tier.
fn free(request: &Issue<'_>) -> Result<(Entitlements, String), Error> {
    let named = |field, name: &String| {
        let why = "expected small letters, digits, _ and -, a letter first, at most 64".to_owned();
        let good = tiers::is_name(name);
        if good { Ok(()) } else { Err(Error::Value { field, got: name.clone(), why }) }
    };
    named("--tier", &request.tier.to_owned())?;
    request.features.iter().try_for_each(|feature| named("--feature", feature))?;
    request.limits.keys().try_for_each(|limit| named("--limit", limit))?;
    if let Some(limit) = request.limits.keys().find(|limit| !tiers::is_limit(limit)) {
        let why = "a licence has something else of that name; call it otherwise".to_owned();
        return Err(Error::Value { field: "--limit", got: limit.clone(), why });
    }
    let code = request.tier.chars().filter(char::is_ascii_alphanumeric).take(24).collect::<String>();
    let entitlements = Entitlements {
        tier: request.tier.to_owned(),
        limits: request.limits.clone(),
        features: request.features.iter().cloned().collect(),
        custom_fields: serde_json::Map::new(),
    };
    Ok((entitlements, code.to_ascii_uppercase()))
}

/// What to judge, and by what.
pub struct Check<'a> {
    /// The licence's file.
    pub file: &'a Path,
    /// The key it must be signed with.
    pub key: &'a LicenseKey,
    /// What it is held against.
    pub expect: Expect<'a>,
    /// Seconds since 1970; `None` where there is no clock.
    pub now: Option<i64>,
}

/// What came of judging a licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Whether nothing refuses it.
    pub ok: bool,
    /// Its file.
    pub file: String,
    /// What follows.
    pub weight: Weight,
    /// Everything that was seen, what decides first.
    pub verdicts: Vec<Verdict>,
    /// The key it was checked with.
    pub key: Key,
    /// The time it was judged at.
    pub at: Option<Time>,
    /// What it says; absent when its signature does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<Claims>,
}

/// Judges a licence file.
pub fn check(request: &Check<'_>) -> Result<Checked, Error> {
    let report = |ok, weight, verdicts, claims| Checked {
        ok,
        file: request.file.display().to_string(),
        weight,
        verdicts,
        key: Key::from(request.key),
        at: request.now.and_then(Time::from_unix),
        claims,
    };
    let bytes = match fs::read_limited(request.file, limits::KEY_BYTES) {
        Err(fs::Error::TooLong { .. }) => {
            let verdict = Verdict::Oversized { limit: signing::limits::LICENSE_BYTES };
            return Ok(report(false, Weight::Refuse, vec![verdict], None));
        }
        bytes => bytes?,
    };
    let judgement = judge(&bytes, request.key, &request.expect, request.now);
    let weight = judgement.weight();
    let verdicts = judgement.verdicts().cloned().collect();
    Ok(report(weight != Weight::Refuse, weight, verdicts, judgement.claims().cloned()))
}

/// What a licence says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Always false: no key was asked for, so nobody vouches for any of it.
    pub verified: bool,
    /// Its file.
    pub file: String,
    /// The algorithm it names.
    pub algorithm: String,
    /// The key it names.
    pub key: Option<String>,
    /// What it claims.
    pub claims: Claims,
}

/// Shows what a licence says, without checking any of it.
pub fn show(file: &Path) -> Result<Shown, Error> {
    let bytes = fs::read_limited(file, limits::KEY_BYTES)?;
    let unverified = peek(&bytes).map_err(|source| Error::Malformed { file: file.to_owned(), source })?;
    Ok(Shown {
        verified: false,
        file: file.display().to_string(),
        algorithm: unverified.algorithm,
        key: unverified.key,
        claims: unverified.claims,
    })
}
