//! The tests of `signing` from outside.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cosigned;
mod license_times;
mod licenses;
mod mutation;
mod rotations;
mod sshsigs;
mod vectors;
mod verdicts;

use signing::SecretKey;
use signing::policy::{Consequences, Policy, Terms, TrustedKey};
use zeroize::Zeroizing;

/// The key number `n` of these tests.
fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(&Zeroizing::new([n; 32]))
}

/// Terms that trust these keys, `threshold` of them.
fn terms(keys: &[&SecretKey], threshold: u32) -> Terms {
    Terms {
        version: 1,
        keys: keys.iter().map(|key| TrustedKey { name: None, key: key.public() }).collect(),
        threshold,
        valid_from: None,
        valid_until: None,
        consequences: Consequences::default(),
    }
}

/// A policy that trusts these keys, `threshold` of them.
fn policy(keys: &[&SecretKey], threshold: u32) -> Policy {
    Policy::new(terms(keys, threshold)).unwrap()
}
