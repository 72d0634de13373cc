//! The machine: files, the clock, randomness. The only modules that ask the system for them.

pub mod clock;
pub mod delivered;
pub mod direct;
pub mod environment;
pub mod filesystem;
pub mod fs;
pub mod mend;
pub mod net;
pub mod own;
pub mod place;
pub mod program;
pub mod random;
pub mod state;
pub mod turn;

/// Cores that this process may use; two where the system does not tell.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
