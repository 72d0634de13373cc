//! The keys licenses are signed with: RSA for `RS256`, Ed25519 for `EdDSA`.
//!
//! Files as everywhere in this crate: PKCS#8 and SPKI as PEM, strictly. A key's kind fixes its algorithm. RSA keys have 2048 to 8192 bits
//! and a public exponent of at least 65537; weaker ones are named and refused.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::KeyPair as RsaPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use pkcs8::der::asn1::{AnyRef, BitStringRef, UintRef};
use pkcs8::der::{Decode as _, Encode as _, ErrorKind, Reader as _};
use pkcs8::{AlgorithmIdentifierRef, ObjectIdentifier, PrivateKeyInfoRef, SubjectPublicKeyInfoRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::keys::{self, KeyError, KeyId, PublicKey, SecretKey};
use crate::{limits, pem, raw};

/// RFC 8017, appendix A.1.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 8410, §3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// How a license is signed; follows from the kind of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 over SHA-256 (RFC 7518, §3.3).
    #[serde(rename = "RS256")]
    Rs256,
    /// Ed25519 (RFC 8037, §3.1).
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// Its name in a token's header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm that a token's header names, exactly so spelled.
    #[must_use]
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Rs256, Self::EdDsa].into_iter().find(|algorithm| algorithm.name() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A public key that licenses are checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct LicenseKey(Public);

#[derive(Clone, PartialEq, Eq)]
enum Public {
    Rsa(RsaPublic),
    Ed25519(PublicKey),
}

#[derive(Clone, PartialEq, Eq)]
struct RsaPublic {
    /// DER of RFC 8017's `RSAPublicKey`.
    pkcs1: Vec<u8>,
    /// DER of the `SubjectPublicKeyInfo` around it.
    spki: Vec<u8>,
    bits: usize,
}

impl LicenseKey {
    /// Reads SPKI PEM, as `openssl pkey -pubout` and `bundle keygen signing` write it.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let block = pem::read(text)?;
        if block.label != "PUBLIC KEY" {
            return Err(KeyError::Label { expected: "PUBLIC KEY", got: block.label });
        }
        let malformed = KeyError::Malformed { why: "not an SPKI public key" };
        let info = SubjectPublicKeyInfoRef::from_der(&block.der).map_err(|error| match error.kind() {
            ErrorKind::TrailingData { .. } => KeyError::TrailingData,
            _ => malformed.clone(),
        })?;
        match info.algorithm.oid {
            RSA => {
                parameters(&info.algorithm)?;
                let pkcs1 = info.subject_public_key.as_bytes().ok_or(malformed)?;
                Ok(Self(Public::Rsa(RsaPublic::new(pkcs1)?)))
            }
            ED25519 => PublicKey::from_pem(text).map(|key| Self(Public::Ed25519(key))),
            other => Err(KeyError::LicenseAlgorithm { algorithm: keys::algorithm_name(other) }),
        }
    }

    /// SPKI PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        match &self.0 {
            Public::Rsa(key) => pem::write("PUBLIC KEY", &key.spki).as_str().to_owned(),
            Public::Ed25519(key) => key.to_pem(),
        }
    }

    /// What it is called. An Ed25519 key has the id it has as a signer of bundles; an RSA key the first 8 bytes of SHA-256 of its SPKI.
    #[must_use]
    pub fn id(&self) -> KeyId {
        match &self.0 {
            Public::Rsa(key) => KeyId::of(&key.spki),
            Public::Ed25519(key) => key.id(),
        }
    }

    /// The one algorithm it stands for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Public::Rsa(_) => Algorithm::Rs256,
            Public::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Its kind and size, like `RSA-3072` and `Ed25519`.
    #[must_use]
    pub fn kind(&self) -> String {
        match &self.0 {
            Public::Rsa(key) => format!("RSA-{}", key.bits),
            Public::Ed25519(_) => "Ed25519".to_owned(),
        }
    }

    /// Whether `signature` is this key's over exactly `message`.
    pub(super) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Public::Rsa(key) => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key.pkcs1)
                .verify(message, signature)
                .is_ok(),
            Public::Ed25519(key) => raw::holds(key, message, signature),
        }
    }
}

impl Serialize for LicenseKey {
    /// Its PEM.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_pem())
    }
}

impl<'de> Deserialize<'de> for LicenseKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_pem(String::deserialize(deserializer)?.as_bytes()).map_err(de::Error::custom)
    }
}

impl RsaPublic {
    fn new(pkcs1: &[u8]) -> Result<Self, KeyError> {
        let malformed = KeyError::Malformed { why: "not an RSA public key" };
        let whole = AnyRef::from_der(pkcs1).map_err(|_| malformed.clone())?;
        let (modulus, exponent) = whole
            .sequence(|reader| {
                let numbers: (UintRef<'_>, UintRef<'_>) = (reader.decode()?, reader.decode()?);
                Ok::<_, pkcs8::der::Error>(numbers)
            })
            .map_err(|_| malformed.clone())?;
        let bits = strength(modulus, exponent)?;
        // Once, so that a key this crate has is one that the primitive takes.
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pkcs1)
            .parse()
            .map_err(|_| KeyError::RsaNumbers)?;
        let subject_public_key = BitStringRef::from_bytes(pkcs1).map_err(|_| malformed.clone())?;
        let algorithm = AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) };
        let spki =
            SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der().map_err(|_| malformed)?;
        Ok(Self { pkcs1: pkcs1.to_vec(), spki, bits })
    }
}

