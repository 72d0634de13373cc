//! Programs of others that ours must get on with, run for a test and ended with it.

pub(crate) mod issuer;
pub(crate) mod registry;
