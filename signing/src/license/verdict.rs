//! What follows from a license, a key and a time.
//!
//! The seconds of a license, with `grace` and `warn` in days of 86,400 seconds (no calendar, no time zone):
//!
//! ```text
//!        nbf            exp - warn          exp              exp + grace
//! not yet |    valid        |    warning     |      grace         |  expired
//! ```
//!
//! Each boundary belongs to what is right of it. The license's own claims say how long warning and grace are; where they are silent, who asks
//! says it, and by default these are [`WARN_DAYS`] and [`GRACE_DAYS`].
//!
//! **Clocks.** Machines without internet have wrong clocks, and a dead battery must not lock an operator out. No clock at all, and one that
//! shows a time before the license was even signed, are verdicts of their own that by default warn; who asks gives them their weight.
//! A clock that runs ahead cannot be told from time that has passed: such a license is expired, and the verdict says by which clock.

use serde::Serialize;

use super::claims::Claims;
use super::jws::{Compact, Malformed};
use super::key::{Algorithm, LicenseKey};
use crate::keys::KeyId;
use crate::limits;
use crate::policy::Weight;
use crate::time::Time;

/// Days of grace where neither the license nor who asks says otherwise.
pub const GRACE_DAYS: u32 = 30;
/// Days of warning where neither the license nor who asks says otherwise.
pub const WARN_DAYS: u32 = 14;
/// How far a clock may be behind the one of the issuer before that is worth saying.
pub const SKEW_SECONDS: i64 = 300;

const DAY: i64 = 86_400;

/// What a license is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// Whose it must be; `None` for anybody's.
    pub customer: Option<&'a str>,
    /// Who must have issued it; `None` for anybody who has the key.
    pub issuer: Option<&'a str>,
    /// What it must grant.
    pub features: &'a [String],
    /// Days of grace, when the license does not say.
    pub grace_days: u32,
    /// Days of warning, when the license does not say.
    pub warn_days: u32,
    /// What follows from a clock that is unset or evidently wrong.
    pub clock: Weight,
}

impl Default for Expect<'_> {
    fn default() -> Self {
        Self {
            customer: None,
            issuer: None,
            features: &[],
            grace_days: GRACE_DAYS,
            warn_days: WARN_DAYS,
            clock: Weight::Warn,
        }
    }
}

/// One thing that is so about a license. In JSON, `verdict` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// In force.
    Valid {
        /// Days until it expires, a begun one counted whole.
        days_left: u32,
        /// When it expires.
        expires: Time,
    },
    /// In force, and about to expire.
    Warning {
        /// Days until it expires, a begun one counted whole.
        days_left: u32,
        /// When it expires.
        expires: Time,
    },
    /// Expired, and still let pass.
    Grace {
        /// Days until it is not let pass any more, a begun one counted whole.
        days_left: u32,
        /// When it expired.
        expired: Time,
        /// When the grace ends.
        until: Time,
    },
    /// Over, grace included.
    Expired {
        /// When it expired.
        expired: Time,
        /// When the grace ended.
        grace_ended: Time,
        /// The time it was judged at.
        now: Time,
    },
    /// Not in force yet.
    NotYetValid {
        /// When it begins.
        from: Time,
        /// The time it was judged at.
        now: Time,
    },
    /// There is no usable clock: how long it holds was not judged.
    ClockUnset,
    /// The clock shows a time before the license was issued, so it is wrong: how long it holds was not judged.
    ClockBehind {
        /// When the license was issued.
        issued: Time,
        /// What the clock shows.
        now: Time,
    },
    /// Another customer's.
    OtherCustomer {
        /// Whose it is.
        got: String,
        /// Whose it should be.
        expected: String,
    },
    /// Issued by another.
    OtherIssuer {
        /// By whom.
        got: String,
        /// Who should have.
        expected: String,
    },
    /// It does not grant all that is needed.
    LacksFeatures {
        /// What it lacks.
        missing: Vec<String>,
    },
    /// Signed by another key: it names another, or one of another kind.
    WrongKey {
        /// The key it names, if it names one.
        #[serde(skip_serializing_if = "Option::is_none")]
        named: Option<String>,
        /// The algorithm it names.
        algorithm: String,
        /// The key it was checked with.
        key: KeyId,
    },
    /// The signature does not hold though the license names this very key, or none: altered, forged, or signed by another key.
    Altered {
        /// The key it was checked with.
        key: KeyId,
        /// Whether it names that key.
        named: bool,
    },
    /// It asks to be checked with an algorithm that no license has: `none`, an HMAC keyed with the public key, another.
    WrongAlgorithm {
        /// The algorithm it names.
        got: String,
        /// The algorithm of the key.
        expected: Algorithm,
    },
    /// Not a license.
    Malformed {
        /// Which part or claim.
        part: String,
        /// What is wrong with it.
        why: String,
    },
    /// Larger than any license; nothing of it was looked at.
    Oversized {
        /// The most bytes a license may have.
        limit: usize,
    },
}

