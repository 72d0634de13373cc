//! What a verification makes of signatures, a policy and a time.

use signing::policy::{Consequences, Policy, Weight};
use signing::time::Time;
use signing::{FindingKind, KeyId, SecretKey, Signature, raw, verify};

use super::{key, policy, terms};

const MESSAGE: &[u8] = b"0000000000000000000000000000000000000000000000000000000000000000  a\n";

fn signed(keys: &[&SecretKey]) -> Vec<(KeyId, Vec<u8>)> {
    keys.iter().map(|key| (key.public().id(), raw::sign(key, MESSAGE).to_vec())).collect()
}

/// The kinds of the findings with their weights, and whether the message held.
fn judge(
    policy: &Policy,
    signatures: &[(KeyId, Vec<u8>)],
    now: Option<i64>,
) -> (Vec<(FindingKind, Weight)>, bool) {
    let signatures: Vec<Signature<'_>> =
        signatures.iter().map(|(key, bytes)| Signature { key: *key, bytes }).collect();
    let verdict = verify(MESSAGE, &signatures, policy, now);
    let findings = verdict.findings.iter().map(|finding| (finding.kind, finding.weight)).collect();
    if let Some(verified) = &verdict.verified {
        assert_eq!(*verified.get(), MESSAGE);
        assert!(verified.signers().len() >= policy.terms().threshold as usize);
    }
    (findings, verdict.verified.is_some())
}

#[test]
fn rfc_8032_test_1() {
    let seed: [u8; 32] = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
        .unwrap()
        .try_into()
        .unwrap();
    let key = SecretKey::from_seed(&zeroize::Zeroizing::new(seed));
    assert_eq!(
        hex::encode(key.public().as_bytes()),
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    );
    assert_eq!(
        hex::encode(raw::sign(&key, b"")),
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    );
}

#[test]
fn two_of_three_hold_and_one_does_not() {
    let (a, b, c) = (key(1), key(2), key(3));
    let two_of_three = policy(&[&a, &b, &c], 2);
    assert_eq!(judge(&two_of_three, &signed(&[&a, &c]), None), (vec![], true));
    assert_eq!(judge(&two_of_three, &signed(&[&a, &b, &c]), None), (vec![], true));
    let not_enough = (FindingKind::NotEnough { have: 1, need: 2 }, Weight::Refuse);
    assert_eq!(judge(&two_of_three, &signed(&[&b]), None), (vec![not_enough], false));
    let none = (FindingKind::NoSignature, Weight::Refuse);
    assert_eq!(judge(&two_of_three, &[], None), (vec![none], false));
}

#[test]
fn one_key_signing_twice_counts_once() {
    let (a, b) = (key(1), key(2));
    let id = a.public().id();
    let (findings, held) = judge(&policy(&[&a, &b], 2), &signed(&[&a, &a]), None);
    let expected = vec![
        (FindingKind::DuplicateKey { key: id }, Weight::Warn),
        (FindingKind::NotEnough { have: 1, need: 2 }, Weight::Refuse),
    ];
    assert_eq!((findings, held), (expected, false));
    // The same key under the other's name: that signature is not the other's.
    let mut renamed = signed(&[&a, &a]);
    renamed[1].0 = b.public().id();
    let (findings, held) = judge(&policy(&[&a, &b], 2), &renamed, None);
    assert!(!held);
    let kind = FindingKind::InvalidSignature { key: b.public().id() };
    assert!(findings.contains(&(kind, Weight::Refuse)));
}

#[test]
fn an_unknown_key_weighs_what_the_policy_says_and_never_counts() {
    let (a, stranger) = (key(1), key(9));
    let kind = FindingKind::UnknownKey { key: stranger.public().id() };
    for (weight, shown, held) in [
        (Weight::Ignore, vec![], true),
        (Weight::Warn, vec![(kind, Weight::Warn)], true),
        (Weight::Refuse, vec![(kind, Weight::Refuse)], false),
    ] {
        let mut terms = terms(&[&a], 1);
        terms.consequences.unknown_key = weight;
        let policy = Policy::new(terms).unwrap();
        assert_eq!(judge(&policy, &signed(&[&a, &stranger]), None), (shown, held));
        assert!(!judge(&policy, &signed(&[&stranger]), None).1);
    }
}

