//! References in rendered manifests: found, and moved to the customer's registry.
//!
//! [`scan()`] looks at every scalar of a stream of manifests; [`discover()`] holds what it finds against what a release declares;
//! [`relocate()`] rewrites it to where [`Known`] says each image is. Text in, text and findings out; the source text keeps every byte
//! that is not a reference. What is deliberately absent: base64 (a Secret's `data`) is not decoded, and no field is known by the
//! kind of its object beyond pods, so that no list of operators has to be kept.

mod diff;
pub mod discover;
mod keys;
mod known;
pub mod mapping;
mod rewrite;
mod scan;
mod split;
mod word;

pub use diff::unified;
pub use discover::discover;
pub use known::{Entry, Known, Match};
pub use rewrite::{Change, Error, Relocated, Remains, Spot, Why, relocate};
pub use scan::{Sighting, scan};
pub use word::{Certainty, Name};
