//! The one verification: signatures, a policy, perhaps a time; out comes a verdict.
//!
//! Never stops at the first finding: a person who mends one wants to know the rest. And the only place where a
//! [`Verified`] is made.

use crate::keys::KeyId;
use crate::limits;
use crate::policy::{Policy, Weight};
use crate::raw::{self, SIGNATURE_BYTES, Signature};
use crate::time::Time;

/// Something whose bytes a threshold of trusted keys has signed. Has no constructor outside this module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    inner: T,
    signers: Vec<KeyId>,
}

impl<T> Verified<T> {
    /// What was verified.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.inner
    }

    /// Whose signatures held, each once, in the order of their ids; at least the policy's threshold of them.
    #[must_use]
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }

    /// What `read` makes of it, which is as trustworthy as `read` is: for parsers, and for following a hash from one
    /// verified thing to the next.
    pub fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Verified<U>, E> {
        Ok(Verified { inner: read(self.inner)?, signers: self.signers })
    }

    /// The thing without the mark.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.inner
    }
}

/// One thing the verification saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// What follows from it.
    pub weight: Weight,
}

/// What a verification can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// There is no signature at all. Always refuses.
    NoSignature,
    /// More signatures than are looked at; none was. Always refuses.
    TooManySignatures {
        /// How many there are.
        have: usize,
        /// How many are looked at.
        limit: usize,
    },
    /// Fewer trusted keys than the policy asks for have signed. Always refuses.
    NotEnough {
        /// Distinct trusted keys whose signatures hold.
        have: u32,
        /// The policy's threshold.
        need: u32,
    },
    /// A signature by a key that the policy does not name. It was not checked and counts for nothing.
    UnknownKey {
        /// The id it goes by.
        key: KeyId,
    },
    /// The signature of a trusted key does not hold: the document or the signature was changed. Always refuses.
    InvalidSignature {
        /// Whose.
        key: KeyId,
    },
    /// The signature of a trusted key is not 64 bytes. Always refuses.
    MalformedSignature {
        /// Whose.
        key: KeyId,
        /// How many bytes it has.
        bytes: usize,
    },
    /// A second signature of a key; it counts once. Warns.
    DuplicateKey {
        /// Whose.
        key: KeyId,
    },
    /// The policy's validity is over.
    Expired {
        /// Its last second.
        until: Time,
        /// The time it was checked at.
        now: Time,
    },
    /// The policy's validity has not begun.
    NotYetValid {
        /// Its first second.
        from: Time,
        /// The time it was checked at.
        now: Time,
    },
    /// The policy has a validity, and there is no usable clock to check it by.
    NoClock,
}

/// What came of a verification.
#[derive(Debug)]
#[must_use]
pub struct Verdict<T> {
    /// Everything seen, signatures first, in the order given; findings that the policy ignores are not among them.
    pub findings: Vec<Finding>,
    /// The message, unless a finding refuses it.
    pub verified: Option<Verified<T>>,
}

/// Judges `message` by the `signatures` found with it. `now` is seconds since 1970; `None` where there is no clock, and a
/// time before 1970 or after 9999 is taken for none.
pub fn verify<T: AsRef<[u8]>>(
    message: T,
    signatures: &[Signature<'_>],
    policy: &Policy,
    now: Option<i64>,
) -> Verdict<T> {
    let mut findings = Vec::new();
    let signers = count(message.as_ref(), signatures, policy, &mut findings);
    judge_time(policy, now.and_then(Time::from_unix), &mut findings);
    findings.retain(|finding| finding.weight != Weight::Ignore);
    let held = findings.iter().all(|finding| finding.weight != Weight::Refuse)
        // Said a second time, so that no gap in the findings can ever let a message through.
        && at_least(signers.len(), policy.terms().threshold);
    Verdict { findings, verified: held.then(|| Verified { inner: message, signers }) }
}

/// The trusted keys whose signatures hold, each once.
fn count(
    message: &[u8],
    signatures: &[Signature<'_>],
    policy: &Policy,
    findings: &mut Vec<Finding>,
) -> Vec<KeyId> {
    let mut find = |kind, weight| findings.push(Finding { kind, weight });
    if signatures.is_empty() {
        find(FindingKind::NoSignature, Weight::Refuse);
        return Vec::new();
    }
    if signatures.len() > limits::SIGNATURES {
        let have = signatures.len();
        find(FindingKind::TooManySignatures { have, limit: limits::SIGNATURES }, Weight::Refuse);
        return Vec::new();
    }
    let mut signers = Vec::new();
    for signature in signatures {
        let key = signature.key;
        let Some(trusted) = policy.key(key) else {
            find(FindingKind::UnknownKey { key }, policy.terms().consequences.unknown_key);
            continue;
        };
        if signature.bytes.len() != SIGNATURE_BYTES {
            let bytes = signature.bytes.len();
            find(FindingKind::MalformedSignature { key, bytes }, Weight::Refuse);
        } else if !raw::holds(&trusted.key, message, signature.bytes) {
            find(FindingKind::InvalidSignature { key }, Weight::Refuse);
        } else if signers.contains(&key) {
            find(FindingKind::DuplicateKey { key }, Weight::Warn);
        } else {
            signers.push(key);
        }
    }
    let need = policy.terms().threshold;
    if !at_least(signers.len(), need) {
        let have = u32::try_from(signers.len()).unwrap_or(u32::MAX);
        find(FindingKind::NotEnough { have, need }, Weight::Refuse);
    }
    signers.sort_unstable();
    signers
}

fn at_least(have: usize, need: u32) -> bool {
    need > 0 && usize::try_from(need).is_ok_and(|need| have >= need)
}

/// Whether the policy itself is in force.
fn judge_time(policy: &Policy, now: Option<Time>, findings: &mut Vec<Finding>) {
    let terms = policy.terms();
    let weights = &terms.consequences;
    let Some(now) = now else {
        if terms.valid_from.is_some() || terms.valid_until.is_some() {
            findings.push(Finding { kind: FindingKind::NoClock, weight: weights.clock });
        }
        return;
    };
    if let Some(from) = terms.valid_from.filter(|from| now < *from) {
        let kind = FindingKind::NotYetValid { from, now };
        findings.push(Finding { kind, weight: weights.not_yet_valid });
    }
    if let Some(until) = terms.valid_until.filter(|until| now > *until) {
        findings.push(Finding { kind: FindingKind::Expired { until, now }, weight: weights.expired });
    }
}
