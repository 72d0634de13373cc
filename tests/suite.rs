//! The suite: the product against the programs people already have.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "cases"]
mod cases {
    mod archive;
    mod cli;
    mod lock;
    mod lock_registry;
    mod registry;
    mod readme;
    mod release;
    mod signing;
    mod spine;
    mod world;
}
