//! Our registry client: OCI distribution-spec 1.1 over HTTP/1.1.

mod error;

pub use error::Error;
