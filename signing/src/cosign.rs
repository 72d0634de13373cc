//! Signatures of images as `cosign sign --key` makes them: a JSON text that names the image's digest ("simple signing"), and a signature
//! over exactly that text.
//!
//! cosign, `specs/SIGNATURE_SPEC.md`; containers/image, `docs/containers-signature.5.md`. Nothing of certificates, transparency logs or
//! time is looked at: who holds the key is who signed. The name in the text is not compared either, because what was signed under one name is
//! delivered under another; the digest is what counts.

use std::fmt;

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::der::Decode as _;
use pkcs8::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use serde::Deserialize;

use crate::keys::{KeyError, KeyId, PublicKey};
use crate::{limits, pem, raw};

/// A public key of an image's signer: ECDSA on P-256 or P-384, RSA of 2048 to 8192 bits, or Ed25519.
#[derive(Clone, PartialEq, Eq)]
pub struct CosignKey {
    kind: Kind,
    /// The SPKI, as DER.
    spki: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    P256(Vec<u8>),
    P384(Vec<u8>),
    Rsa(Vec<u8>),
    Ed25519(PublicKey),
}

/// Why a signature of an image does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CosignError {
    /// The text is larger than any real one.
    #[error("what is signed has {bytes} bytes; at most {} are read", limits::COSIGN_PAYLOAD_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The text is none that cosign signs.
    #[error("what is signed does not name an image as cosign does")]
    Payload,
    /// It names another image.
    #[error("it is a signature of {got}, not of {wanted}")]
    Image {
        /// What the text names.
        got: String,
        /// What it should name.
        wanted: String,
    },
    /// The signature is not base64, or too long.
    #[error("the signature is no base64 of at most {} bytes", limits::COSIGN_SIGNATURE_BYTES)]
    Encoding,
    /// It is not this key's.
    #[error("it is not a signature by key {0}")]
    Key(KeyId),
}

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

impl CosignKey {
    /// Reads SPKI PEM, as `cosign generate-key-pair` writes `cosign.pub` and `openssl pkey -pubout` any key.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let block = pem::read(text)?;
        if block.label != "PUBLIC KEY" {
            return Err(KeyError::Label { expected: "PUBLIC KEY", got: block.label });
        }
        Self::from_der(&block.der)
    }

    /// Reads what [`CosignKey::to_base64`] writes.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        if text.len() > limits::KEY_BYTES {
            return Err(KeyError::TooLong { bytes: text.len(), limit: limits::KEY_BYTES });
        }
        let der = STANDARD.decode(text).map_err(|_| KeyError::Malformed { why: "it is not base64" })?;
        Self::from_der(&der)
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = KeyError::Malformed { why: "not an SPKI public key" };
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| malformed.clone())?;
        let bytes = info.subject_public_key.as_bytes().ok_or(malformed.clone())?;
        let curve = || info.algorithm.parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        // An elliptic point is given uncompressed, as every tool writes it: one byte 4, and two coordinates.
        let point = |length: usize| (bytes.len() == length && bytes[0] == 4).then(|| bytes.to_vec());
        let kind = match info.algorithm.oid {
            EC if curve() == Some(P256) => Kind::P256(point(65).ok_or(malformed)?),
            EC if curve() == Some(P384) => Kind::P384(point(97).ok_or(malformed)?),
            RSA => Kind::Rsa(bytes.to_vec()),
            ED25519 => Kind::Ed25519(PublicKey::from_bytes(bytes.try_into().map_err(|_| malformed)?)?),
            other => {
                let curve = curve().map_or_else(String::new, |curve| format!(" on {curve}"));
                return Err(KeyError::SignerAlgorithm { algorithm: format!("{other}{curve}") });
            }
        };
        Ok(Self { kind, spki: der.to_vec() })
    }

    /// The SPKI in base64, on one line.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.spki)
    }

    /// What the key is called: of SHA-256 of the SPKI, because keys of several kinds have no common raw form.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.spki)
    }

    /// Whether `signature` is this key's over exactly `message`, hashed as cosign does for a key of its kind.
    fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        let check = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            signature::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match &self.kind {
            Kind::P256(key) => check(&ECDSA_P256_SHA256_ASN1, key),
            Kind::P384(key) => {
                // Newer versions hash as long as the curve is, older ones always with SHA-256.
                check(&ECDSA_P384_SHA384_ASN1, key) || check(&signature::ECDSA_P384_SHA256_ASN1, key)
            }
            Kind::Rsa(key) => check(&RSA_PKCS1_2048_8192_SHA256, key),
            Kind::Ed25519(key) => raw::holds(key, message, signature),
        }
    }
}

impl fmt::Debug for CosignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosignKey({})", self.id())
    }
}

/// The image that `payload` names, `sha256:` and 64 lower-case hex digits; `None` when it is no text that cosign signs.
#[must_use]
pub fn image(payload: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Payload {
        critical: Critical,
    }
    #[derive(Deserialize)]
    struct Critical {
        image: Image,
        #[serde(rename = "type")]
        kind: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Image {
        docker_manifest_digest: String,
    }
    if payload.len() > limits::COSIGN_PAYLOAD_BYTES {
        return None;
    }
    let Payload { critical } = serde_json::from_slice(payload).ok()?;
    let digest = critical.image.docker_manifest_digest;
    let hex = digest.strip_prefix("sha256:")?;
    let is_hex = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (critical.kind == "cosign container image signature" && is_hex).then_some(digest)
}

/// Whether `signature` (base64, as the annotation holds it) is `key`'s over `payload`, and `payload` names `image`.
///
/// # Errors
/// [`CosignError`]; the signature is judged before the text is parsed.
pub fn check(key: &CosignKey, image: &str, (payload, signature): (&[u8], &str)) -> Result<(), CosignError> {
    if payload.len() > limits::COSIGN_PAYLOAD_BYTES {
        return Err(CosignError::TooLong { bytes: payload.len() });
    }
    if signature.len() > limits::COSIGN_SIGNATURE_BYTES {
        return Err(CosignError::Encoding);
    }
    let signature = STANDARD.decode(signature).map_err(|_| CosignError::Encoding)?;
    if !key.holds(payload, &signature) {
        return Err(CosignError::Key(key.id()));
    }
    match self::image(payload) {
        Some(got) if got == image => Ok(()),
        Some(got) => Err(CosignError::Image { got, wanted: image.to_owned() }),
        None => Err(CosignError::Payload),
    }
}
