//! Licenses: keys and tokens under `tests/vectors/signing/license*`, each named for its reason; every byte of a token; the signature as
//! `openssl` sees it.

use std::path::Path;
use std::process::Command;

use signing::Weight;
use signing::license::{
    Claims, Entitlements, Expect, LicenseKey, LicenseSigner, Verdict, issue, judge, peek,
};
use signing::time::Time;

use super::vectors::{each, folder};

pub(crate) fn public(name: &str) -> LicenseKey {
    LicenseKey::from_pem(&std::fs::read(folder("license-public").join(format!("{name}.pem"))).unwrap())
        .unwrap()
}

pub(crate) fn signer(name: &str) -> LicenseSigner {
    let text = std::fs::read(folder("license-secret").join(format!("{name}.pem"))).unwrap();
    LicenseSigner::from_pem(&text, None).unwrap()
}

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

pub(crate) fn claims() -> Claims {
    Claims {
        issuer: "license.example.com".to_owned(),
        customer: "acme-corp".to_owned(),
        issued: time("2026-01-01T00:00:00Z"),
        not_before: None,
        expires: time("2027-01-01T00:00:00Z"),
        license_key: None,
        grace_days: None,
        warn_days: None,
        entitlements: Entitlements {
            tier: "enterprise".to_owned(),
            limits: [("max_teams".to_owned(), -1)].into(),
            features: ["airgapped".to_owned(), "sso".to_owned()].into(),
            custom_fields: serde_json::Map::new(),
        },
        others: std::collections::BTreeMap::new(),
    }
}

/// In the middle of [`claims`].
const JUNE: Option<i64> = Some(1_780_272_000);

fn described(key: &LicenseKey) -> String {
    format!("{} {} {}", key.algorithm(), key.kind(), key.id())
}

#[test]
fn public_keys() {
    each("license-public", 1, |text, _| {
        let key = LicenseKey::from_pem(text).map_err(|error| error.to_string())?;
        let again = LicenseKey::from_pem(key.to_pem().as_bytes()).map_err(|error| error.to_string())?;
        assert!(again == key && again.to_pem() == key.to_pem());
        Ok(described(&key))
    });
}

#[test]
fn secret_keys() {
    each("license-secret", 2, |text, columns| {
        let passphrase = Some(columns[0]).filter(|text| *text != "-").map(str::as_bytes);
        LicenseSigner::from_pem(text, passphrase)
            .map(|key| described(&key.public()))
            .map_err(|error| error.to_string())
    });
}

/// A verdict as `cases.txt` has it.
fn word(verdict: &Verdict) -> String {
    let json = serde_json::to_value(verdict).unwrap();
    let word = json["verdict"].as_str().unwrap().to_owned();
    assert_eq!(word, verdict.name());
    json["part"].as_str().map_or(word.clone(), |part| format!("{word} {part}"))
}

#[test]
fn tokens() {
    each("license", 3, |token, columns| {
        let now = Some(columns[1]).filter(|at| *at != "-").map(|at| time(at).unix());
        let judgement = judge(token, &public(columns[0]), &Expect::default(), now);
        // Nothing is believed of what is not signed, and nothing that is refused weighs less than that.
        let authentic = matches!(
            judgement.verdict(),
            Verdict::Valid { .. } | Verdict::Warning { .. } | Verdict::Grace { .. } | Verdict::Expired { .. }
        );
        assert_eq!(judgement.claims().is_some(), authentic);
        let expired = matches!(judgement.verdict(), Verdict::Expired { .. });
        assert_eq!(judgement.weight() == Weight::Refuse, !authentic || expired);
        let _ = peek(token);
        Ok(judgement.verdicts().map(word).collect::<Vec<_>>().join(", "))
    });
}

