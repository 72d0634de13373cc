//! No parser panics, loops or takes much, whatever it is given. Seeded, so that a failure can be had again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signing::time::Time;
use signing::{KeyId, Policy, PublicKey, SecretKey, Signature, sshsig, verify};

use super::{key, policy, vectors};

/// xorshift64*.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit as u64).max(1)).unwrap()
    }

    /// A few flips, cuts, repetitions and insertions.
    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = self.next().to_le_bytes()[0],
                2 => bytes.truncate(at),
                3 => bytes.insert(at, self.next().to_le_bytes()[0]),
                _ => {
                    let end = (at + self.below(20)).min(bytes.len());
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
            }
        }
        bytes
    }
}

fn all(folder: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        std::fs::read_dir(vectors::folder(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn texts() {
    let mut seeded = Seeded(0x00b0_0d1e);
    for text in [all("secret"), all("public"), all("policy")].concat() {
        for _ in 0..100 {
            let text = seeded.mutate(&text);
            let _ = SecretKey::from_pem(&text, None);
            let _ = PublicKey::from_pem(&text);
            let _ = sshsig::check(&key(1).public(), b"", &text);
            if let Ok(policy) = Policy::from_json(&text) {
                assert!(Policy::from_json(policy.to_json().as_bytes()).is_ok());
            }
            let text = String::from_utf8_lossy(&text);
            let _ = (text.parse::<KeyId>(), text.parse::<Time>());
        }
    }
}

#[test]
fn der_inside_pem() {
    let mut seeded = Seeded(0xde5);
    for text in [all("secret"), all("public")].concat() {
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let [begin, body @ .., end] = lines.as_slice() else { continue };
        let Ok(der) = STANDARD.decode(body.concat()) else { continue };
        for _ in 0..40 {
            let body = STANDARD.encode(seeded.mutate(&der));
            let lines: Vec<&str> = body.as_bytes().chunks(64).map(|l| str::from_utf8(l).unwrap()).collect();
            let text = format!("{begin}\n{}\n{end}\n", lines.join("\n"));
            let _ = SecretKey::from_pem(text.as_bytes(), Some(b"vector"));
            let _ = PublicKey::from_pem(text.as_bytes());
        }
    }
}

#[test]
fn ssh_signatures() {
    let mut seeded = Seeded(0x55);
    let (a, document) = (key(1), b"document");
    let armored = sshsig::sign(&a, document);
    let body: String = armored.lines().filter(|line| !line.starts_with('-')).collect();
    let blob = STANDARD.decode(body).unwrap();
    for _ in 0..5000 {
        let changed = seeded.mutate(&blob);
        let text = format!(
            "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
            STANDARD.encode(&changed)
        );
        assert!(changed == blob || sshsig::check(&a.public(), document, text.as_bytes()).is_err());
    }
}

#[test]
fn no_changed_signature_or_message_holds() {
    let mut seeded = Seeded(0x51);
    let (a, message) = (key(1), b"message".to_vec());
    let policy = policy(&[&a], 1);
    let good = signing::raw::sign(&a, &message);
    for _ in 0..2000 {
        let (bytes, message_) = (seeded.mutate(&good), seeded.mutate(&message));
        let signature = Signature { key: a.public().id(), bytes: &bytes };
        let held = verify(&message_, &[signature], &policy, None).verified.is_some();
        assert_eq!(held, bytes == good && message_ == message);
    }
}