/// The size of an RSA key that is neither too weak nor beyond what anybody checks.
fn strength(modulus: UintRef<'_>, exponent: UintRef<'_>) -> Result<usize, KeyError> {
    let bits = |bytes: &[u8]| {
        let zeros = bytes.first().map_or(0, |byte| byte.leading_zeros() as usize);
        (bytes.len() * 8).saturating_sub(zeros)
    };
    let (modulus, exponent) = (modulus.as_bytes(), exponent.as_bytes());
    let size = bits(modulus);
    if !(limits::RSA_BITS_MIN..=limits::RSA_BITS_MAX).contains(&size) {
        return Err(KeyError::RsaSize {
            bits: size,
            least: limits::RSA_BITS_MIN,
            most: limits::RSA_BITS_MAX,
        });
    }
    // Odd and at least 2^16 + 1 (FIPS 186-5, §A.1.1): 3 has been the way into many verifiers.
    if bits(exponent) < 17 || exponent.last().is_none_or(|byte| byte % 2 == 0) {
        return Err(KeyError::RsaExponent);
    }
    Ok(size)
}

/// RFC 8017, appendix A.1: the parameters of `rsaEncryption` are NULL.
fn parameters(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<(), KeyError> {
    match algorithm.parameters {
        Some(parameters) if parameters == AnyRef::NULL => Ok(()),
        _ => Err(KeyError::Malformed { why: "RSA has NULL as its parameters, the file has not" }),
    }
}

impl fmt::Debug for LicenseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LicenseKey({} {})", self.kind(), self.id())
    }
}

/// A private key that licenses are signed with. Never printed.
pub struct LicenseSigner(Secret);

enum Secret {
    Rsa(Box<(RsaPair, LicenseKey)>),
    Ed25519(Box<SecretKey>),
}

impl LicenseSigner {
    /// Reads PKCS#8 PEM, plain or encrypted, as `openssl genpkey` and `bundle keygen signing` write it. The passphrase is not looked at when
    /// the key is not encrypted.
    pub fn from_pem(text: &[u8], passphrase: Option<&[u8]>) -> Result<Self, KeyError> {
        let der = keys::open_pkcs8(text, passphrase)?;
        let malformed = KeyError::Malformed { why: "not a PKCS#8 private key" };
        let info = PrivateKeyInfoRef::from_der(&der).map_err(|error| match error.kind() {
            ErrorKind::TrailingData { .. } => KeyError::TrailingData,
            _ => malformed,
        })?;
        match info.algorithm.oid {
            RSA => {
                parameters(&info.algorithm)?;
                rsa_strength(info.private_key.as_bytes())?;
                let pair = RsaPair::from_pkcs8(&der).map_err(|_| KeyError::RsaNumbers)?;
                let public = LicenseKey(Public::Rsa(RsaPublic::new(pair.public_key().as_ref())?));
                Ok(Self(Secret::Rsa(Box::new((pair, public)))))
            }
            ED25519 => SecretKey::from_pem(text, passphrase).map(|key| Self(Secret::Ed25519(Box::new(key)))),
            other => Err(KeyError::LicenseAlgorithm { algorithm: keys::algorithm_name(other) }),
        }
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> LicenseKey {
        match &self.0 {
            Secret::Rsa(rsa) => rsa.1.clone(),
            Secret::Ed25519(key) => LicenseKey(Public::Ed25519(key.public())),
        }
    }

    /// Signs exactly `message`. Kept inside the crate: outside it only whole licenses are signed.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.0 {
            Secret::Ed25519(key) => Ok(raw::sign(key, message).to_vec()),
            Secret::Rsa(rsa) => {
                let (pair, _) = &**rsa;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(&RSA_PKCS1_SHA256, &digest(&SHA256, message), &mut signature)
                    .map_err(|_| KeyError::RsaNumbers)?;
                Ok(signature)
            }
        }
    }
}

/// Looks at the size before the primitive does, which says only that it refuses. RFC 8017, appendix A.1.2.
fn rsa_strength(pkcs1: &[u8]) -> Result<(), KeyError> {
    let malformed = || KeyError::Malformed { why: "not an RSA private key" };
    let whole = AnyRef::from_der(pkcs1).map_err(|_| malformed())?;
    let (modulus, exponent) = whole
        .sequence(|reader| {
            reader.decode::<u8>()?;
            let numbers: (UintRef<'_>, UintRef<'_>) = (reader.decode()?, reader.decode()?);
            // The secret numbers, which the primitive checks.
            while !reader.is_finished() {
                reader.decode::<AnyRef<'_>>()?;
            }
            Ok::<_, pkcs8::der::Error>(numbers)
        })
        .map_err(|_| malformed())?;
    strength(modulus, exponent).map(|_| ())
}

impl fmt::Debug for LicenseSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LicenseSigner({}, redacted)", self.public().id())
    }
}
