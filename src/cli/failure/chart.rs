//! Faults of charts, and of the places they are read from.

use super::Failure;
use crate::chart::archive::ArchiveError;
use crate::chart::repository::IndexError;
use crate::sources::ChartError;

/// What follows from a fault of a chart, without its words.
pub(super) fn of(error: &ChartError) -> Failure {
    let usage = |hint: &str| Failure::usage("chart", "").hint(hint);
    match error {
        ChartError::NoClient(_) => Failure::world("chart", ""),
        ChartError::Reference { .. } | ChartError::Tagged(_) | ChartError::Version(_) => {
            usage("a chart in a registry is declared by ref: oci://HOST/PATH/NAME and version: VERSION")
        }
        ChartError::Address { .. } => {
            usage("a chart of a repository is declared by repo: https://…, name: NAME and version: VERSION")
        }
        ChartError::Archive { source, .. } => usage(archive(source)),
        ChartError::Metadata { .. } => usage("helm lint tells more of it"),
        ChartError::Dependencies(_) => Failure::usage("chart_lock", "")
            .hint("bring charts/ and the lock in line with Chart.yaml: helm dependency update CHART"),
        ChartError::Ignore { .. } => usage("correct the rule; Helm stops at it too"),
        ChartError::File { .. } => {
            usage("a chart holds plain files; what is no part of it is named in .helmignore")
        }
        ChartError::Name { .. } => {
            usage("rename the file, or name it in .helmignore if it is no part of the chart")
        }
        ChartError::NotAChart { .. } => {
            usage("images are declared under images:; a chart is pushed by helm push")
        }
        ChartError::Disagrees { .. } => {
            usage("declare the name and version of Chart.yaml, or push the chart again under its own")
        }
        ChartError::Config { .. } => usage("push the chart again: helm push"),
        ChartError::Index { source, .. } => match source {
            IndexError::NoName { .. } | IndexError::NoVersion { .. } => {
                usage("look at name: and version: in release.yaml; the version is an exact one")
            }
            IndexError::Address { .. } => {
                usage("declare the chart where it is, or mend the repository's index")
            }
            IndexError::Yaml(_) | IndexError::Twice { .. } | IndexError::Digest { .. } => {
                Failure::world("chart_repository", "")
                    .hint("the fault is in the repository's index.yaml; it is made anew by helm repo index")
            }
        },
        ChartError::Digest { .. } => Failure::refused("wrong_digest", "")
            .hint("the archive was replaced, or damaged on the way; find out which before pinning anew"),
        ChartError::Provenance { .. } => {
            usage("make it again together with the archive: helm package --sign; or take it away")
        }
        ChartError::Changed { .. } => Failure::refused("stale_lock", "")
            .hint("bring it up to date with bundle lock, and review what changed"),
    }
}

fn archive(error: &ArchiveError) -> &'static str {
    match error {
        ArchiveError::TooLarge { .. }
        | ArchiveError::Unpacked
        | ArchiveError::Bomb { .. }
        | ArchiveError::Entries
        | ArchiveError::Depth
        | ArchiveError::File { .. } => "no chart is like that: find out what the archive is, and who made it",
        ArchiveError::Unreadable { .. } | ArchiveError::Trailing => {
            "it is damaged or no chart; get it again, or make it again: helm package"
        }
        ArchiveError::Within { source, .. } => archive(source),
        _ => "make the archive with helm package; one that somebody else made so is not to be trusted",
    }
}
