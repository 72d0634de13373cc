//! Licenses: `.lic` files, which say what a customer may use and until when. Bytes in, verdict out, as in the rest of this crate.
//!
//! A license is a signed JWT (RFC 7519) in the compact form of a JWS (RFC 7515), because that is what the product's own services read:
//! `RS256` or `EdDSA` (RFC 7518, RFC 8037). A key stands for exactly one of the two, by its kind; the `alg` in a token's header is
//! compared with it and never chooses anything.
//!
//! **Why no JWT library.** With the two primitives in the tree already (aws-lc-rs for RSA, ed25519-dalek's `verify_strict` for Ed25519),
//! what is left is: cut at two dots, base64url, two JSON objects. Here each of these is strict (one encoding of every token, no member
//! twice, no `crit`), time is an argument, and every refusal is a verdict of its own with its facts. A library brings its own clock and
//! leeway, its own choice of algorithm by the header, a plain Ed25519 verification beside the strict one, and a dozen crates.
//!
//! Deliberately absent: HMAC (whoever can check could also issue), `none`, elliptic curves of NIST, RSA-PSS, key look-up by `jku`, `jwk`
//! or `x5u`, encryption, nesting, and any leeway but the one for a clock that is a little behind ([`verdict::SKEW_SECONDS`]).
//!
//! Reading order: [`key`] (who signs), `json` and [`jws`] (the form), [`claims`] (what it says), [`serial`] (what it is called),
//! [`verdict`] (what follows).

pub mod claims;
mod json;
pub mod jws;
pub mod key;
pub mod serial;
pub mod verdict;

pub use claims::{Claims, Entitlements, UNLIMITED};
pub use jws::{Malformed, issue, peek};
pub use key::{Algorithm, LicenseKey, LicenseSigner};
pub use serial::{Serial, SerialError};
pub use verdict::{Expect, Judgement, Verdict, judge};
