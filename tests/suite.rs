//! The suite: the product against the programs people already have.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "cases"]
mod cases {
    mod archive;
    mod forge;
    mod grants;
    mod hostile;
    mod index;
    mod lock;
    mod lock_registry;
    mod registry;
    mod release;
    mod signing;
    mod spine;
    mod thresholds;
    mod vendor;
    mod world;
}
