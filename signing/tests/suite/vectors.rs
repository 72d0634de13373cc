//! Files under `tests/vectors/signing`, each named for its reason, with what becomes of it in `cases.txt`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use signing::cosign::CosignKey;
use signing::{Policy, PublicKey, SecretKey};

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/signing").join(name)
}

/// Every vector of a folder, with its columns in `cases.txt`; a file without a line, or a line without a file, is a failure.
pub(crate) fn each(name: &str, columns: usize, run: impl Fn(&[u8], &[&str]) -> Result<String, String>) {
    let folder = folder(name);
    let cases = std::fs::read_to_string(folder.join("cases.txt")).unwrap();
    let mut lines = BTreeMap::new();
    for line in cases.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.splitn(columns + 1, " | ").collect();
        assert_eq!(parts.len(), columns + 1, "{line}");
        assert!(lines.insert(parts[0].to_owned(), parts).is_none(), "listed twice: {line}");
    }
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if file == "cases.txt" {
            continue;
        }
        let parts = lines.remove(&file).unwrap_or_else(|| panic!("{file} is not in cases.txt"));
        let expected = parts[columns];
        let held = match run(&std::fs::read(folder.join(&file)).unwrap(), &parts[1..columns]) {
            Ok(good) => (good == expected).then_some(()).ok_or(good),
            Err(error) => error.starts_with(expected).then_some(()).ok_or(error),
        };
        if let Err(got) = held {
            failures.push(format!("{file}: expected {expected}, got {got}"));
        }
    }
    assert!(lines.is_empty(), "no such files: {:?}", lines.keys());
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn secret_keys() {
    each("secret", 2, |text, columns| {
        let passphrase = Some(columns[0]).filter(|text| *text != "-").map(str::as_bytes);
        SecretKey::from_pem(text, passphrase)
            .map(|key| key.public().id().to_string())
            .map_err(|error| error.to_string())
    });
}

#[test]
fn public_keys() {
    each("public", 1, |text, _| {
        PublicKey::from_pem(text).map(|key| key.id().to_string()).map_err(|error| error.to_string())
    });
}

#[test]
fn policies() {
    each("policy", 1, |text, _| {
        let policy = Policy::from_json(text).map_err(|error| error.to_string())?;
        // What holds is written in one form, and that form reads back as the same.
        let written = policy.to_json();
        let again = Policy::from_json(written.as_bytes()).map_err(|error| error.to_string())?;
        assert_eq!((&again, again.to_json()), (&policy, written));
        Ok("ok".to_owned())
    });
}

#[test]
fn a_policy_is_written_with_sorted_keys_and_one_newline() {
    let text = std::fs::read(folder("policy").join("everything.json")).unwrap();
    let written = Policy::from_json(&text).unwrap().to_json();
    assert!(written.ends_with("}\n") && !written.ends_with("\n\n") && !written.contains('\r'));
    // The map sorts its keys: rendering through it changes nothing when they were sorted.
    let map: BTreeMap<String, BTreeSorted> = serde_json::from_str(&written).unwrap();
    assert_eq!(serde_json::to_string_pretty(&map).unwrap() + "\n", written);
}

/// Any JSON, its objects sorted.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum BTreeSorted {
    Number(u64),
    Text(String),
    List(Vec<BTreeSorted>),
    Object(BTreeMap<String, BTreeSorted>),
}

#[test]
fn a_policy_at_the_limit_is_read_and_one_past_it_is_not() {
    let mut text = std::fs::read(folder("policy").join("smallest.json")).unwrap();
    text.resize(signing::limits::POLICY_BYTES, b' ');
    assert!(Policy::from_json(&text).is_ok());
    text.push(b' ');
    let error = Policy::from_json(&text).unwrap_err();
    assert!(error.to_string().starts_with("1048577 bytes are more"), "{error}");
}

#[test]
fn keys_are_written_as_they_are_read() {
    let public = std::fs::read_to_string(folder("public").join("openssl-pubout.pem")).unwrap();
    assert_eq!(PublicKey::from_pem(public.as_bytes()).unwrap().to_pem(), public);
    let plain = std::fs::read_to_string(folder("secret").join("openssl-genpkey-version-1.pem")).unwrap();
    let key = SecretKey::from_pem(plain.as_bytes(), None).unwrap();
    assert_eq!(key.to_pem().as_str(), plain);
    let sealed = key.to_encrypted_pem(b"pw", [1; 16], [2; 16]).unwrap();
    assert_eq!(SecretKey::from_pem(sealed.as_bytes(), Some(b"pw")).unwrap().public(), key.public());
    assert!(key.to_encrypted_pem(b"", [1; 16], [2; 16]).is_err());
    assert!(signing::keys::is_encrypted(sealed.as_bytes()) && !signing::keys::is_encrypted(plain.as_bytes()));
}

#[test]
fn a_secret_key_is_not_printed() {
    let text = format!("{:?}", super::key(7));
    assert!(text.contains("redacted") && !text.contains("7, 7") && !text.contains("0707"), "{text}");
}

#[test]
fn a_wrong_passphrase_is_never_taken_for_another_fault() {
    // The padding of CBC looks right under one wrong key in 256, so many are tried.
    let text = std::fs::read(folder("secret").join("openssl-pbkdf2-aes-256-cbc.pem")).unwrap();
    for n in 0..1500 {
        let error = SecretKey::from_pem(&text, Some(format!("wrong {n}").as_bytes())).unwrap_err();
        assert_eq!(error, signing::KeyError::WrongPassphrase, "wrong {n}");
    }
}

#[test]
fn keys_of_signers_of_images() {
    each("cosign", 1, |text, _| {
        let key = CosignKey::from_pem(text).map_err(|error| error.to_string())?;
        assert_eq!(CosignKey::from_base64(&key.to_base64()).as_ref(), Ok(&key));
        Ok(key.id().to_string())
    });
}
