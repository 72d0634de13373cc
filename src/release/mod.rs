//! What a vendor declares (`release.yaml`) and what it resolves to (`release.lock`).
//!
//! Codecs over bytes: nothing here opens a file, asks a registry or reads a clock.

pub mod check;
pub mod edit;
pub mod lock;
pub mod model;
pub mod name;
pub mod origin;
pub mod questions;
mod schema;
pub mod sections;
pub mod template;
pub mod values;
pub mod yaml;

pub use model::Release;
pub use name::Name;
pub use origin::{Origin, OriginError};
pub use schema::schema;
