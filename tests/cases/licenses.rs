//! Licences from the command line, the tiers they are sold by, and what a bundle says and checks of them.

use std::fs;
use std::path::{Path, PathBuf};

use bundle::license::Tiers;
use bundle::ops::finding::What;
use serde_json::Value;
use signing::Weight;

use super::program::Program;
use super::world::World;

/// A folder with a key of each kind, and the program in it.
struct Desk {
    folder: tempfile::TempDir,
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["rsa-2048", "ed25519"] {
            fs::copy(
                here(&format!("tests/vectors/signing/license-public/{name}.pem")),
                desk.at(&format!("{name}.pub")),
            )
            .unwrap();
            let secret = fs::read(here(&format!("tests/vectors/signing/license-secret/{name}.pem"))).unwrap();
            bundle::sys::fs::create(&desk.at(&format!("{name}.key")), &secret, 0o600).unwrap();
        }
        fs::copy(here("manifests/incidentfox/tiers.yaml"), desk.at("tiers.yaml")).unwrap();
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a line, which must end with `code`; gives stdout and stderr.
    #[track_caller]
    fn ends(&self, line: &str, code: i32) -> (String, String) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let outcome = Program::at(self.folder.path()).run(&words);
        assert_eq!(outcome.code, Some(code), "{line}\n{}{}", outcome.stdout, outcome.stderr);
        (outcome.stdout, outcome.stderr)
    }

    #[track_caller]
    fn json(&self, line: &str, code: i32) -> Value {
        let (out, _) = self.ends(&format!("{line} --json"), code);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}: {error}: {out}"))
    }

    fn issue(&self, key: &str, out: &str, more: &str) -> Value {
        let line = format!(
            "license issue --key {key}.key --tiers tiers.yaml --customer acme-corp --tier enterprise --expires 2099-01-01 --out {out} {more}"
        );
        self.json(&line, 0)
    }
}

#[test]
fn a_licence_is_issued_checked_and_shown() {
    let desk = Desk::new();
    for (key, algorithm) in [("rsa-2048", "RS256"), ("ed25519", "EdDSA")] {
        let file = format!("{algorithm}.lic");
        let more = "--limit max_agent_runs_per_month=300000 --feature custom_agents --field account_manager=jane@example.com";
        let issued = desk.issue(key, &file, more);
        let claims = &issued["claims"];
        assert_eq!(
            (&claims["issuer"], &claims["grace_days"]),
            (&"license.incidentfox.ai".into(), &30.into())
        );
        let serial = claims["license_key"].as_str().unwrap();
        assert!(serial.starts_with("IFOX-ENT-ACME-CORP-") && serial.len() == 19 + 32, "{serial}");
        let granted = &claims["entitlements"];
        assert_eq!(granted["limits"]["max_agent_runs_per_month"], 300_000);
        assert_eq!((&granted["limits"]["max_teams"], &granted["tier"]), (&(-1).into(), &"enterprise".into()));
        let features = granted["features"].as_array().unwrap();
        for feature in ["slack", "sso", "airgapped", "custom_agents"] {
            assert!(features.contains(&feature.into()), "{feature}: {features:?}");
        }

        let verify = format!("license verify {file} --public-key {key}.pub");
        let report = desk.json(&format!("{verify} --customer acme-corp --feature airgapped"), 0);
        assert_eq!((&report["ok"], &report["weight"]), (&true.into(), &"ignore".into()));
        assert_eq!((&report["verdicts"][0]["verdict"], &report["claims"]), (&"valid".into(), claims));
        assert_eq!(report["key"]["algorithm"], algorithm);
        let (page, _) = desk.ends(&verify, 0);
        assert!(page.contains("valid until 2099-01-01T00:00:00Z") && page.contains("OK"), "{page}");
        for (at, code, verdict, days) in [
            ("2098-12-17T23:59:59Z", 0, "valid", 15),
            ("2098-12-18", 0, "warning", 14),
            ("2098-12-31T23:59:59Z", 0, "warning", 1),
            ("2099-01-01", 0, "grace", 30),
            ("2099-01-30T23:59:59Z", 0, "grace", 1),
            ("2099-01-31", 1, "expired", 0),
            ("2026-01-01T00:00:00Z", 0, "clock-behind", 0),
        ] {
            let report = desk.json(&format!("{verify} --at {at}"), code);
            assert_eq!(report["verdicts"][0]["verdict"], verdict, "{at}");
            assert_eq!(report["verdicts"][0]["days_left"].as_u64().unwrap_or(0), days, "{at}");
            let (page, advice) = desk.ends(&format!("{verify} --at {at}"), code);
            assert!(verdict == "valid" || advice.contains("hint: "), "{at}: {advice}");
            assert!(days < 2 || page.contains(&format!("{days} days left")), "{page}");
        }
        let shown = desk.json(&format!("license inspect {file}"), 0);
        assert_eq!((&shown["verified"], &shown["claims"]), (&false.into(), claims));
        let (page, _) = desk.ends(&format!("license inspect {file}"), 0);
        assert!(page.contains("NOT CHECKED") && page.contains("unlimited"), "{page}");
    }
}

