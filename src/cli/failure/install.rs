//! Why nothing was installed, or why it did not come to its end.

use super::{Failure, tools};
use crate::ops::cluster;
use crate::ops::hold;
use crate::ops::install::Error;
use crate::ops::install::act::{Fault, Left};
use crate::release::questions::Problem;
use crate::release::yaml;

/// Answers that are no answers file.
pub(in crate::cli) fn answers(error: &yaml::Error) -> Failure {
    Failure::usage("answers", error.to_string())
        .hint("an answers file is a mapping from variables to answers: docs/questions.md")
}

/// Answers that do not fit the questions.
pub(in crate::cli) fn unfit_answers(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::usage("answers", lines.join("\n"))
        .hint("the numbers after the file are line and column; nothing was changed. The questions are in the bundle: install/ or where bundle inspect says")
}

impl From<cluster::Error> for Failure {
    fn from(error: cluster::Error) -> Self {
        use cluster::Error;
        match error {
            Error::Kubectl(error) => error.into(),
            Error::Helm(ref inner) => tools::helm(inner).telling(&error),
            Error::File(error) => error.into(),
            Error::ToolChanged { .. } => Self::refused("changed", "")
                .hint("run nothing of this folder: copy it again from where it came")
                .telling(&error),
            Error::Record(_) => Self::world("record", "")
                .hint("a later version of the program wrote it, or somebody changed it: use that version, or look at it with kubectl get configmap -o yaml")
                .telling(&error),
            Error::NotInstalled(_) => Self::usage("not_installed", "")
                .hint("look at --kubeconfig, --context and --namespace")
                .telling(&error),
            Error::Several(_) => Self::usage("several", "").hint("say which: --release NAME --namespace NAMESPACE").telling(&error),
        }
    }
}

impl From<hold::Error> for Failure {
    fn from(error: hold::Error) -> Self {
        use hold::Error;
        match error {
            Error::Busy { .. } => Self::refused("busy", "")
                .stating("This one changed nothing.")
                .hint("let the other one end, then look with bundle status and run this again if it is still wanted; one that was killed is taken over at once on its own machine, and after half a minute elsewhere")
                .telling(&error),
            Error::Changed { .. } => Self::refused("changed_since", "")
                .stating("This one changed nothing.")
                .hint("look with bundle status, then run the same command again: it is planned anew")
                .telling(&error),
            Error::Stopped => Self::interrupted("Nothing was changed."),
            Error::Cluster(error) => error.into(),
            Error::File(error) => error.into(),
            Error::Random(error) => Self::world("random", error.to_string()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unlock(error) => error.into(),
            error => of(&error),
        }
    }
}

/// A fault before, or in, an installation.
fn of(error: &Error) -> Failure {
    let failure = match error {
        Error::Unlock(_) => Failure::world("bundle", ""),
        Error::Cluster(cluster::Error::Kubectl(inner)) | Error::Kubectl(inner) => tools::kubectl(inner),
        Error::Cluster(cluster::Error::Helm(inner)) | Error::Helm(inner) => tools::helm(inner),
        Error::Cluster(_) => Failure::world("record", "").hint("what the cluster remembers cannot be read: look at it with kubectl get configmap"),
        Error::File(inner) => super::file::of(inner),
        Error::Mapping(_) => Failure::usage("mapping", "").hint("give --registry, --map and --flatten as at bundle load"),
        Error::Registry(inner) => super::registry::of(inner),
        Error::NoChart { .. } => Failure::usage("no_chart", "").hint("images and models of it are used as bundle load put them"),
        Error::Questions(_) | Error::Template(_) => {
            Failure::refused("bundle", "").hint("this was signed as it is, so copying again does not help: send this to the vendor")
        }
        Error::Values(_) => Failure::refused("values", "").hint("the vendor's template does not fit these answers: send this to the vendor"),
        Error::NotLoaded(_) => Failure::refused("not_loaded", "")
            .hint("load the bundle first, with the same --registry, --map and --flatten: bundle load DIR --registry HOST/PREFIX; it sends only what is missing"),
        Error::ChartInRegistry { .. } => {
            Failure::refused("chart", "").hint("the registry does not give what was loaded: load the bundle again, with --recheck")
        }
        Error::Archive { .. } | Error::Freeze { .. } => {
            Failure::refused("chart", "").hint("this was signed as it is: send this to the vendor")
        }
        Error::Relocate { .. } => Failure::refused("outside", "").hint(
            "nothing was changed: no node could pull these. Ask the vendor for a release that has them, or let one stay as it is with --ignore REFERENCE",
        ),
        Error::ClusterVersion { .. } => Failure::refused("cluster_version", "").hint(
            "nothing was changed. Update the cluster first, or ask the vendor for a release that runs on it; bundle preflight shows everything else that is needed",
        ),
        Error::Rights(_) => Failure::refused("forbidden", "").hint(
            "nothing was changed. Ask whoever runs the cluster for these rights, or use a kubeconfig that has them",
        ),
        Error::SeveralLicenses(_) => Failure::usage("several_licenses", "").hint("say whose: --customer ID, or --license FILE"),
        Error::NoLicensePolicy { .. } => Failure::usage("no_license_policy", "").hint("leave --license out: this release asks for none"),
        Error::OtherVersion { .. } => Failure::refused("other_version", "")
            .hint("bundle upgrade brings it to another version, and back where it was when that fails"),
        Error::Unfinished { .. } => Failure::refused("unfinished", "")
            .hint("end that first: run bundle upgrade, rollback or uninstall again, whichever it was; bundle status shows it"),
        Error::Random(_) => Failure::world("random", ""),
    };
    failure.telling(error)
}

/// What became of work that was begun.
pub(in crate::cli) fn acted(fault: &Fault, left: &Left, release: &str) -> Failure {
    let failure = match fault {
        Fault::Error(error) => of(error),
        Fault::Stalled { .. } => Failure::world("stalled", fault.to_string()),
        Fault::Unhealthy(_) => Failure::world("unhealthy", fault.to_string()),
        Fault::Stopped => Failure::interrupted(String::new()),
        Fault::Lost => Failure::world("taken_over", fault.to_string()),
    };
    let advice = failure.advice().map(ToOwned::to_owned);
    let (state, hint) = match left {
        Left::Running => (format!("{release} runs as it is to be."), ""),
        Left::Back { revision } => (
            format!(
                "The whole release is back at revision {revision}, and runs: nothing of the new one is left but its record."
            ),
            "mend what is named above, then run the same command again",
        ),
        Left::HalfBack { revision, why } => (
            format!(
                "The release is between two revisions: it was to go back to revision {revision}, and that failed: {why}"
            ),
            "mend what is named above, then: bundle rollback, or the same command again; bundle status shows what runs",
        ),
        Left::Taken => (
            format!("{release} is being worked on by the other one, and this one wrote nothing more."),
            "let it end, then look with bundle status",
        ),
        Left::Half => (
            format!(
                "{release} is half installed. What was created is still there, and its data; the cluster remembers that it is not whole."
            ),
            "mend what is named above, then run the same command again: it goes on. Or take it away: bundle uninstall",
        ),
    };
    let failure = failure.stating(state);
    match (advice, hint) {
        (Some(advice), "") => failure.hint(advice),
        (Some(advice), hint) => failure.hint(format!("{advice}; {hint}")),
        (None, hint) => failure.hint(hint),
    }
}
