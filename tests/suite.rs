//! The suite.
mod cases {
    mod registry;
}
