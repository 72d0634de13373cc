//! The suite: the product against the programs people already have.

#[path = "cases"]
mod cases {
    mod archive;
    mod lock;
    mod lock_registry;
    mod release;
    mod signing;
}
