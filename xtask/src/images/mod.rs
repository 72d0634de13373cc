//! Small real images, the same on every run: what the demo ships, what the tests move, what the benchmarks weigh.
//!
//! Layers are real tars with real files and configurations have the right `diff_ids`, so that other tools take them.
//! Everything comes from a seed; nothing reads the clock.

mod graph;
mod large;
mod layer;
mod layout;
mod referrer;
mod sample;
mod seed;
pub mod standin;

pub use graph::{Document, Family, Graph, image, index, startable};
pub use large::{Large, write_large, write_many};
pub use layer::{Compression, Layer};
pub use referrer::{Key, artifact, cosign_tag, signature};
pub use sample::{Named, sample};
pub use seed::Seed;
