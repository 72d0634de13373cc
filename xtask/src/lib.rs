//! What the demo, the tests and the benchmarks share: a registry that runs inside the process, and small real images.
//!
//! Knows nothing of the product: it must stay a stranger to what it tests.

pub mod cluster;
pub mod conformance;
pub mod example;
pub mod hub;
pub mod images;
pub mod kubernetes;
pub mod minilm;
pub mod registry;
pub mod terminal;
pub mod tidy;
pub mod tools;
