//! `bundle`: releases for places without internet, as one signed, sealed folder.
pub mod checked;
pub mod digest;
pub mod limits;
pub mod oci;
pub mod path;
pub mod progress;
pub mod registry;
pub mod release;
pub mod sources;
pub mod store;
