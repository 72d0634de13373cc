//! `bundle`: releases for places without internet, as one signed, sealed folder.
pub mod bundle;
pub mod checked;
pub mod cli;
pub mod digest;
pub mod limits;
pub mod oci;
pub mod ops;
pub mod path;
pub mod plan;
pub mod progress;
pub mod registry;
pub mod release;
pub mod sources;
pub mod store;
pub mod sys;
pub mod text;
