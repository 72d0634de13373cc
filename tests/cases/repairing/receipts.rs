//! The record of a check: what it says, where it may lie, who signed it.

use std::fs;
use std::process::Command;

use super::{Bench, VOLUME_1, flip};
use crate::cases::forge::{Forgery, state};
use crate::cases::program::tool;

impl Bench {
    fn receipt(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.yard.path(name)).unwrap()).unwrap()
    }
}

#[test]
fn a_receipt_says_who_checked_what_and_everything_that_was_seen() {
    let bench = Bench::new(&Forgery::small());
    bench.run("verify good --trust trust.json --receipt r.json").says(0, &["OK"]);
    let receipt = bench.receipt("r.json");
    let index = fs::read(bench.yard.path("good/bundle.json")).unwrap();
    let policy = fs::read(bench.yard.path("trust.json")).unwrap();
    let digest = |bytes: &[u8]| bundle::digest::Digest::of(bytes).to_string();
    assert_eq!(receipt["kind"], "bundle-receipt");
    assert_eq!(receipt["report"]["index"], digest(&index));
    assert_eq!(receipt["report"]["release"]["version"], "1.2.0");
    assert_eq!(receipt["report"]["ok"], true);
    assert_eq!(receipt["report"]["signers"][0], bench.yard.key.public().id().to_string());
    assert_eq!(receipt["policy"]["sha256"], digest(&policy));
    assert_eq!(receipt["program"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(receipt["checker"]["uid"], rustix::process::geteuid().as_raw());
    assert!(!receipt["checker"]["host"].as_str().unwrap().is_empty());
    assert!(receipt["checked_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(receipt["less_safe"], serde_json::json!([]));

    // A bundle that is refused has one too, with every finding; and so is each way of being less safe in it.
    bench.copy("case", |bundle| flip(bundle, VOLUME_1, 9));
    let mut command =
        bench.program.command(&["verify", "case", "--receipt", "bad.json", "--allow-downgrade"]);
    command.args(["--trust", "weak.json"]).env("BUNDLE_PASSPHRASE", "x");
    bench.run("keygen signing --out other").says(0, &[]);
    bench
        .run("trust init --key vendor.pub --key other.pub --threshold 1 --weigh downgrade=ignore --out weak.json")
        .says(0, &[]);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    let receipt = bench.receipt("bad.json");
    assert_eq!(receipt["report"]["ok"], false);
    assert!(receipt["report"]["findings"].to_string().contains("\"damaged\""), "{receipt}");
    let used = [
        "--allow-downgrade",
        "BUNDLE_PASSPHRASE is set",
        "the policy weighs downgrade=ignore",
        "the policy takes any one of 2 keys",
    ];
    assert_eq!(receipt["less_safe"], serde_json::json!(used));
    bench.run("verify --receipt-check bad.json").says(0, &["was refused", "NOT PROVED", "--allow-downgrade"]);
    // The report inside is a damage report.
    fs::write(bench.yard.path("report.json"), receipt["report"].to_string()).unwrap();
    bench.repair("case --from good --report report.json").says(0, &["mended"]);
}

#[test]
fn a_report_of_no_damage_hides_none() {
    let bench = Bench::new(&Forgery::two_volumes());
    let clean = bench.run("verify good --trust trust.json --json");
    fs::write(bench.yard.path("report.json"), clean.stdout).unwrap();
    bench.copy("case", |bundle| flip(bundle, VOLUME_1, 100));
    bench.repair("case --from good --report report.json").says(0, &["mended"]);
    bench.is_whole("case");
}

#[test]
fn a_receipt_is_signed_and_the_signature_is_the_one_that_openssl_sees() {
    let bench = Bench::new(&Forgery::small());
    for name in ["operator", "stranger"] {
        bench.run(&format!("keygen signing --out {name}")).says(0, &[]);
    }
    bench.run("verify good --trust trust.json --receipt r.json --receipt-key operator.key").says(0, &["OK"]);
    let mut openssl = Command::new("openssl");
    openssl
        .args("pkeyutl -verify -pubin -inkey operator.pub -rawin -in r.json -sigfile r.json.sig".split(' '));
    tool(openssl.current_dir(bench.yard.path(".")));
    bench.run("verify --receipt-check r.json --key operator.pub").says(0, &["OK: signed by", "demo 1.2.0"]);
    bench.run("verify --receipt-check r.json --key stranger.pub").says(1, &["REFUSED: it is not signed by"]);
    bench.run("verify --receipt-check r.json").says(0, &["NOT PROVED: no key was given"]);
    flip(&bench.yard.path("."), "r.json", 30);
    bench.run("verify --receipt-check r.json --key operator.pub").says(1, &[]);
    fs::remove_file(bench.yard.path("r.json.sig")).unwrap();
    flip(&bench.yard.path("."), "r.json", 30);
    bench.run("verify --receipt-check r.json --key operator.pub").says(1, &["REFUSED: it is not signed"]);
    // No other signed document passes for one.
    for other in ["trust.json", "good/bundle.json", "good/SHA256SUMS"] {
        bench.run(&format!("verify --receipt-check {other}")).says(1, &["it is not a receipt"]);
    }
}

#[test]
fn a_receipt_is_never_written_into_the_bundle_nor_over_anything() {
    let bench = Bench::new(&Forgery::small());
    let before = state(&bench.yard.path("good"));
    for (receipt, words) in [
        ("good/r.json", "a delivered folder is never written to"),
        ("good/volumes/../r.json", "a delivered folder is never written to"),
        ("no/such/r.json", "no/such/r.json"),
        ("trust.json", "trust.json: exists"),
    ] {
        bench.run(&format!("verify good --trust trust.json --receipt {receipt}")).says(2, &[words]);
    }
    assert_eq!(state(&bench.yard.path("good")), before);
    bench.run("verify good --receipt r.json").says(2, &["--trust"]);
    bench.run("verify good --trust trust.json --receipt-key vendor.key").says(2, &["--receipt"]);
    assert!(!bench.yard.path("r.json").exists());
}
