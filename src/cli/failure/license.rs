//! Why no licence is issued, or none can be looked at.

use super::Failure;
use crate::ops::license::Error;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::File(error) => error.into(),
            Error::Random(error) => error.into(),
            Error::Tiers(_) => Self::usage("tiers", "")
                .hint("the numbers after the file are line and column")
                .telling(&error),
            Error::Refusal { .. } => Self::usage("tiers", "")
                .hint("sell what the tiers have, or put it into the tiers first")
                .telling(&error),
            Error::Value { .. } | Error::Missing(_) | Error::Serial(_) | Error::Claims(_) => {
                Self::usage("arguments", "")
                    .hint("bundle license issue --help says what each is")
                    .telling(&error)
            }
            Error::Clock => {
                Self::world("clock", "").hint("set the clock of this machine: date -u").telling(&error)
            }
            Error::Malformed { .. } => Self::usage("license", "")
                .hint("a licence is a .lic file, as bundle license issue makes it")
                .telling(&error),
            Error::Unsound(_) => Self::refused("license", "")
                .hint("do not use this key; no licence was written")
                .telling(&error),
        }
    }
}