#[test]
fn what_is_issued_is_valid_under_its_key_and_no_other() {
    for name in ["rsa-2048", "rsa-3072", "rsa-8192", "ed25519"] {
        let signer = signer(name);
        assert_eq!(signer.public(), public(name));
        let claims = Claims {
            not_before: Some(time("2026-02-01T00:00:00Z")),
            license_key: Some("IFOX-ENT-ACME-CORP-4fa1c2d3e4f5a6b7".to_owned()),
            grace_days: Some(0),
            warn_days: Some(3660),
            others: [("note".to_owned(), serde_json::json!({"a": [1, null]}))].into(),
            ..claims()
        };
        let token = issue(&claims, &signer).unwrap();
        assert!(!token.ends_with('\n'));
        let judgement = judge(token.as_bytes(), &public(name), &Expect::default(), JUNE);
        assert_eq!(judgement.claims(), Some(&claims), "{name}");
        assert!(matches!(judgement.verdict(), Verdict::Warning { .. }), "{name}: {judgement:?}");
        let other = judge(token.as_bytes(), &public("rsa-4096"), &Expect::default(), JUNE);
        assert!(matches!(other.verdict(), Verdict::WrongKey { .. }), "{name}: {other:?}");
        let unverified = peek(token.as_bytes()).unwrap();
        assert_eq!((unverified.claims, unverified.key), (claims, Some(signer.public().id().to_string())));
        assert!(!format!("{signer:?}").contains("PRIVATE"));
    }
}

#[test]
fn no_license_is_issued_that_a_reader_would_refuse() {
    let with = |change: fn(&mut Claims)| {
        let mut claims = claims();
        change(&mut claims);
        issue(&claims, &signer("ed25519")).unwrap_err().part
    };
    assert_eq!(with(|c| c.expires = c.issued), "exp");
    assert_eq!(with(|c| c.customer = " ".to_owned()), "sub");
    assert_eq!(with(|c| c.grace_days = Some(3661)), "grace_days");
    assert_eq!(with(|c| c.entitlements.limits = [("x".to_owned(), -2)].into()), "entitlements.x");
    assert_eq!(with(|c| c.others = [("aud".to_owned(), "x".into())].into()), "aud");
    assert_eq!(with(|c| c.others = [("x".to_owned(), "x".repeat(40_000).into())].into()), "license");
}

#[test]
fn a_license_at_the_limit_is_read_and_one_past_it_is_not() {
    let signer = signer("ed25519");
    let with = |padding: usize| {
        let others = [("x".to_owned(), "x".repeat(padding).into())].into();
        issue(&Claims { others, ..claims() }, &signer).unwrap()
    };
    let (limit, empty) = (signing::limits::LICENSE_BYTES, with(0).len());
    // Three characters become four, so the limit itself can be missed by up to two bytes.
    let padding = (limit - empty) / 4 * 3;
    let mut token = (padding..).map(with).find(|token| token.len() >= limit - 2).unwrap().into_bytes();
    assert!(matches!(
        judge(&token, &signer.public(), &Expect::default(), JUNE).verdict(),
        Verdict::Valid { .. }
    ));
    token.resize(limit, b'A');
    let judgement = judge(&token, &signer.public(), &Expect::default(), JUNE);
    assert!(!matches!(judgement.verdict(), Verdict::Oversized { .. }));
    token.push(b'A');
    let judgement = judge(&token, &signer.public(), &Expect::default(), JUNE);
    assert_eq!(judgement.verdict(), &Verdict::Oversized { limit });
    assert_eq!(peek(&token).unwrap_err().part, "license");
}

#[test]
fn what_is_asked_for_is_judged_whole() {
    let token = issue(&claims(), &signer("ed25519")).unwrap();
    let features = ["airgapped", "custom_mcps", "sso", "ha"].map(str::to_owned);
    let expect = Expect {
        customer: Some("umbrella"),
        issuer: Some("license.other.com"),
        features: &features,
        ..Expect::default()
    };
    let after = Some(time("2027-02-01T00:00:00Z").unix());
    let judgement = judge(token.as_bytes(), &public("ed25519"), &expect, after);
    let words: Vec<String> = judgement.verdicts().map(word).collect();
    assert_eq!(words, ["other-issuer", "other-customer", "lacks-features", "expired"]);
    assert!(judgement.verdicts().any(|verdict| {
        *verdict == Verdict::LacksFeatures { missing: vec!["custom_mcps".to_owned(), "ha".to_owned()] }
    }));
    // What refuses decides, also when time alone would not.
    let judgement = judge(token.as_bytes(), &public("ed25519"), &expect, JUNE);
    assert_eq!((word(judgement.verdict()), judgement.weight()), ("other-issuer".to_owned(), Weight::Refuse));
    let right = Expect {
        customer: Some("acme-corp"),
        issuer: Some("license.example.com"),
        features: &features[..1],
        ..Expect::default()
    };
    let judgement = judge(token.as_bytes(), &public("ed25519"), &right, JUNE);
    assert_eq!((word(judgement.verdict()), judgement.weight()), ("valid".to_owned(), Weight::Ignore));
    // Capitals make another customer, and so does half a name.
    for customer in ["ACME-CORP", "acme", "acme-corp "] {
        let expect = Expect { customer: Some(customer), ..Expect::default() };
        let judgement = judge(token.as_bytes(), &public("ed25519"), &expect, JUNE);
        assert_eq!(word(judgement.verdict()), "other-customer", "{customer}");
    }
}

