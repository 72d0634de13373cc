//! How many keys it takes, and what follows from what a policy has an opinion on.

use std::fs;

use bundle::ops::sign::sign;
use signing::policy::{Consequences, Terms, TrustedKey};
use signing::{Policy, SecretKey, Weight};

use super::forge::{Forgery, Judge, Yard, tags};
use super::world;

/// 2026-09-21, as everywhere in these cases.
const NOW: i64 = 1_790_000_000;

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

fn judge(yard: &Yard, terms: Terms, now: Option<i64>) -> Judge<'_> {
    Judge { policy: Policy::new(terms).unwrap(), now, ..yard.judge() }
}

#[test]
fn two_of_three() {
    let yard = Yard::new();
    let keys: Vec<SecretKey> =
        ["a", "b", "c"].map(|name| world::signing_key(&yard.path("."), name)).into_iter().collect();
    let [a, b, c] = [&keys[0], &keys[1], &keys[2]];
    let bundle = Forgery::small().write(&yard, "bundle", &[a]);
    let judge = judge(&yard, terms(&[a, b, c], 2), Some(NOW));
    let one_of_two = "1 of the 2 signatures that the policy asks for hold";
    let refused = |why: &str| {
        let seen = yard.verify(&bundle, &judge);
        assert!(!seen.ok && seen.text.contains(why), "{why}: {seen:?}");
        let (seen, registry) = yard.load(&bundle, &judge);
        assert!(!seen.ok && seen.text.contains(why), "{why}: {seen:?}");
        assert!(registry.stats().request_lines().is_empty(), "{why}: the registry was asked");
    };
    refused(one_of_two);

    // The same key once more changes nothing, and under another's name it is no signature of that one.
    sign(&bundle, a).unwrap();
    refused(one_of_two);
    let of = |key: &SecretKey, form: &str| bundle.join(format!("SHA256SUMS.{}.{form}", key.public().id()));
    fs::copy(of(a, "sig"), of(b, "sig")).unwrap();
    refused(one_of_two);
    refused(&format!("the signature by key {} does not hold", b.public().id()));
    fs::remove_file(of(b, "sig")).unwrap();
    fs::copy(of(a, "sshsig"), of(b, "sshsig")).unwrap();
    refused("the signature is by another key");
    fs::remove_file(of(b, "sshsig")).unwrap();

    // A stranger's counts for nothing.
    let stranger = world::signing_key(&yard.path("."), "stranger");
    sign(&bundle, &stranger).unwrap();
    refused(one_of_two);

    // The second holds, and so does a third.
    for key in [c, b] {
        sign(&bundle, key).unwrap();
        let seen = yard.verify(&bundle, &judge);
        assert!(seen.ok && seen.text.contains(&stranger.public().id().to_string()), "{seen:?}");
        let (seen, registry) = yard.load(&bundle, &judge);
        assert!(seen.ok, "{seen:?}");
        assert_eq!(tags(&registry).len(), 2);
    }
    // Two that hold do not outweigh one that was changed.
    let mut bytes = fs::read(of(a, "sig")).unwrap();
    bytes[0] ^= 1;
    fs::write(of(a, "sig"), bytes).unwrap();
    refused("does not hold");
}

#[test]
fn nobody_signs_for_small_files_that_were_changed() {
    let yard = Yard::new();
    let second = world::signing_key(&yard.path("."), "second");
    for name in ["README.md", "bundle.json"] {
        let bundle = Forgery::small().write(&yard, name, &[&yard.key]);
        let mut bytes = fs::read(bundle.join(name)).unwrap();
        bytes[0] ^= 1;
        fs::write(bundle.join(name), bytes).unwrap();
        let error = sign(&bundle, &second).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("is not the file that SHA256SUMS lists"), "{error}");
        assert!(!bundle.join(format!("SHA256SUMS.{}.sig", second.public().id())).exists());
    }
}

#[test]
fn more_signatures_than_are_looked_at_are_refused() {
    let yard = Yard::new();
    let bundle = Forgery::small().write(&yard, "bundle", &[&yard.key]);
    for number in 0..200 {
        fs::write(bundle.join(format!("SHA256SUMS.{number:016x}.sig")), [0; 64]).unwrap();
    }
    let seen = yard.verify(&bundle, &yard.judge());
    assert!(!seen.ok && seen.text.contains("at most 64 are looked at"), "{seen:?}");
}

