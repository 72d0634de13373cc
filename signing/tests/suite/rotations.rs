//! When a policy may take the place of another.

use signing::policy::{Endorsement, Policy};
use signing::rotation::{RotationError, endorsement, rotate};
use signing::{SecretKey, raw};

use super::{key, policy, terms};

fn next(keys: &[&SecretKey], threshold: u32, signers: &[&SecretKey]) -> Policy {
    let mut terms = terms(keys, threshold);
    terms.version = 2;
    let mut policy = Policy::new(terms).unwrap();
    let signatures: Vec<_> = signers.iter().map(|key| endorsement(&policy, key)).collect();
    policy.endorse(signatures).unwrap();
    policy
}

#[test]
fn both_thresholds_must_be_met() {
    let (a, b, c, d) = (key(1), key(2), key(3), key(4));
    let old = policy(&[&a, &b], 2);
    for (signers, expected) in [
        (vec![&a, &b, &c, &d], None),
        (vec![&a, &b], Some(RotationError::TooFewNew { have: 0, need: 2 })),
        (vec![&a, &b, &c], Some(RotationError::TooFewNew { have: 1, need: 2 })),
        (vec![&c, &d], Some(RotationError::TooFewOld { have: 0, need: 2 })),
        (vec![&a, &a, &c, &d], Some(RotationError::TooFewOld { have: 1, need: 2 })),
        (vec![], Some(RotationError::TooFewOld { have: 0, need: 2 })),
    ] {
        assert_eq!(rotate(&old, next(&[&c, &d], 2, &signers)).err(), expected);
    }
    // A key of both counts for both; a stranger's signature counts for nothing.
    assert!(rotate(&old, next(&[&a, &b, &c], 2, &[&a, &b])).is_ok());
    assert!(rotate(&old, next(&[&a, &b, &c], 2, &[&a, &b, &key(9)])).is_ok());
}

#[test]
fn an_older_or_the_same_version_is_refused() {
    let a = key(1);
    let mut same = policy(&[&a], 1);
    let signature = endorsement(&same, &a);
    same.endorse([signature]).unwrap();
    assert_eq!(rotate(&policy(&[&a], 1), same.clone()), Err(RotationError::NotNewer { old: 1, new: 1 }));
    let newer = next(&[&a], 1, &[&a]);
    assert_eq!(rotate(&newer, same), Err(RotationError::NotNewer { old: 2, new: 1 }));
}

#[test]
fn a_signature_on_anything_else_does_not_hold() {
    let (a, b) = (key(1), key(2));
    let old = policy(&[&a], 1);
    let good = next(&[&a, &b], 1, &[&a]);
    let lower = next(&[&a, &b], 2, &[]);
    for bytes in [
        raw::sign(&a, &lower.signed_bytes()),
        raw::sign(&a, good.to_json().as_bytes()),
        raw::sign(&b, &good.signed_bytes()),
        [0; 64],
    ] {
        let mut forged = good.clone();
        forged.endorse([Endorsement { key: a.public().id(), signature: bytes }]).unwrap();
        assert_eq!(rotate(&old, forged), Err(RotationError::Invalid(a.public().id())));
    }
    // It survives being written and read, and holds then as well.
    let read = Policy::from_json(good.to_json().as_bytes()).unwrap();
    assert_eq!(rotate(&old, read), Ok(good));
}
