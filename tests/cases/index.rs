//! Hostile `bundle.json`: files under `tests/vectors/index`, each named for its reason, with what reading it says in `cases.txt`. Each is
//! read as bytes, and once more as the index of a bundle that a trusted key signed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bundle::bundle::Index;
use bundle::bundle::sums::Sums;
use bundle::digest::Digest;
use bundle::text::is_printable;

use super::forge::{Forgery, Yard, publish, state, tags};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/index")
}

/// Every vector with what it must say.
fn vectors() -> Vec<(String, Vec<u8>, String)> {
    let text = fs::read_to_string(folder().join("cases.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut expected: BTreeMap<&str, &str> = lines.map(|line| line.split_once(" | ").unwrap()).collect();
    let mut vectors = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "cases.txt" {
            continue;
        }
        let says = expected.remove(name.as_str()).unwrap_or_else(|| panic!("{name} is not in cases.txt"));
        vectors.push((name.clone(), fs::read(folder().join(&name)).unwrap(), says.to_owned()));
    }
    assert!(expected.is_empty(), "no such files: {expected:?}");
    vectors.sort();
    vectors
}

#[test]
fn every_vector_says_what_it_must() {
    let mut failures = Vec::new();
    for (name, bytes, says) in vectors() {
        let got = Index::parse(&bytes).map_or_else(|error| error.to_string(), |_| "good".to_owned());
        if !got.contains(&says) || !got.chars().all(is_printable) || got.len() > 600 {
            failures.push(format!("{name}: expected {says}, got {got}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Makes `text` the index of the bundle, signed.
fn deliver(yard: &Yard, bundle: &Path, text: &[u8]) {
    fs::write(bundle.join("bundle.json"), text).unwrap();
    let sums = Sums::new([("bundle.json".parse().unwrap(), Digest::of(text))]).unwrap();
    publish(bundle, sums.render().as_bytes(), &[&yard.key]);
}

#[test]
fn a_trusted_signature_makes_no_hostile_index_better() {
    let yard = Yard::new();
    let bundle = yard.path("bundle");
    fs::create_dir(&bundle).unwrap();
    for (name, bytes, says) in vectors() {
        deliver(&yard, &bundle, &bytes);
        let before = state(&bundle);
        let (loaded, registry) = yard.load(&bundle, &yard.judge());
        for seen in [yard.verify_keyless(&bundle), yard.verify(&bundle, &yard.judge()), loaded] {
            assert!(!seen.ok, "{name}: {seen:?}");
            // The good one describes files that are not there.
            let named = seen.text.contains("bundle.json") && seen.text.contains(&says);
            assert!(named || says == "good", "{name}: {seen:?}");
        }
        assert!(tags(&registry).is_empty());
        assert_eq!(state(&bundle), before, "{name}");
    }
}

#[test]
fn a_signed_index_that_disagrees_with_the_signed_list_is_refused() {
    let yard = Yard::new();
    let other_hash = |text: String| {
        let at = text.find("\"sha256\":\"").unwrap() + 10;
        let flipped = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
        format!("{}{flipped}{}", &text[..at], &text[at + 1..])
    };
    let other_version =
        |text: String| text.replace("demo-1.2.0", "demo-9.2.0").replace("\"1.2.0\"", "\"9.2.0\"");
    type Edit = fn(String) -> String;
    let edits: [(&str, Edit); 2] =
        [("the hash of a volume", other_hash), ("the version of the release", other_version)];
    for (reason, edit) in edits {
        let bundle = Forgery { edit, ..Forgery::small() }.write(&yard, reason, &[&yard.key]);
        for seen in [yard.verify_keyless(&bundle), yard.verify(&bundle, &yard.judge())] {
            assert!(
                !seen.ok && seen.text.contains("bundle.json and SHA256SUMS disagree about volumes/"),
                "{reason}: {seen:?}"
            );
        }
        let (seen, registry) = yard.load(&bundle, &yard.judge());
        assert!(!seen.ok && seen.text.contains("disagree"), "{reason}: {seen:?}");
        assert!(registry.stats().request_lines().is_empty());
    }
}

/// The good vector with its list of blobs replaced by `blobs`.
fn with_blobs(blobs: &str) -> Vec<u8> {
    let good = fs::read_to_string(folder().join("good.json")).unwrap();
    let (head, tail) = (good.find("\"blobs\": [").unwrap(), good.find("\"format\"").unwrap());
    format!("{}\"blobs\": [{blobs}], {}", &good[..head], &good[tail..]).into_bytes()
}

#[test]
fn an_index_of_a_million_entries_takes_bounded_time() {
    let entry = |n: usize| {
        format!(
            "{{\"digest\":\"sha256:{n:064x}\",\"media_type\":\"x\",\"offset\":{},\"size\":0}}",
            (n + 1) * 512
        )
    };
    let blobs = |count: usize| {
        let mut text = String::new();
        for n in 0..count {
            let _ = write!(text, "{}{}", if n == 0 { "" } else { "," }, entry(n));
        }
        text
    };
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("a million blobs", with_blobs(&blobs(1_000_000)), "it is larger than"),
        ("as many blobs as fit", with_blobs(&blobs(400_000)), "more blobs than the format allows"),
        ("a million numbers for blobs", with_blobs(&"1,".repeat(1_000_000)), "it is not an index"),
        (
            "a million keys",
            format!("{{\"format\":1{}}}", ",\"x\":1".repeat(1_000_000)).into_bytes(),
            "unknown field",
        ),
        (
            "a million spaces between two digits",
            format!("{{\"format\":1{}2}}", " ".repeat(1_000_000)).into_bytes(),
            "it is not an index",
        ),
    ];
    for (reason, bytes, says) in cases {
        let start = Instant::now();
        let got = Index::parse(&bytes).unwrap_err().to_string();
        assert!(got.contains(says), "{reason}: {got}");
        assert!(start.elapsed() < Duration::from_secs(20), "{reason}: {:?}", start.elapsed());
    }
}