impl Verdict {
    /// Its name, as in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Valid { .. } => "valid",
            Self::Warning { .. } => "warning",
            Self::Grace { .. } => "grace",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::ClockUnset => "clock-unset",
            Self::ClockBehind { .. } => "clock-behind",
            Self::OtherCustomer { .. } => "other-customer",
            Self::OtherIssuer { .. } => "other-issuer",
            Self::LacksFeatures { .. } => "lacks-features",
            Self::WrongKey { .. } => "wrong-key",
            Self::Altered { .. } => "altered",
            Self::WrongAlgorithm { .. } => "wrong-algorithm",
            Self::Malformed { .. } => "malformed",
            Self::Oversized { .. } => "oversized",
        }
    }

    /// What follows from it, when `clock` is what follows from a clock that tells nothing.
    #[must_use]
    pub fn weight(&self, clock: Weight) -> Weight {
        match self {
            Self::Valid { .. } => Weight::Ignore,
            Self::Warning { .. } | Self::Grace { .. } => Weight::Warn,
            Self::ClockUnset | Self::ClockBehind { .. } => clock,
            Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::OtherCustomer { .. }
            | Self::OtherIssuer { .. }
            | Self::LacksFeatures { .. }
            | Self::WrongKey { .. }
            | Self::Altered { .. }
            | Self::WrongAlgorithm { .. }
            | Self::Malformed { .. }
            | Self::Oversized { .. } => Weight::Refuse,
        }
    }
}

impl From<Malformed> for Verdict {
    fn from(fault: Malformed) -> Self {
        Self::Malformed { part: fault.part, why: fault.why }
    }
}

/// What came of judging a license.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Judgement {
    claims: Option<Claims>,
    first: Verdict,
    others: Vec<Verdict>,
    clock: Weight,
}

impl Judgement {
    /// What the license says; `None` when its signature does not hold, because then it could claim anything.
    #[must_use]
    pub fn claims(&self) -> Option<&Claims> {
        self.claims.as_ref()
    }

    /// The verdict that decides: the first that refuses, else the one about time.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.first
    }

    /// Everything that was seen, the one that decides first. Never empty.
    pub fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// What follows.
    #[must_use]
    pub fn weight(&self) -> Weight {
        // Said of all, so that no order of verdicts can ever let a refused license through.
        self.verdicts().map(|verdict| verdict.weight(self.clock)).max().unwrap_or(Weight::Refuse)
    }

    fn refused(verdict: impl Into<Verdict>) -> Self {
        Self { claims: None, first: verdict.into(), others: Vec::new(), clock: Weight::Refuse }
    }
}

/// Judges the bytes of a license by `key` and `expect`, at `now` (seconds since 1970; `None` where there is no clock, and a time before 1970
/// or after 9999 is taken for none).
pub fn judge(token: &[u8], key: &LicenseKey, expect: &Expect<'_>, now: Option<i64>) -> Judgement {
    if token.len() > limits::LICENSE_BYTES {
        return Judgement::refused(Verdict::Oversized { limit: limits::LICENSE_BYTES });
    }
    let claims = match authenticate(token, key) {
        Ok(claims) => claims,
        Err(verdict) => return Judgement::refused(verdict),
    };
    let mut seen = requirements(&claims, expect);
    seen.push(judge_time(&claims, expect, now.and_then(Time::from_unix)));
    // What refuses stands first; otherwise the verdict about time is the only one.
    seen.sort_by_key(|verdict| std::cmp::Reverse(verdict.weight(expect.clock)));
    let first = seen.remove(0);
    Judgement { claims: Some(claims), first, others: seen, clock: expect.clock }
}

