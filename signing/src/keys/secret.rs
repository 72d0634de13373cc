//! Private keys.

use std::fmt;

use ed25519_dalek::pkcs8::{KeypairBytes, PrivateKeyInfoRef};
use ed25519_dalek::{Signer as _, SigningKey};
use pkcs8::der::{Decode as _, ErrorKind};
use pkcs8::{EncodePrivateKey as _, ObjectIdentifier};
use zeroize::Zeroizing;

use super::{KeyError, PublicKey, encrypted};
use crate::pem;

/// Bytes of a seed, from which a key is made.
pub const SEED_BYTES: usize = 32;

/// An Ed25519 private key. Wiped from memory when dropped; never printed.
pub struct SecretKey(SigningKey);

/// The PEM label of a private key that lies open.
const PLAIN: &str = "PRIVATE KEY";
/// The PEM label of an encrypted one.
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// Whether `text` is an encrypted private key, so that a passphrase is worth asking for.
#[must_use]
pub fn is_encrypted(text: &[u8]) -> bool {
    pem::read(text).is_ok_and(|block| block.label == ENCRYPTED)
}

impl SecretKey {
    /// The key that grows from 32 random bytes (RFC 8032, §5.1.5).
    #[must_use]
    pub fn from_seed(seed: &Zeroizing<[u8; SEED_BYTES]>) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads PKCS#8 PEM, version 1 or 2, plain or encrypted. The passphrase is not looked at when the key is not encrypted.
    pub fn from_pem(text: &[u8], passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        let block = pem::read(text)?;
        match block.label.as_str() {
            PLAIN => Self::from_der(&block.der),
            ENCRYPTED => {
                let der = encrypted::open(&block.der, passphrase.ok_or(KeyError::PassphraseNeeded)?)?;
                // Under a wrong passphrase one padding in 256 looks right, and then what comes out is noise.
                Self::from_der(&der).map_err(|error| match error {
                    KeyError::Malformed { .. } | KeyError::TrailingData => KeyError::WrongPassphrase,
                    other => other,
                })
            }
            _ => Err(KeyError::Label { expected: PLAIN, got: block.label }),
        }
    }

    /// Reads DER of RFC 5958's `OneAsymmetricKey`.
    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = KeyError::Malformed { why: "not a PKCS#8 private key" };
        let info = PrivateKeyInfoRef::from_der(der).map_err(|error| match error.kind() {
            ErrorKind::TrailingData { .. } => KeyError::TrailingData,
            _ => malformed.clone(),
        })?;
        check_algorithm(info.algorithm.oid, info.algorithm.parameters.is_some())?;
        let pair = KeypairBytes::try_from(info).map_err(|_| malformed)?;
        let key = SigningKey::from_bytes(&pair.secret_key);
        match pair.public_key {
            Some(public) if public.to_bytes() != key.verifying_key().to_bytes() => Err(KeyError::Mismatch),
            _ => Ok(Self(key)),
        }
    }

    /// PKCS#8 PEM, unencrypted. Version 1, without the public key: OpenSSL 3.0 does not read version 2.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        Ok(pem::write(PLAIN, self.to_der()?.as_bytes()))
    }

    /// PKCS#8 PEM, encrypted with `passphrase` (PBES2: scrypt, AES-256-CBC). `salt` and `iv` are random and used for this alone.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &[u8],
        salt: [u8; encrypted::SALT_BYTES],
        iv: [u8; encrypted::IV_BYTES],
    ) -> Result<Zeroizing<String>, KeyError> {
        let sealed = encrypted::seal(self.to_der()?.as_bytes(), passphrase, &salt, iv)?;
        Ok(pem::write(ENCRYPTED, &sealed))
    }

    fn to_der(&self) -> Result<pkcs8::SecretDocument, KeyError> {
        KeypairBytes { secret_key: self.0.to_bytes(), public_key: None }
            .to_pkcs8_der()
            .map_err(|_| KeyError::Malformed { why: "the key does not encode" })
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::from(&self.0.verifying_key())
    }

    /// Signs exactly `message` (RFC 8032, §5.1.6). Kept inside the crate: outside it only whole documents are signed.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}, redacted)", self.public().id())
    }
}

/// Ed25519, without parameters (RFC 8410, §3); every other algorithm by its name.
pub(super) fn check_algorithm(oid: ObjectIdentifier, parameters: bool) -> Result<(), KeyError> {
    let algorithm = match oid.to_string().as_str() {
        "1.3.101.112" if parameters => {
            return Err(KeyError::Malformed { why: "Ed25519 has no parameters, the file has" });
        }
        "1.3.101.112" => return Ok(()),
        "1.3.101.113" => "Ed448".to_owned(),
        "1.3.101.110" => "X25519".to_owned(),
        "1.3.101.111" => "X448".to_owned(),
        "1.2.840.113549.1.1.1" => "RSA".to_owned(),
        "1.2.840.113549.1.1.10" => "RSA-PSS".to_owned(),
        "1.2.840.10045.2.1" => "EC".to_owned(),
        "1.2.840.10040.4.1" => "DSA".to_owned(),
        "1.2.840.113549.1.3.1" => "DH".to_owned(),
        other => other.to_owned(),
    };
    Err(KeyError::Algorithm { algorithm })
}