#[test]
fn a_refused_licence_says_why_and_shows_nothing_unsigned() {
    let desk = Desk::new();
    desk.issue("rsa-2048", "a.lic", "--not-before 2098-01-01");
    let good = fs::read_to_string(desk.at("a.lic")).unwrap();
    fs::write(desk.at("altered.lic"), good.replace('.', "A.")).unwrap();
    fs::write(desk.at("cut.lic"), &good[..good.len() - 2]).unwrap();
    fs::write(desk.at("large.lic"), "x".repeat(100_000)).unwrap();
    for name in ["hs256-keyed-with-the-public-pem", "alg-none-unsigned"] {
        fs::copy(here(&format!("tests/vectors/signing/license/{name}.lic")), desk.at(&format!("{name}.lic")))
            .unwrap();
    }
    for (line, verdict) in [
        ("a.lic --public-key rsa-2048.pub", "not-yet-valid"),
        ("a.lic --public-key ed25519.pub", "wrong-key"),
        ("a.lic --public-key rsa-2048.pub --at 2098-06-01 --customer umbrella", "other-customer"),
        ("a.lic --public-key rsa-2048.pub --at 2098-06-01 --issuer license.other.com", "other-issuer"),
        ("a.lic --public-key rsa-2048.pub --at 2098-06-01 --feature time_travel", "lacks-features"),
        ("altered.lic --public-key rsa-2048.pub", "malformed"),
        ("cut.lic --public-key rsa-2048.pub", "altered"),
        ("large.lic --public-key rsa-2048.pub", "oversized"),
        ("hs256-keyed-with-the-public-pem.lic --public-key rsa-2048.pub", "wrong-algorithm"),
        ("alg-none-unsigned.lic --public-key rsa-2048.pub", "wrong-algorithm"),
    ] {
        let report = desk.json(&format!("license verify {line}"), 1);
        assert_eq!(
            (&report["ok"], &report["verdicts"][0]["verdict"]),
            (&false.into(), &verdict.into()),
            "{line}"
        );
        let signed = ["not-yet-valid", "other-customer", "other-issuer", "lacks-features"].contains(&verdict);
        assert_eq!(report.get("claims").is_some(), signed, "{line}");
        let (page, advice) = desk.ends(&format!("license verify {line}"), 1);
        assert!(page.contains("REFUSED") && advice.contains("hint: "), "{line}: {page}{advice}");
        let (page, said) = desk.ends(&format!("license verify {line} -q"), 1);
        assert!(page.is_empty() && !said.is_empty(), "{line}: {page}{said}");
    }
}

