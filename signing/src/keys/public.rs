//! Public keys and their ids.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::VerifyingKey;
use pkcs8::SubjectPublicKeyInfoRef;
use pkcs8::der::{Decode as _, ErrorKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use super::{KeyError, secret};
use crate::pem;
use crate::text::printable;

/// What a signer is called in file names and policies: the first 8 bytes of SHA-256 of the raw public key, printed as 16
/// lower-case hex digits. A name, not a proof: keys are compared whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

/// The text is not 16 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a key id: expected 16 lower-case hex digits")]
pub struct KeyIdError(String);

impl KeyId {
    /// The id of whatever key `bytes` are.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut raw = [0; 8];
        raw.copy_from_slice(&Sha256::digest(bytes)[..8]);
        Self(raw)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let error = || KeyIdError(printable(text, 40));
        if !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(error());
        }
        let mut raw = [0; 8];
        hex::decode_to_slice(text, &mut raw).map_err(|_| error())?;
        Ok(Self(raw))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// An Ed25519 public key: a point of the curve, and not one of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// The PEM label of a public key.
const LABEL: &str = "PUBLIC KEY";

impl PublicKey {
    /// A key from its 32 raw bytes (RFC 8032, §5.1.2).
    pub fn from_bytes(raw: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(raw).map_err(|_| KeyError::Weak)?;
        // Under a key of small order, signatures that hold for every message can be made without any secret.
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// Reads SPKI PEM (RFC 8410, §4), as `openssl pkey -pubout` writes it.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let block = pem::read(text)?;
        if block.label != LABEL {
            return Err(KeyError::Label { expected: LABEL, got: block.label });
        }
        let malformed = KeyError::Malformed { why: "not an SPKI public key" };
        let info = SubjectPublicKeyInfoRef::from_der(&block.der).map_err(|error| match error.kind() {
            ErrorKind::TrailingData { .. } => KeyError::TrailingData,
            _ => malformed.clone(),
        })?;
        secret::check_algorithm(info.algorithm.oid, info.algorithm.parameters.is_some())?;
        let raw = info.subject_public_key.as_bytes().and_then(|raw| raw.try_into().ok()).ok_or(malformed)?;
        Self::from_bytes(raw)
    }

    /// SPKI PEM, as `openssl pkey -pubout` writes it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        // RFC 8410, §4: the DER of an Ed25519 SPKI is this fixed header and the 32 bytes.
        let mut der = Vec::with_capacity(SPKI_HEADER.len() + 32);
        der.extend_from_slice(&SPKI_HEADER);
        der.extend_from_slice(self.as_bytes());
        pem::write(LABEL, &der).as_str().to_owned()
    }

    /// The 32 raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// What the key is called.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of(self.as_bytes())
    }

    /// The key as the curve library has it, for the verification in this crate alone.
    pub(crate) fn verifying(&self) -> &VerifyingKey {
        &self.0
    }
}

/// `SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING (0 unused bits) … }`.
const SPKI_HEADER: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl From<&VerifyingKey> for PublicKey {
    fn from(key: &VerifyingKey) -> Self {
        Self(*key)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}
