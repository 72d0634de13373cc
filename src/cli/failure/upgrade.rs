//! Why nothing was upgraded.

use super::{Failure, registry};
use crate::ops::upgrade::{Error, backup};
use crate::plan::upgrade::NoRoute;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = match error {
            Error::Install(error) => return error.into(),
            Error::NotInstalled { .. } => Self::refused("not_installed", "")
                .hint("look at --kubeconfig and --context; where nothing of it runs yet: bundle install"),
            Error::Route(ref no) => route(no),
            Error::Supplement(_) => Self::usage("supplement", "")
                .hint("give it to bundle load beside the upgrade, as --base, and then upgrade with that"),
            Error::OtherBundle { .. } => Self::refused("other_bundle", "")
                .hint("a version has one content: ask the vendor which of the two is meant, and why there are two"),
            Error::Answers(_) => Self::usage("answers", "")
                .hint("give these answers, and only these, in a file: --answers FILE; what was answered before is carried over"),
            Error::Secret { .. } => Self::usage("secret", "")
                .hint("leave it out of --answers; change it with bundle install of the version that runs, before or after"),
            Error::Lost(_) => Self::refused("lost", "")
                .hint("load the bundle again with --recheck, which sends only what is missing; of an upgrade, with the bundle that was loaded before as --base DIR"),
            Error::Registry(ref source) => registry::of(source),
            Error::Backup(ref source) => backup(source),
        };
        failure.telling(&error)
    }
}

fn route(no: &NoRoute) -> Failure {
    match no {
        NoRoute::Same(_) => Failure::usage("same_version", ""),
        NoRoute::Newer { .. } => {
            Failure::refused("downgrade", "").hint("bundle rollback goes back to the revision before")
        }
        NoRoute::Never { .. } => Failure::refused("no_way", "")
            .hint("ask the vendor for a release that upgrades the version that runs"),
        NoRoute::OutOfRange { .. } => Failure::refused("too_old", "")
            .hint("ask the vendor for the releases between: each upgrades the ones before it"),
        NoRoute::Stops { .. } => Failure::refused("stops", "").hint(
            "upgrade to those first, one after the other, each with its own bundle; none may be passed over",
        ),
    }
}

fn backup(error: &backup::Error) -> Failure {
    match error {
        backup::Error::Failed { log, .. } => Failure::world("backup", "").hint(format!(
            "without a backup nothing is upgraded; all that it said is in {}. Mend that and run the same command again, or back up by other \
             means and say --no-backup",
            log.display()
        )),
        backup::Error::Script(_) => {
            Failure::refused("changed", "").hint("run nothing of this folder: copy it again from where it came")
        }
        backup::Error::File(_) | backup::Error::Process(_) => Failure::world("backup", "")
            .hint("without a backup nothing is upgraded; name a folder with room for it: --backup-dir DIR"),
    }
}