#[test]
fn no_licence_is_issued_that_the_tiers_or_the_calendar_refuse() {
    let desk = Desk::new();
    let bad =
        fs::read_to_string(desk.at("tiers.yaml")).unwrap().replace("[slack, github, basic_tools]", "[slak]");
    fs::write(desk.at("bad.yaml"), bad).unwrap();
    fs::copy(here("tests/vectors/signing/license-secret/algorithm-ec.pem"), desk.at("ec.key")).unwrap();
    fs::copy(here("tests/vectors/signing/license-secret/rsa-1024.pem"), desk.at("weak.key")).unwrap();
    fs::copy(here("tests/vectors/signing/license-secret/rsa-2048.pem"), desk.at("open.key")).unwrap();
    for name in ["ec.key", "weak.key"] {
        fs::set_permissions(desk.at(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    fs::set_permissions(desk.at("open.key"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let good = "--key ed25519.key --customer acme --tier enterprise --expires 2099-01-01 --tiers tiers.yaml";
    for (from, to, code, kind, says) in [
        (
            "enterprise",
            "entreprise",
            2,
            "tiers",
            "--tier \"entreprise\": there is starter, professional, enterprise,",
        ),
        ("--tiers", "--feature flying --tiers", 2, "tiers", "--feature \"flying\": there is slack,"),
        ("--tiers", "--limit seats=5 --tiers", 2, "tiers", "--limit \"seats\": there is max_teams,"),
        (
            "--tiers",
            "--limit max_teams=5 --tiers",
            2,
            "tiers",
            "that grants less than the unlimited of tier enterprise",
        ),
        (
            "--tiers",
            "--limit support_sla_hours=unlimited --tiers",
            2,
            "tiers",
            "--limit support_sla_hours=-1",
        ),
        (
            "--tiers",
            "--limit max_teams=5 --limit max_teams=6 --tiers",
            2,
            "arguments",
            "max_teams is given twice",
        ),
        ("--tiers", "--limit max_teams=-2 --tiers", 2, "arguments", "NAME=N"),
        ("--tiers", "--grace-days 3661 --tiers", 2, "arguments", "grace_days: it is not a number of days"),
        ("--tiers", "--not-before 2099-01-01 --tiers", 2, "arguments", "before it begins"),
        ("--tiers", "--key-prefix ifox --tiers", 2, "arguments", "prefix \"ifox\""),
        ("2099-01-01", "2026-01-02", 2, "arguments", "--expires \"2026-01-02T00:00:00Z\": it is past"),
        ("2099-01-01", "2099-02-30", 2, "arguments", "expected a day"),
        ("acme", "a/b", 2, "arguments", "--customer \"a/b\""),
        (
            "tiers.yaml",
            "bad.yaml",
            2,
            "tiers",
            "bad.yaml:34:16: tier starter: feature \"slak\" is not declared",
        ),
        ("ed25519.key", "ed25519.pub", 2, "key", ""),
        ("ed25519.key", "ec.key", 2, "key", "the key is EC, expected RSA or Ed25519"),
        ("ed25519.key", "weak.key", 1, "key", "the key is RSA with 1024 bits"),
        ("ed25519.key", "open.key", 1, "key_exposed", "others may read"),
        (" --tiers tiers.yaml", "", 2, "arguments", "nothing says who issues it"),
    ] {
        let line = format!("license issue {} --out x.lic", good.replacen(from, to, 1));
        let error = &desk.json(&line, code)["error"];
        assert_eq!(error["kind"], kind, "{line}: {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{line}: {error}");
        assert!(error["hint"].is_string() && !desk.at("x.lic").exists(), "{line}: {error}");
    }
    // Without tiers, what is granted is what was said.
    let free =
        good.replace(" --tiers tiers.yaml", " --issuer us --key-prefix ABC --limit seats=7 --feature sso");
    let issued = desk.json(&format!("license issue {free} --out x.lic"), 0);
    assert_eq!(issued["claims"]["entitlements"]["limits"], serde_json::json!({"seats": 7}));
    assert!(issued["claims"]["license_key"].as_str().unwrap().starts_with("ABC-ENTERPRISE-ACME-"));
    assert_eq!(desk.json(&format!("license issue {free} --out x.lic"), 2)["error"]["kind"], "exists");
    assert_eq!(desk.json("license inspect tiers.yaml", 2)["error"]["kind"], "license");
}

#[test]
fn the_signature_is_the_one_that_openssl_sees() {
    let desk = Desk::new();
    desk.issue("rsa-2048", "a.lic", "");
    let script = "set -e; cut -d. -f1,2 a.lic | tr -d '\\n' > signed; \
                  s=$(cut -d. -f3 a.lic | tr -d '\\n' | tr '_-' '/+'); while [ $((${#s} % 4)) -ne 0 ]; do s=$s=; done; \
                  printf %s \"$s\" | openssl base64 -d -A > signature; \
                  openssl dgst -sha256 -verify rsa-2048.pub -signature signature signed";
    let done = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(desk.folder.path())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&done.stdout),
        "Verified OK\n",
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    // A key as a vendor makes it.
    let make = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out own.key";
    let mut openssl = std::process::Command::new("openssl");
    assert!(openssl.args(make.split(' ')).current_dir(desk.folder.path()).output().unwrap().status.success());
    fs::set_permissions(desk.at("own.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let issued = desk.issue("own", "b.lic", "");
    assert_eq!((&issued["key"]["kind"], &issued["key"]["algorithm"]), (&"RSA-3072".into(), &"RS256".into()));
}

#[test]
fn tiers() {
    let folder = here("tests/vectors/tiers");
    let cases = fs::read_to_string(folder.join("cases.txt")).unwrap();
    let lines: Vec<(&str, &str)> = cases
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(" | ").unwrap())
        .collect();
    let files = fs::read_dir(&folder).unwrap().count() - 1;
    assert_eq!(files, lines.len(), "every file has its line");
    let mut failures = Vec::new();
    for (file, expected) in lines {
        let got = match Tiers::parse(&fs::read(folder.join(file)).unwrap(), "tiers.yaml") {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        let wanted = if expected == "ok" { "ok".to_owned() } else { format!("tiers.yaml:{expected}") };
        if !got.starts_with(&wanted) {
            failures.push(format!("{file}: expected {wanted}, got {got}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn the_tiers_of_the_example_are_those_of_the_strategy() {
    let tiers =
        Tiers::parse(&fs::read(here("manifests/incidentfox/tiers.yaml")).unwrap(), "tiers.yaml").unwrap();
    for (tier, teams, runs, hours, with, without) in [
        ("starter", 5, 10_000, 48, "slack", "sso"),
        ("professional", 20, 50_000, 24, "sso", "airgapped"),
        ("enterprise", -1, 200_000, 4, "airgapped", "custom_agents"),
        ("enterprise_plus", -1, -1, 1, "custom_agents", "nothing_more"),
    ] {
        let (granted, _) = tiers.grant(tier, &[], &std::collections::BTreeMap::new()).unwrap();
        let limits = &granted.limits;
        let got = (limits["max_teams"], limits["max_agent_runs_per_month"], limits["support_sla_hours"]);
        assert_eq!(got, (teams, runs, hours), "{tier}");
        assert!(granted.features.contains(with) && !granted.features.contains(without), "{tier}");
    }
    // What the strategy's own licence grants, word for word.
    let (granted, code) = tiers.grant("enterprise", &[], &std::collections::BTreeMap::new()).unwrap();
    assert_eq!(code, "ENT");
    for feature in
        "slack github pagerduty datadog grafana sso approval_workflows custom_mcps airgapped".split(' ')
    {
        assert!(granted.features.contains(feature), "{feature}");
    }
}

#[test]
fn a_bundle_carries_the_policy_and_checks_the_licences_beside_it() {
    let world = World::new("license: {required: true, public-key: license.pub, features: [airgapped]}\n");
    let desk = Desk::new();
    fs::copy(desk.at("rsa-2048.pub"), world.path("license.pub")).unwrap();
    world.lock();
    let lock = fs::read_to_string(world.path("release.lock")).unwrap();
    assert!(
        lock.contains("license:\n  required: true\n  public-key: \"-----BEGIN PUBLIC KEY-----\\n"),
        "{lock}"
    );
    assert!(lock.contains("  features: [airgapped]\n  grace-days: 30\n  warn-days: 14\n"), "{lock}");
    let folder = world.build("out");
    let index: Value = serde_json::from_slice(&fs::read(folder.join("bundle.json")).unwrap()).unwrap();
    let license = &index["license"];
    assert_eq!(
        (&license["required"], &license["grace_days"], &license["warn_days"]),
        (&true.into(), &30.into(), &14.into())
    );
    assert_eq!(license["public_key"], fs::read_to_string(desk.at("rsa-2048.pub")).unwrap());
    assert!(
        world.verify(&folder, false).findings.is_empty(),
        "none is there, and that is for the installation to say"
    );

    fs::create_dir(folder.join("licenses")).unwrap();
    desk.issue("ed25519", "forged.lic", "");
    let small = "license issue --key rsa-2048.key --tiers tiers.yaml --customer acme-corp --tier starter --expires 2099-01-01 --out small.lic";
    desk.ends(small, 0);
    // The world's clock stands at 2026-09-21, which may lie before a licence was issued: what time does is tried with vectors.
    let vector = |name: &str| here(&format!("tests/vectors/signing/license/{name}.lic"));
    for (from, name, weight, verdicts) in [
        (vector("made-by-pyjwt-rs256"), "acme-corp", None, vec![]),
        (vector("made-by-pyjwt-rs256"), "umbrella", Some(Weight::Warn), vec!["other-customer"]),
        (vector("the-claims-of-the-strategy-document"), "acme-corp", Some(Weight::Warn), vec!["expired"]),
        (desk.at("forged.lic"), "acme-corp", Some(Weight::Refuse), vec!["wrong-key"]),
        (vector("alg-none-unsigned"), "acme-corp", Some(Weight::Refuse), vec!["wrong-algorithm"]),
        (vector("expiry-moved-rs256"), "acme-corp", Some(Weight::Refuse), vec!["altered"]),
        (vector("empty"), "acme-corp", Some(Weight::Refuse), vec!["malformed"]),
        (desk.at("small.lic"), "acme-corp", Some(Weight::Warn), vec!["lacks-features"]),
    ] {
        let place = folder.join(format!("licenses/{name}.lic"));
        fs::copy(&from, &place).unwrap();
        let report = world.verify(&folder, false);
        let seen: Vec<&str> = report
            .findings
            .iter()
            .filter_map(|finding| match &finding.what {
                What::License { path, verdict, .. } => {
                    assert_eq!(path, &format!("licenses/{name}.lic"));
                    // Of what is signed with a clock that runs, only the licence itself speaks.
                    (verdict != "clock-behind").then_some(verdict.as_str())
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(seen, verdicts, "{}", from.display());
        assert_eq!(report.ok, weight != Some(Weight::Refuse), "{}", from.display());
        fs::remove_file(place).unwrap();
    }
    fs::write(folder.join("licenses/large.lic"), "x".repeat(50_000)).unwrap();
    assert!(!world.verify(&folder, false).ok);
}

#[test]
fn a_key_that_no_licence_is_checked_with_is_refused_where_it_is_named() {
    let world = World::new("license: {public-key: license.pub}\n");
    let request = bundle::ops::lock::Request {
        file: world.path("release.yaml"),
        mode: bundle::ops::lock::Mode::Write,
        helm: None,
    };
    let lock = || {
        bundle::ops::lock::lock(&request, world.registry(), &bundle::progress::Silent)
            .unwrap_err()
            .to_string()
    };
    assert!(lock().contains("release.yaml:6:23: license.public-key: "), "{}", lock());
    for (name, says) in [
        ("rsa-1024", "the key is RSA with 1024 bits, expected 2048 to 8192"),
        ("algorithm-ec", "the key is EC, expected RSA or Ed25519"),
        ("label-private-key", "the PEM label is \"PRIVATE KEY\""),
    ] {
        fs::copy(
            here(&format!("tests/vectors/signing/license-public/{name}.pem")),
            world.path("license.pub"),
        )
        .unwrap();
        assert!(lock().contains(says) && !world.path("release.lock").exists(), "{name}: {}", lock());
    }
}

#[test]
fn a_licence_that_no_key_is_named_for_is_said_to_be_unchecked() {
    let world = World::new("");
    world.lock();
    let folder = world.build("out");
    fs::create_dir(folder.join("licenses")).unwrap();
    fs::write(folder.join("licenses/acme.lic"), "anything").unwrap();
    let report = world.verify(&folder, false);
    assert!(report.ok);
    assert!(
        matches!(&report.findings[0].what, What::Unchecked { detail } if detail.starts_with("licenses/acme.lic"))
    );
}