#[test]
fn no_byte_of_a_license_can_be_changed_dropped_or_added() {
    for name in ["rsa-2048", "ed25519"] {
        let key = public(name);
        let good = issue(&claims(), &signer(name)).unwrap().into_bytes();
        let refused = |bytes: &[u8], what: &str, at: usize| {
            let judgement = judge(bytes, &key, &Expect::default(), JUNE);
            assert!(judgement.claims().is_none(), "{name}: byte {at} {what}: {judgement:?}");
        };
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut changed = good.clone();
                changed[at] ^= 1 << bit;
                refused(&changed, "flipped", at);
            }
            for other in [b'A', b'.', b'=', b'\n', 0] {
                let mut changed = good.clone();
                changed.insert(at, other);
                refused(&changed, "preceded", at);
                if good[at] != other {
                    changed = good.clone();
                    changed[at] = other;
                    // A last character that becomes a line ending makes a shorter signature, which does not hold either.
                    refused(&changed, "replaced", at);
                }
            }
            let mut changed = good.clone();
            changed.remove(at);
            refused(&changed, "dropped", at);
            refused(&good[..at], "and what follows cut off", at);
        }
    }
}

/// Runs `openssl`; whether it ended well, and what it said.
fn openssl(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let out = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

/// A token as files: what is signed, and the signature.
fn unpack(folder: &Path, token: &str) {
    use base64::Engine as _;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    std::fs::write(folder.join("signed"), signed).unwrap();
    std::fs::write(folder.join("signature"), signature).unwrap();
}

#[test]
fn openssl_agrees_with_our_signatures() {
    let work = tempfile::tempdir().unwrap();
    let at = work.path();
    for name in ["rsa-2048", "rsa-8192"] {
        unpack(at, &issue(&claims(), &signer(name)).unwrap());
        std::fs::write(at.join("key.pub"), public(name).to_pem()).unwrap();
        let verify = ["dgst", "-sha256", "-verify", "key.pub", "-signature", "signature", "signed"];
        assert_eq!(openssl(at, &verify), (true, "Verified OK\n".to_owned()), "{name}");
        std::fs::write(at.join("signed"), "another").unwrap();
        assert!(!openssl(at, &verify).0, "{name}");
    }
    unpack(at, &issue(&claims(), &signer("ed25519")).unwrap());
    std::fs::write(at.join("key.pub"), public("ed25519").to_pem()).unwrap();
    let verify = [
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key.pub",
        "-rawin",
        "-in",
        "signed",
        "-sigfile",
        "signature",
    ];
    assert!(openssl(at, &verify).0);
}

#[test]
fn we_agree_with_signatures_and_keys_of_openssl() {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let work = tempfile::tempdir().unwrap();
    let at = work.path();
    let make = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem";
    assert!(openssl(at, &make.split(' ').collect::<Vec<_>>()).0);
    assert!(openssl(at, &["pkey", "-in", "key.pem", "-pubout", "-out", "key.pub"]).0);
    let payload = r#"{"iss":"i","sub":"acme","iat":1767225600,"exp":1798761600,"entitlements":{"tier":"t"}}"#;
    let signed = format!("{}.{}", base64.encode(r#"{"alg":"RS256"}"#), base64.encode(payload));
    std::fs::write(at.join("signed"), &signed).unwrap();
    assert!(openssl(at, &["dgst", "-sha256", "-sign", "key.pem", "-out", "signature", "signed"]).0);
    let token = format!("{signed}.{}", base64.encode(std::fs::read(at.join("signature")).unwrap()));
    let key = LicenseKey::from_pem(&std::fs::read(at.join("key.pub")).unwrap()).unwrap();
    let judgement = judge(token.as_bytes(), &key, &Expect::default(), JUNE);
    assert_eq!(word(judgement.verdict()), "valid");
    let signer = LicenseSigner::from_pem(&std::fs::read(at.join("key.pem")).unwrap(), None).unwrap();
    assert_eq!(signer.public(), key);
}
