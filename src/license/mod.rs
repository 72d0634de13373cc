//! Licenses as a vendor declares them: the tiers that are sold, as data.
//!
//! Codecs over bytes, as everything in this layer. What a license file is, and what follows from one, is in [`signing::license`].

pub mod tiers;

pub use tiers::Tiers;
