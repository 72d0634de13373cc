//! Keys, identities, recipients and policies, from the files people name.

use std::path::{Path, PathBuf};

use age::secrecy::{ExposeSecret as _, SecretString};
use signing::license::{LicenseKey, LicenseSigner};
use signing::{KeyError, Policy, PolicyError, PublicKey, SecretKey};

use crate::bundle::grant::{GrantError, Identities, Recipient};
use crate::limits;
use crate::sys::fs;

/// Why a key cannot be had from a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// What is in it is not the signing key, or public key, it should be.
    #[error("{path}: {source}", path = path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// What is in it is not an age identity or recipient.
    #[error("{path}: {source}", path = path.display())]
    Age {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: GrantError,
    },
    /// What was given instead of a file is not a recipient.
    #[error("\"{given}\": {source}")]
    Recipient {
        /// What was given.
        given: String,
        /// What is wrong with it.
        source: GrantError,
    },
    /// What is in it is not a trust policy.
    #[error("{path}: {source}", path = path.display())]
    Policy {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: PolicyError,
    },
}

/// Asks for the passphrase of the file at a path; `None` when nobody can be asked.
pub type AskPassphrase<'a> = &'a dyn Fn(&Path) -> Option<SecretString>;

/// The signing key in a file that only its owner may read. Asks only when the key is encrypted.
pub fn signing_key(path: &Path, ask: AskPassphrase<'_>) -> Result<SecretKey, Error> {
    let text = fs::read_private(path, limits::KEY_BYTES)?;
    let passphrase = if signing::keys::is_encrypted(&text) { ask(path) } else { None };
    let passphrase = passphrase.as_ref().map(|secret| secret.expose_secret().as_bytes());
    SecretKey::from_pem(&text, passphrase).map_err(|source| Error::Key { path: path.to_owned(), source })
}

/// The public key in a file.
pub fn public_key(path: &Path) -> Result<PublicKey, Error> {
    let text = fs::read_limited(path, limits::KEY_BYTES)?;
    PublicKey::from_pem(&text).map_err(|source| Error::Key { path: path.to_owned(), source })
}

/// The key that licences are signed with, in a file that only its owner may read. Asks only when the key is encrypted.
pub fn license_signer(path: &Path, ask: AskPassphrase<'_>) -> Result<LicenseSigner, Error> {
    let text = fs::read_private(path, limits::KEY_BYTES)?;
    let passphrase = if signing::keys::is_encrypted(&text) { ask(path) } else { None };
    let passphrase = passphrase.as_ref().map(|secret| secret.expose_secret().as_bytes());
    LicenseSigner::from_pem(&text, passphrase).map_err(|source| Error::Key { path: path.to_owned(), source })
}

/// The key that licences are checked with, in a file.
pub fn license_key(path: &Path) -> Result<LicenseKey, Error> {
    let text = fs::read_limited(path, limits::KEY_BYTES)?;
    LicenseKey::from_pem(&text).map_err(|source| Error::Key { path: path.to_owned(), source })
}

/// The age identities in a file that only its owner may read. Asks only when the file is sealed.
pub fn identities(path: &Path, ask: AskPassphrase<'_>) -> Result<Identities, Error> {
    let file = fs::read_private(path, limits::KEY_BYTES)?;
    let found = match Identities::parse(&file, None) {
        Err(GrantError::PassphraseNeeded) => Identities::parse(&file, ask(path).as_ref()),
        found => found,
    };
    found.map_err(|source| Error::Age { path: path.to_owned(), source })
}

/// The recipients that `given` names: an `age1…` string, else a file of them.
pub fn recipients(given: &str) -> Result<Vec<Recipient>, Error> {
    if given.starts_with("age1") && !given.contains(['/', '.']) {
        let parsed = given.parse().map_err(|source| Error::Recipient { given: given.to_owned(), source });
        return parsed.map(|recipient| vec![recipient]);
    }
    if given.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        let given = "AGE-SECRET-KEY-…".to_owned();
        return Err(Error::Recipient { given, source: GrantError::IdentityAsRecipient { line: 1 } });
    }
    let path = Path::new(given);
    let file = fs::read_limited(path, limits::KEY_BYTES)?;
    Recipient::parse_file(&file).map_err(|source| Error::Age { path: path.to_owned(), source })
}

/// The trust policy in a file.
pub fn policy(path: &Path) -> Result<Policy, Error> {
    Ok(policy_and_bytes(path)?.0)
}

/// The same, with the bytes it was read from, for a record of them.
pub fn policy_and_bytes(path: &Path) -> Result<(Policy, Vec<u8>), Error> {
    let text = fs::read_limited(path, limits::HAND_WRITTEN_BYTES)?;
    match Policy::from_json(&text) {
        Ok(policy) => Ok((policy, text)),
        Err(source) => Err(Error::Policy { path: path.to_owned(), source }),
    }
}
