//! What keeps a preflight from checking anything.

use super::Failure;
use crate::ops::preflight::Error;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unlock(inner) => inner.into(),
            Error::Mapping(inner) => inner.into(),
        }
    }
}