#[test]
fn a_wrong_signature_of_a_trusted_key_refuses_even_beside_enough_good_ones() {
    let (a, b) = (key(1), key(2));
    let policy = policy(&[&a, &b], 1);
    let id = b.public().id();
    let with = |bytes: Vec<u8>| {
        let mut signatures = signed(&[&a]);
        signatures.push((id, bytes));
        judge(&policy, &signatures, None)
    };
    let good = raw::sign(&b, MESSAGE).to_vec();
    assert_eq!(with(good.clone()), (vec![], true));
    for at in 0..64 {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        let kind = FindingKind::InvalidSignature { key: id };
        assert_eq!(with(flipped), (vec![(kind, Weight::Refuse)], false));
    }
    let other = raw::sign(&b, b"another file").to_vec();
    assert!(!with(other).1);
    for bytes in [0, 63, 65, 1000] {
        let kind = FindingKind::MalformedSignature { key: id, bytes };
        assert_eq!(with(vec![0; bytes]), (vec![(kind, Weight::Refuse)], false));
    }
}

#[test]
fn a_signature_has_one_form() {
    // RFC 8032, §5.1.7: s is below L. s + L satisfies the equation as well, and is refused.
    let group_order =
        hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let a = key(1);
    let mut signature = raw::sign(&a, MESSAGE);
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(group_order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert!(!raw::holds(&a.public(), MESSAGE, &signature));
}

#[test]
fn time_weighs_what_the_policy_says() {
    let a = key(1);
    let time = |text: &str| text.parse::<Time>().unwrap();
    let (from, until) = (time("2026-01-01T00:00:00Z"), time("2026-12-31T23:59:59Z"));
    let none_at = |now: Option<i64>| {
        let (findings, held) = judge(&policy(&[&a], 1), &signed(&[&a]), now);
        findings.is_empty() && held
    };
    assert!(none_at(None) && none_at(Some(0)), "without a validity no clock is needed");
    for weight in [Weight::Ignore, Weight::Warn, Weight::Refuse] {
        let mut terms = terms(&[&a], 1);
        (terms.valid_from, terms.valid_until) = (Some(from), Some(until));
        terms.consequences =
            Consequences { clock: weight, expired: weight, not_yet_valid: weight, ..Default::default() };
        let policy = Policy::new(terms).unwrap();
        let at = |seconds: i64| Time::from_unix(seconds).unwrap();
        let late = at(until.unix() + 1);
        let early = at(from.unix() - 1);
        for (now, finding) in [
            (Some(from.unix()), None),
            (Some(until.unix()), None),
            (Some(late.unix()), Some(FindingKind::Expired { until, now: late })),
            (Some(early.unix()), Some(FindingKind::NotYetValid { from, now: early })),
            (None, Some(FindingKind::NoClock)),
            (Some(-1), Some(FindingKind::NoClock)),
            (Some(i64::MAX), Some(FindingKind::NoClock)),
        ] {
            let held = finding.is_none() || weight != Weight::Refuse;
            let shown: Vec<_> =
                finding.filter(|_| weight != Weight::Ignore).map(|kind| (kind, weight)).into_iter().collect();
            assert_eq!(judge(&policy, &signed(&[&a]), now), (shown, held), "{now:?} {weight:?}");
        }
    }
}

#[test]
fn signatures_past_the_limit_are_not_looked_at() {
    let a = key(1);
    let mut many = vec![(key(9).public().id(), vec![0; 64]); signing::limits::SIGNATURES - 1];
    many.extend(signed(&[&a]));
    assert!(judge(&policy(&[&a], 1), &many, None).1);
    many.extend(signed(&[&a]));
    let kind = FindingKind::TooManySignatures { have: 65, limit: 64 };
    assert_eq!(judge(&policy(&[&a], 1), &many, None), (vec![(kind, Weight::Refuse)], false));
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let defaults = Consequences::default();
    assert_eq!(defaults.downgrade, Weight::Refuse);
    for weight in [defaults.clock, defaults.expired, defaults.not_yet_valid, defaults.unknown_key] {
        assert_eq!(weight, Weight::Warn);
    }
}
