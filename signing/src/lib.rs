//! Trust: bytes in, verdict out.
//!
//! The chain of trust of a bundle begins here: signatures over `SHA256SUMS`, the customer's trust policy that says whose
//! signatures count and how many of them it takes, and the one [`verify::verify`] that joins the two.
//!
//! This crate touches no file, network, clock, environment or random source, and logs nothing: keys are made from seeds
//! that are handed in, salts and the time are arguments. What it says, it says as values: keys, [`verify::Finding`]s and errors that carry
//! facts. Everything it reads was made by someone else and has a limit in [`limits`].
//!
//! Reading order: [`keys`] (who), [`raw`] and [`sshsig`] (the two forms of one signature), [`time`], [`policy`] and [`rotation`] (what the
//! customer trusts, and how that may change), [`verify`] (the verdict). Apart from these, [`cosign`]: what others have signed images with;
//! and [`license`]: what a customer may use, and until when.

pub mod cosign;
pub mod keys;
pub mod license;
pub mod limits;
mod pem;
pub mod policy;
pub mod raw;
pub mod rotation;
pub mod sshsig;
pub mod text;
pub mod time;
pub mod verify;

pub use keys::{KeyError, KeyId, PublicKey, SecretKey};
pub use policy::{Policy, PolicyError, Weight};
pub use raw::Signature;
pub use verify::{Finding, FindingKind, Verdict, Verified, verify};
