//! The signature for `openssl` and for us: 64 raw bytes over the exact bytes of a document.
//!
//! Ed25519 as in RFC 8032, without prehash and without context, because that is what `openssl pkeyutl -rawin` checks. Documents that are signed
//! this way cannot be mistaken for one another: `SHA256SUMS` begins with a hex digit, a trust policy with `{` and says its `kind`.

use crate::keys::{KeyId, PublicKey, SecretKey};

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// One signature as it was found: whose it says it is, and its bytes, unchecked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature<'a> {
    /// The key id that the file name, or the document, gives it.
    pub key: KeyId,
    /// The bytes as received, of any length.
    pub bytes: &'a [u8],
}

/// Signs exactly the bytes of `document`.
#[must_use]
pub fn sign(key: &SecretKey, document: &[u8]) -> [u8; SIGNATURE_BYTES] {
    key.sign(document)
}

/// Whether `signature` is `key`'s over exactly the bytes of `document`.
///
/// Strict: also refuses signatures and keys of small order, which the plain equation of RFC 8032, §5.1.7 lets through.
#[must_use]
pub fn holds(key: &PublicKey, document: &[u8], signature: &[u8]) -> bool {
    <[u8; SIGNATURE_BYTES]>::try_from(signature).is_ok_and(|raw| {
        key.verifying().verify_strict(document, &ed25519_dalek::Signature::from_bytes(&raw)).is_ok()
    })
}
