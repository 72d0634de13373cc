//! What a registry, or the way to it, can do wrong.

/// A fault of a registry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Placeholder of the shape the client gives its faults.
    #[error("{registry}: {why}")]
    Failed {
        /// Host and port.
        registry: String,
        /// One line, without secrets.
        why: String,
    },
}
