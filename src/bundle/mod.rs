//! Format 1: the bundle on disk, as codecs over bytes.
//!
//! `docs/format.md` is the specification. Knows no path, no clock and no network; what is parsed here comes from a medium that
//! anyone may have written to, and is held to `limits`.

pub mod canonical;
pub mod damage;
pub mod geometry;
pub mod grant;
pub mod index;
pub mod names;
pub mod parity;
pub mod plain;
pub mod request;
pub mod seal;
pub mod sums;
pub mod tar;

pub use geometry::Geometry;
pub use index::Index;
pub use seal::ReleaseKey;
