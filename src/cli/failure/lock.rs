//! Why a release is not locked.

use super::{Failure, model, store, tools};
use crate::cli::exit::Exit;
use crate::ops::lock::{ChartWhy, Error, InstallFault, Stale};
use crate::release::lock;
use crate::relocate::discover::Lack;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::File(error) => error.into(),
            Error::Release(_) => Self::usage("release", "")
                .hint("the numbers after the file are line and column")
                .telling(&error),
            Error::Install(ref faults) => {
                let hint = match faults.first() {
                    Some(InstallFault::File { .. }) => "paths are relative to release.yaml",
                    Some(InstallFault::Questions(_)) => "the numbers after the file are line and column; docs/questions.md has every key",
                    Some(InstallFault::Template(_)) => "the number after the file is the line; a template may use answers and what docs/questions.md lists",
                    Some(InstallFault::Rule { .. }) | None => "a rule leads to a question of this release, or drops the answer: docs/release-yaml.md",
                };
                Self::usage("install", "").hint(hint).telling(&error)
            }
            Error::IsLock { .. } => {
                Self::usage("release", "").hint("name the release.yaml itself, -f release.yaml").telling(&error)
            }
            Error::Nothing { .. } => {
                Self::usage("release", "").hint("list at least one image under images:").telling(&error)
            }
            Error::License { .. } => Self::usage("license", "")
                .hint("name the public half, PEM, of an RSA (2048 bits or more) or Ed25519 key that licences are signed with")
                .telling(&error),
            Error::Later(error) => error.into(),
            Error::Whole(_) => Self::refused("lock", "")
                .hint("two images say different things of the same digest; push one of them again")
                .telling(&error),
            Error::Helm(ref error) => tools::helm(error).telling(error.as_ref()),
            Error::Charts(ref faults) => {
                let all = faults.iter().map(|fault| match &fault.why {
                    ChartWhy::Source(error) => store::source(error),
                    ChartWhy::Helm(error) => tools::helm(error),
                    ChartWhy::Values(_) => Self::usage("values", "")
                        .hint("look at the paths under values:; they are relative to release.yaml"),
                    ChartWhy::Yaml(_) => Self::usage("chart", "")
                        .hint("render it with helm template, and look at that line of the output"),
                });
                first(all).telling(&error)
            }
            Error::Undeclared(ref all) => {
                let addable = all.iter().any(|one| one.why == Lack::NotDeclared);
                let hint = match addable {
                    true => {
                        "add the lines, or let bundle lock --add write them; what is not to be carried goes under the chart's ignore-images, with the reason"
                    }
                    false => {
                        "declare what the chart names, or put it under the chart's ignore-images, with the reason"
                    }
                };
                Self::refused("undeclared", "").hint(hint).telling(&error)
            }
            Error::Stale { ref reasons, .. } => {
                let hint = match reasons.as_slice() {
                    [Stale::NoLock] => "make it: bundle lock",
                    _ => "bring it up to date with bundle lock, and review what changed",
                };
                Self::refused("stale_lock", "").hint(hint).telling(&error)
            }
            Error::Plain { .. } => Self::usage("release", "")
                .hint("choose another to: for one of them; tools lie in tools/, named after their platform")
                .telling(&error),
            Error::Entries(ref faults) => {
                first(faults.iter().map(|fault| store::source(&fault.source))).telling(&error)
            }
            Error::Models(ref faults) => {
                first(faults.iter().map(|fault| model::of(&fault.source))).telling(&error)
            }
        }
    }
}

/// The one of several faults that is answered. What the world failed to do comes first: the rest may change when that is mended.
pub(super) fn first(all: impl Iterator<Item = Failure>) -> Failure {
    let all: Vec<Failure> = all.collect();
    let first = [Exit::World, Exit::Refused, Exit::Usage]
        .into_iter()
        .find_map(|exit| all.iter().find(|failure| failure.exit == exit));
    first.cloned().unwrap_or_else(|| Failure::world("source", ""))
}

impl From<lock::Error> for Failure {
    fn from(error: lock::Error) -> Self {
        match error {
            lock::Error::Format { .. } => {
                Self::refused("lock_format", "").hint("a newer program wrote it: use that one")
            }
            lock::Error::Yaml(_) | lock::Error::Graph { .. } => {
                Self::usage("lock", "").hint("it was edited or damaged; make it anew: bundle lock")
            }
        }
        .telling(&error)
    }
}
