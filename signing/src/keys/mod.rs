//! Ed25519 keys, and the files stock tools keep them in.
//!
//! Private: PKCS#8 (RFC 5958, RFC 8410) as PEM, plain or encrypted with PBES2. Public: SPKI as PEM. Both are what `openssl` writes
//! and reads. Other algorithms are named and refused; OpenSSH's own private key format is deliberately absent.

mod encrypted;
mod error;
mod public;
mod secret;

pub use encrypted::{IV_BYTES, SALT_BYTES};
pub use error::KeyError;
pub use public::{KeyId, PublicKey};
pub use secret::{SEED_BYTES, SecretKey, is_encrypted};
pub(crate) use secret::{algorithm_name, open_pkcs8};