#[test]
fn what_follows_is_what_the_policy_says() {
    let yard = Yard::new();
    let bundle = Forgery::small().write(&yard, "bundle", &[&yard.key]);
    let stranger = world::signing_key(&yard.path("."), "stranger");
    sign(&bundle, &stranger).unwrap();
    let past = "2026-01-01T00:00:00Z";
    let future = "2027-01-01T00:00:00Z";
    type Set = fn(&mut Terms, Weight);
    // Reason, what is set, when it is, and what is said.
    let cases: [(&str, Set, Option<i64>, &str); 4] = [
        (
            "an unknown key",
            |t, w| t.consequences.unknown_key = w,
            Some(NOW),
            "which the policy does not name",
        ),
        (
            "a policy that is over",
            |t, w| {
                t.consequences.expired = w;
                t.valid_until = Some("2026-01-01T00:00:00Z".parse().unwrap());
            },
            Some(NOW),
            past,
        ),
        (
            "a policy that has not begun",
            |t, w| {
                t.consequences.not_yet_valid = w;
                t.valid_from = Some("2027-01-01T00:00:00Z".parse().unwrap());
            },
            Some(NOW),
            future,
        ),
        (
            "no clock",
            |t, w| {
                t.consequences.clock = w;
                t.valid_until = Some("2026-01-01T00:00:00Z".parse().unwrap());
            },
            None,
            "the clock is not set",
        ),
    ];
    for (reason, set, now, said) in cases {
        for weight in [Weight::Ignore, Weight::Warn, Weight::Refuse] {
            let mut terms = terms(&[&yard.key], 1);
            terms.consequences.unknown_key = Weight::Ignore;
            set(&mut terms, weight);
            let judge = judge(&yard, terms, now);
            let seen = yard.verify(&bundle, &judge);
            let case = format!("{reason}, {weight:?}: {seen:?}");
            assert_eq!(seen.ok, weight != Weight::Refuse, "{case}");
            assert_eq!(seen.text.contains(said), weight != Weight::Ignore, "{case}");
            let (seen, registry) = yard.load(&bundle, &judge);
            assert_eq!(seen.ok, weight != Weight::Refuse, "{case}: {seen:?}");
            assert_eq!(tags(&registry).is_empty(), weight == Weight::Refuse, "{case}");
        }
    }
}

#[test]
fn an_older_release_has_the_weight_that_the_policy_gives_it() {
    let yard = Yard::new();
    let newer = Forgery::small().write(&yard, "newer", &[&yard.key]);
    let older = Forgery { version: "1.1.9", ..Forgery::small() }.write(&yard, "older", &[&yard.key]);
    assert!(yard.load(&older, &yard.judge()).0.ok, "nothing was loaded before");
    assert!(yard.load(&newer, &yard.judge()).0.ok);
    let said = "version 1.1.9 is older than 1.2.0";
    for (weight, allow_downgrade, ok, says) in [
        (Weight::Refuse, false, false, true),
        (Weight::Refuse, true, true, true),
        (Weight::Warn, false, true, true),
        (Weight::Ignore, false, true, false),
    ] {
        let mut terms = terms(&[&yard.key], 1);
        terms.consequences.downgrade = weight;
        let judge = Judge { allow_downgrade, ..judge(&yard, terms, Some(NOW)) };
        let seen = yard.verify(&older, &judge);
        assert_eq!((seen.ok, seen.text.contains(said)), (ok, says), "{weight:?} {allow_downgrade} {seen:?}");
        let (seen, registry) = yard.load(&older, &judge);
        assert_eq!((seen.ok, seen.text.contains(said)), (ok, says), "{weight:?} {allow_downgrade} {seen:?}");
        assert_eq!(registry.stats().request_lines().is_empty(), !ok);
    }
    // The highest stays the highest.
    assert!(!yard.verify(&older, &yard.judge()).ok);
    assert!(yard.verify(&newer, &yard.judge()).ok);
}
