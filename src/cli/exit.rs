//! How the program ends.

use std::process::ExitCode;

/// The exit codes, which scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// What was asked for is done.
    Done,
    /// A check said no: signature, damage, licence, policy.
    Refused,
    /// The question was wrong: arguments, `release.yaml`, files that are not what they are given as.
    Usage,
    /// The world failed: disk, network, registry.
    World,
    /// Someone stopped it.
    Interrupted,
}

impl Exit {
    /// The number.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::World => 3,
            Self::Interrupted => 4,
        }
    }

    /// The number, for `main`.
    pub(super) fn code(self) -> ExitCode {
        ExitCode::from(self.number())
    }
}
