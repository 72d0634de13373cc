//! The program `bundle`.
fn main() {}