/// The claims of a license whose signature holds.
fn authenticate(token: &[u8], key: &LicenseKey) -> Result<Claims, Verdict> {
    let compact = Compact::read(token)?;
    let id = key.id();
    // The header is compared with the key's algorithm and chooses nothing: what follows would hold without this.
    if compact.algorithm != key.algorithm().name() {
        return Err(match Algorithm::named(&compact.algorithm) {
            Some(_) => Verdict::WrongKey { named: compact.key, algorithm: compact.algorithm, key: id },
            None => Verdict::WrongAlgorithm { got: compact.algorithm, expected: key.algorithm() },
        });
    }
    if !key.holds(compact.signed.as_bytes(), &compact.signature) {
        // The name of a key is a hint for people, and here only decides in which words a license is refused.
        return Err(match compact.key {
            Some(named) if named != id.to_string() => {
                Verdict::WrongKey { named: Some(named), algorithm: compact.algorithm, key: id }
            }
            named => Verdict::Altered { key: id, named: named.is_some() },
        });
    }
    Ok(compact.claims()?)
}

/// What is asked of a license besides time.
fn requirements(claims: &Claims, expect: &Expect<'_>) -> Vec<Verdict> {
    let mut seen = Vec::new();
    if let Some(expected) = expect.issuer.filter(|expected| *expected != claims.issuer) {
        seen.push(Verdict::OtherIssuer { got: claims.issuer.clone(), expected: expected.to_owned() });
    }
    if let Some(expected) = expect.customer.filter(|expected| *expected != claims.customer) {
        seen.push(Verdict::OtherCustomer { got: claims.customer.clone(), expected: expected.to_owned() });
    }
    let granted = &claims.entitlements.features;
    let missing: Vec<String> = expect.features.iter().filter(|f| !granted.contains(*f)).cloned().collect();
    if !missing.is_empty() {
        seen.push(Verdict::LacksFeatures { missing });
    }
    seen
}

fn judge_time(claims: &Claims, expect: &Expect<'_>, now: Option<Time>) -> Verdict {
    let Some(now) = now else { return Verdict::ClockUnset };
    if now.unix() < claims.issued.unix() - SKEW_SECONDS {
        return Verdict::ClockBehind { issued: claims.issued, now };
    }
    if let Some(from) = claims.not_before.filter(|from| now < *from) {
        return Verdict::NotYetValid { from, now };
    }
    // Times are below 2^38 and days are limited, so none of this can overflow.
    let days = |own: Option<u32>, other: u32| i64::from(own.unwrap_or(other).min(limits::LICENSE_DAYS));
    let (expires, at) = (claims.expires.unix(), now.unix());
    let warn = expires - days(claims.warn_days, expect.warn_days) * DAY;
    let end = expires + days(claims.grace_days, expect.grace_days) * DAY;
    // A grace that would end after 9999 ends then.
    let until = Time::from_unix(end).unwrap_or(Time::LAST);
    if at < warn {
        Verdict::Valid { days_left: days_until(expires, at), expires: claims.expires }
    } else if at < expires {
        Verdict::Warning { days_left: days_until(expires, at), expires: claims.expires }
    } else if at < end {
        Verdict::Grace { days_left: days_until(end, at), expired: claims.expires, until }
    } else {
        Verdict::Expired { expired: claims.expires, grace_ended: until, now }
    }
}

/// Days from `at` to `end`, a begun one counted whole: 0 never comes before `end` does.
fn days_until(end: i64, at: i64) -> u32 {
    u32::try_from((end - at + DAY - 1) / DAY).unwrap_or(0)
}
