//! Grants: one more customer without a touch of the volumes, and nobody without one.

use std::fs::OpenOptions;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use bundle::bundle::grant::{OpenWith, SealTo};
use bundle::ops::grant;

use super::forge::{Forgery, Judge, Yard, tags};
use super::signing::{Bench, at_a_terminal, secret};
use super::world;

#[test]
fn a_grant_on_4_gib_touches_no_volume_and_takes_no_time() {
    let yard = Yard::new();
    let bundle = Forgery::small().write(&yard, "bundle", &[&yard.key]);
    let volume = bundle.join("volumes/demo-1.2.0.0001.tar.age");
    OpenOptions::new().write(true).open(&volume).unwrap().set_len(4 << 30).unwrap();
    let facts = || {
        let facts = volume.metadata().unwrap();
        (facts.ino(), facts.len(), facts.blocks(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec())
    };
    let others = || {
        let mut others = world::files(&bundle.join("grants"));
        for name in ["SHA256SUMS", "bundle.json", "README.md"] {
            others.insert(name.to_owned(), std::fs::read(bundle.join(name)).unwrap());
        }
        others
    };
    let (before, mut expected) = (facts(), others());
    let (_, recipient) = world::recipient(&yard.path("."), "globex");
    let request = grant::Request {
        folder: &bundle,
        with: OpenWith::Identities(&yard.escrow),
        to: SealTo::Recipients(std::slice::from_ref(&recipient)),
        name: &"globex".parse().unwrap(),
    };
    let start = Instant::now();
    let report = grant::grant(&request).unwrap();
    let took = start.elapsed();
    assert!(took < Duration::from_millis(100), "{took:?}");
    assert_eq!(facts(), before);
    expected.insert("globex.age".to_owned(), std::fs::read(&report.file).unwrap());
    assert_eq!(others(), expected);
    assert!(matches!(grant::grant(&request), Err(grant::Error::Exists { .. })));
    // FAT and exFAT take these for one.
    let request = grant::Request { name: &"GlobeX".parse().unwrap(), ..request };
    let clash = grant::grant(&request);
    assert!(matches!(&clash, Err(grant::Error::Exists { path }) if path == &report.file), "{clash:?}");
}

/// Whoever carries the medium can add grants by passphrase, each of which costs the time and memory of a try.
#[test]
fn planted_grants_cost_no_more_than_a_bounded_number_of_tries() {
    let yard = Yard::new();
    let bundle = Forgery::small().write(&yard, "bundle", &[&yard.key]);
    let planted = |name: &str, work: u32| {
        let text = format!(
            "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA {work}\n{}\n--- {}\n",
            "A".repeat(43),
            "A".repeat(43)
        );
        std::fs::write(bundle.join(format!("grants/{name}.age")), text).unwrap();
    };
    // What asks for more than any grant may is passed over at once, and hides no grant that opens.
    for number in 0..200 {
        planted(&format!("a{number}"), 30);
    }
    let passphrase = secret("correct horse");
    let request = grant::Request {
        folder: &bundle,
        with: OpenWith::Identities(&yard.escrow),
        to: SealTo::Passphrase(&passphrase),
        name: &"by-phone".parse().unwrap(),
    };
    grant::grant(&request).unwrap();
    let judge = Judge { with: Some(OpenWith::Passphrase(&passphrase)), ..yard.judge() };
    let seen = yard.verify(&bundle, &judge);
    assert!(seen.ok, "{seen:?}");
    // Of those that may be tried, the cheapest first, and never more work than that of some grants.
    std::fs::remove_file(bundle.join("grants/by-phone.age")).unwrap();
    for number in 0..200 {
        planted(&format!("a{number}"), if number == 0 { 20 } else { 16 });
    }
    let start = Instant::now();
    let seen = yard.verify(&bundle, &judge);
    assert!(!seen.ok && seen.text.contains("more grants by passphrase than are tried"), "{seen:?}");
    let took = start.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}: 200 tries would take minutes");
}

#[test]
fn who_has_no_grant_opens_nothing_and_who_is_given_one_opens_all() {
    let yard = Yard::new();
    let bundle = Forgery::small().write(&yard, "bundle", &[&yard.key]);
    let (globex, recipient) = world::recipient(&yard.path("."), "globex");
    let judge = Judge { with: Some(OpenWith::Identities(&globex)), ..yard.judge() };
    let expected = "none of the 2 grants in ";
    let seen = yard.verify(&bundle, &judge);
    assert!(!seen.ok && seen.text.contains(expected), "{seen:?}");
    let (seen, registry) = yard.load(&bundle, &judge);
    assert!(!seen.ok && seen.text.contains(expected), "{seen:?}");
    assert!(registry.stats().request_lines().is_empty());
    let (seen, _) = yard.load(&bundle, &Judge { with: None, ..yard.judge() });
    assert!(!seen.ok && seen.text.contains("no identity was given"), "{seen:?}");

    let request = |with, to, name: &str| {
        let name = name.parse().unwrap();
        grant::grant(&grant::Request { folder: &bundle, with, to, name: &name })
    };
    let to_globex = SealTo::Recipients(std::slice::from_ref(&recipient));
    let own = request(OpenWith::Identities(&globex), to_globex, "globex");
    assert!(matches!(own, Err(grant::Error::NotGranted { tried: 2, .. })), "{own:?}");
    request(OpenWith::Identities(&yard.escrow), to_globex, "globex").unwrap();
    assert!(yard.verify(&bundle, &judge).ok);
    let (seen, registry) = yard.load(&bundle, &judge);
    assert!(seen.ok, "{seen:?}");
    assert_eq!(tags(&registry).len(), 2);
}

#[test]
fn a_passphrase_grant_opens_with_age_and_with_us() {
    let yard = Yard::new();
    let bundle = Forgery::small().write(&yard, "bundle", &[&yard.key]);
    let passphrase = secret("correct horse");
    let request = grant::Request {
        folder: &bundle,
        with: OpenWith::Identities(&yard.escrow),
        to: SealTo::Passphrase(&passphrase),
        name: &"by-phone".parse().unwrap(),
    };
    let report = grant::grant(&request).unwrap();
    assert!(report.passphrase);
    let judge = |passphrase| Judge { with: Some(OpenWith::Passphrase(passphrase)), ..yard.judge() };
    let seen = yard.verify(&bundle, &judge(&passphrase));
    assert!(seen.ok, "{seen:?}");
    let wrong = secret("wrong horse");
    let seen = yard.verify(&bundle, &judge(&wrong));
    assert!(!seen.ok && seen.text.contains("none of the 3 grants"), "{seen:?}");

    let bench = Bench::new();
    bench.write("grant.age", std::fs::read(&report.file).unwrap());
    at_a_terminal(&bench, "age -d -o release.key grant.age", "correct horse");
    let mut payload = Vec::new();
    for volume in world::files(&bundle.join("volumes")).into_values() {
        payload.extend(bench.must("age -d -i release.key", &volume));
    }
    bench.write("payload.tar", payload);
    let listed = String::from_utf8(bench.must("tar -tf payload.tar", b"")).unwrap();
    assert_eq!(listed.lines().filter(|line| line.starts_with("blobs/sha256/")).count(), 6, "{listed}");
}
