//! `bundle keygen`: a signing pair or an age pair, in files that stock tools read.

use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use signing::{KeyError, KeyId, SecretKey};

use crate::bundle::grant::{self, GrantError, Identity};
use crate::sys::fs;
use crate::sys::random::{self, RandomError};

/// What is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An Ed25519 pair that signs bundles.
    Signing,
    /// An age identity and the recipient that seals to it.
    Recipient,
}

/// What to make, and where.
pub struct Request<'a> {
    /// Which pair.
    pub kind: Kind,
    /// Path of the files without `.key` and `.pub`.
    pub prefix: &'a Path,
    /// Encrypts the private half; `None` leaves it plain.
    pub passphrase: Option<&'a SecretString>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Which pair.
    pub kind: Kind,
    /// The file of the private half, mode 0600.
    pub key: String,
    /// The file of the public half.
    pub public: String,
    /// Whether the private half is encrypted.
    pub encrypted: bool,
    /// The key's id, for a signing pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// `age1…`, for an age pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
}

/// Why no pair was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be written, or one is there.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The signing key could not be encoded; names the passphrase when that is why.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The identity could not be sealed.
    #[error(transparent)]
    Age(#[from] GrantError),
}

/// Makes a pair. Overwrites nothing: when one of the two files is there, neither is written.
pub fn keygen(request: &Request<'_>) -> Result<Report, Error> {
    let (key, public) = (with_suffix(request.prefix, ".key")?, with_suffix(request.prefix, ".pub")?);
    for path in [&key, &public] {
        // Told before a passphrase is stretched; the writer refuses once more.
        if path.symlink_metadata().is_ok() {
            return Err(fs::Error::Exists { path: path.clone() }.into());
        }
    }
    let mut report = Report {
        kind: request.kind,
        key: key.display().to_string(),
        public: public.display().to_string(),
        encrypted: request.passphrase.is_some(),
        key_id: None,
        recipient: None,
    };
    match request.kind {
        Kind::Signing => {
            let secret = SecretKey::from_seed(&random::bytes()?);
            let pem = match request.passphrase {
                Some(passphrase) => secret.to_encrypted_pem(
                    passphrase.expose_secret().as_bytes(),
                    *random::bytes()?,
                    *random::bytes()?,
                )?,
                None => secret.to_pem(),
            };
            write_pair((&key, pem.as_bytes()), (&public, secret.public().to_pem().as_bytes()))?;
            report.key_id = Some(secret.public().id());
        }
        Kind::Recipient => {
            let identity = Identity::generate();
            let recipient = identity.recipient().to_string();
            let line = format!("{recipient}\n");
            match request.passphrase {
                Some(passphrase) => {
                    let file = grant::lock_identity(&identity, passphrase)?;
                    write_pair((&key, file.as_bytes()), (&public, line.as_bytes()))?;
                }
                None => write_pair((&key, identity.to_file().as_bytes()), (&public, line.as_bytes()))?,
            }
            report.recipient = Some(recipient);
        }
    }
    Ok(report)
}

/// Both files or neither.
fn write_pair(key: (&Path, &[u8]), public: (&Path, &[u8])) -> Result<(), fs::Error> {
    fs::create(key.0, key.1, fs::PRIVATE)?;
    fs::create(public.0, public.1, fs::PUBLIC).inspect_err(|_| {
        // Ours, a moment old, and of no use without its public half.
        let _ = std::fs::remove_file(key.0);
    })
}

fn with_suffix(prefix: &Path, suffix: &str) -> Result<PathBuf, fs::Error> {
    if prefix.file_name().is_none() || prefix.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(fs::Error::NoName { path: prefix.to_owned() });
    }
    let mut path = prefix.as_os_str().to_owned();
    path.push(suffix);
    Ok(path.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ops::keys;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn a_signing_pair_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        for (name, passphrase) in [("plain", None), ("sealed", Some(secret("pw")))] {
            let prefix = folder.path().join(name);
            let request = Request { kind: Kind::Signing, prefix: &prefix, passphrase: passphrase.as_ref() };
            let report = keygen(&request).unwrap();
            let public = keys::public_key(Path::new(&report.public)).unwrap();
            let key = keys::signing_key(Path::new(&report.key), &|_| passphrase.clone()).unwrap();
            assert_eq!((key.public(), Some(public.id())), (public, report.key_id));
            assert_eq!(report.encrypted, passphrase.is_some());
        }
    }

    #[test]
    fn an_age_pair_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        for (name, passphrase) in [("plain", None), ("sealed", Some(secret("pw")))] {
            let prefix = folder.path().join(name);
            let request = Request { kind: Kind::Recipient, prefix: &prefix, passphrase: passphrase.as_ref() };
            let report = keygen(&request).unwrap();
            let recipients = keys::recipients(&report.public).unwrap();
            assert_eq!(recipients, keys::recipients(report.recipient.as_ref().unwrap()).unwrap());
            let found = keys::identities(Path::new(&report.key), &|_| passphrase.clone()).unwrap();
            assert_eq!(found.into_one().unwrap().recipient(), recipients[0]);
        }
    }

    #[test]
    fn nothing_is_overwritten_and_no_half_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("k");
        let request = Request { kind: Kind::Signing, prefix: &prefix, passphrase: None };
        for taken in ["k.pub", "k.key"] {
            std::fs::write(folder.path().join(taken), "mine").unwrap();
            assert!(matches!(keygen(&request), Err(Error::File(fs::Error::Exists { .. }))));
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
            assert_eq!(std::fs::read(folder.path().join(taken)).unwrap(), b"mine");
            std::fs::remove_file(folder.path().join(taken)).unwrap();
        }
        let slash = folder.path().join("k/");
        let request = Request { kind: Kind::Signing, prefix: &slash, passphrase: None };
        assert!(matches!(keygen(&request), Err(Error::File(fs::Error::NoName { .. }))));
    }
}
