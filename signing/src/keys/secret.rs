//! Private keys.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use pkcs8::der::{Decode as _, ErrorKind};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
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

/// The DER of a PKCS#8 private key of any algorithm, from PEM that is plain or encrypted.
pub(crate) fn open_pkcs8(text: &[u8], passphrase: Option<&[u8]>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let block = pem::read(text)?;
    match block.label.as_str() {
        PLAIN => Ok(block.der),
        ENCRYPTED => {
            let der = encrypted::open(&block.der, passphrase.ok_or(KeyError::PassphraseNeeded)?)?;
            // Under a wrong passphrase one padding in 256 looks right, and then what comes out is noise.
            PrivateKeyInfoRef::from_der(&der).map_err(|_| KeyError::WrongPassphrase)?;
            Ok(der)
        }
        _ => Err(KeyError::Label { expected: PLAIN, got: block.label }),
    }
}

impl SecretKey {
    /// The key that grows from 32 random bytes (RFC 8032, §5.1.5).
    #[must_use]
    pub fn from_seed(seed: &Zeroizing<[u8; SEED_BYTES]>) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads PKCS#8 PEM, version 1 or 2, plain or encrypted. The passphrase is not looked at when the key is not encrypted.
    pub fn from_pem(text: &[u8], passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        Self::from_der(&open_pkcs8(text, passphrase)?)
    }

    /// Reads DER of RFC 5958's `OneAsymmetricKey`.
    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = KeyError::Malformed { why: "not a PKCS#8 private key" };
        let info = PrivateKeyInfoRef::from_der(der).map_err(|error| match error.kind() {
            ErrorKind::TrailingData { .. } => KeyError::TrailingData,
            _ => malformed.clone(),
        })?;
        check_algorithm(info.algorithm.oid, info.algorithm.parameters.is_some())?;
        // RFC 8410, §7: an OCTET STRING of 32 bytes inside the OCTET STRING of PKCS#8.
        let seed = match info.private_key.as_bytes() {
            [0x04, 0x20, seed @ ..] => seed.try_into().map_err(|_| malformed)?,
            _ => return Err(malformed),
        };
        let key = SigningKey::from_bytes(seed);
        match info.public_key {
            Some(public) if public.as_bytes() != Some(key.verifying_key().as_bytes().as_slice()) => {
                Err(KeyError::Mismatch)
            }
            _ => Ok(Self(key)),
        }
    }

    /// PKCS#8 PEM, unencrypted. Version 1, without the public key: OpenSSL 3.0 does not read version 2.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::write(PLAIN, self.to_der().as_slice())
    }

    /// PKCS#8 PEM, encrypted with `passphrase` (PBES2: scrypt, AES-256-CBC). `salt` and `iv` are random and used for this alone.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &[u8],
        salt: [u8; encrypted::SALT_BYTES],
        iv: [u8; encrypted::IV_BYTES],
    ) -> Result<Zeroizing<String>, KeyError> {
        let sealed = encrypted::seal(self.to_der().as_slice(), passphrase, &salt, iv)?;
        Ok(pem::write(ENCRYPTED, &sealed))
    }

    /// RFC 8410, §7: version 1 of the DER is a fixed header and the seed.
    fn to_der(&self) -> Zeroizing<[u8; PKCS8_HEADER.len() + SEED_BYTES]> {
        let mut der = Zeroizing::new([0; PKCS8_HEADER.len() + SEED_BYTES]);
        der[..PKCS8_HEADER.len()].copy_from_slice(&PKCS8_HEADER);
        der[PKCS8_HEADER.len()..].copy_from_slice(self.0.as_bytes());
        der
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

/// `SEQUENCE { INTEGER 0, SEQUENCE { OID 1.3.101.112 }, OCTET STRING { OCTET STRING … } }`.
const PKCS8_HEADER: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}, redacted)", self.public().id())
    }
}

/// Ed25519, without parameters (RFC 8410, §3); every other algorithm by its name.
pub(super) fn check_algorithm(oid: ObjectIdentifier, parameters: bool) -> Result<(), KeyError> {
    match oid.to_string().as_str() {
        "1.3.101.112" if parameters => {
            Err(KeyError::Malformed { why: "Ed25519 has no parameters, the file has" })
        }
        "1.3.101.112" => Ok(()),
        _ => Err(KeyError::Algorithm { algorithm: algorithm_name(oid) }),
    }
}

/// What people call an algorithm; its object identifier when they do not.
pub(crate) fn algorithm_name(oid: ObjectIdentifier) -> String {
    match oid.to_string().as_str() {
        "1.3.101.112" => "Ed25519".to_owned(),
        "1.3.101.113" => "Ed448".to_owned(),
        "1.3.101.110" => "X25519".to_owned(),
        "1.3.101.111" => "X448".to_owned(),
        "1.2.840.113549.1.1.1" => "RSA".to_owned(),
        "1.2.840.113549.1.1.10" => "RSA-PSS".to_owned(),
        "1.2.840.10045.2.1" => "EC".to_owned(),
        "1.2.840.10040.4.1" => "DSA".to_owned(),
        "1.2.840.113549.1.3.1" => "DH".to_owned(),
        other => other.to_owned(),
    }
}
