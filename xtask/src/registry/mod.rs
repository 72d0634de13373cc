//! An OCI registry inside the process: strict, observable, and able to misbehave on demand.
//!
//! Speaks distribution-spec 1.1 over plain HTTP/1.1 on loopback, in a thread of its own. It refuses what a strict
//! registry refuses (wrong digests, manifests whose blobs are missing, documents over 4 MiB), so that a client that
//! works here has earned it. [`Server::stats`] tells what was asked of it and how many bytes moved; [`Server::faults`]
//! makes it fail in the ways real registries and networks do. It has no TLS: Debian's `docker-registry` covers that.

pub(crate) mod blobs;
pub(crate) mod body;
mod config;
pub(crate) mod connection;
mod content;
pub(crate) mod faults;
mod lists;
mod manifests;
pub(crate) mod reply;
mod route;
mod server;
mod stats;
#[cfg(test)]
mod tests;
mod token;
mod uploads;
pub(crate) mod wire;

pub use config::{Auth, Config, Storage, TokenAuth};
pub use faults::{Action, Faults, Rule};
pub use route::Kind;
pub use server::{Server, digest_of};
pub use stats::{Line, Stats};
