//! How a trust policy may change: only by a threshold of the keys that were trusted *and* of those that shall be.
//!
//! The rule of TUF's root role (specification 1.0.33, §5.3.4 and §5.3.5): the old keys say that the change is theirs, the new keys that
//! they exist and agree.

use crate::keys::{KeyId, SecretKey};
use crate::policy::{Endorsement, Policy};
use crate::raw;

/// Why a new policy is not accepted in place of the old one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The new policy is not newer.
    #[error("the new policy has version {new}, the one in force has {old}")]
    NotNewer {
        /// Version in force.
        old: u64,
        /// Version offered.
        new: u64,
    },
    /// A signature by a key that is in one of the policies does not hold.
    #[error("the signature of key {0} on the new policy does not hold")]
    Invalid(KeyId),
    /// Too few of the keys in force signed.
    #[error("{have} of the keys in force signed the new policy, {need} must")]
    TooFewOld {
        /// Distinct keys whose signatures hold.
        have: u32,
        /// The threshold in force.
        need: u32,
    },
    /// Too few of the new keys signed.
    #[error("{have} of the new policy's keys signed it, {need} must")]
    TooFewNew {
        /// Distinct keys whose signatures hold.
        have: u32,
        /// The new threshold.
        need: u32,
    },
}

/// Signs `policy` with `key`, in place of an earlier signature by that key.
#[must_use]
pub fn endorsement(policy: &Policy, key: &SecretKey) -> Endorsement {
    Endorsement { key: key.public().id(), signature: raw::sign(key, &policy.signed_bytes()) }
}

/// Accepts `new` in place of `old`, or says why not. What counts are the signatures that `new` carries; those by keys
/// that neither policy names count for nothing.
pub fn rotate(old: &Policy, new: Policy) -> Result<Policy, RotationError> {
    let (before, after) = (old.terms(), new.terms());
    if after.version <= before.version {
        return Err(RotationError::NotNewer { old: before.version, new: after.version });
    }
    let message = new.signed_bytes();
    let (have_old, have_new) = (signers(old, &new, &message)?, signers(&new, &new, &message)?);
    if have_old < before.threshold {
        return Err(RotationError::TooFewOld { have: have_old, need: before.threshold });
    }
    if have_new < after.threshold {
        return Err(RotationError::TooFewNew { have: have_new, need: after.threshold });
    }
    Ok(new)
}

/// How many different keys of `policy` have signed `new`.
fn signers(policy: &Policy, new: &Policy, message: &[u8]) -> Result<u32, RotationError> {
    let mut count = 0;
    // A policy holds at most one signature per key id, and a key once: nothing is counted twice.
    for endorsement in new.endorsements() {
        let Some(trusted) = policy.key(endorsement.key) else { continue };
        if !raw::holds(&trusted.key, message, &endorsement.signature) {
            return Err(RotationError::Invalid(endorsement.key));
        }
        count += 1;
    }
    Ok(count)
}
