//! The plain files of a delivered folder, files and tools: where they may lie beside what every bundle has.

use crate::bundle::names;
use crate::oci::Platform;
use crate::path::{self, Clash, EntryPath, PathError};

/// The tool that is this program.
pub const OURSELVES: &str = "bundle";

/// Why plain files cannot lie in a delivered folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlainError {
    /// A path that a bundle uses for something else.
    #[error("\"{0}\" is a path that bundles keep for something else")]
    Reserved(EntryPath),
    /// Two that cannot be in one folder.
    #[error(transparent)]
    Together(#[from] Clash),
}

/// Where a tool lies: `tools/<os>-<architecture>/<name>`; this program at the top, where an operator looks for it.
pub fn tool_path(name: &str, platform: &Platform) -> Result<EntryPath, PathError> {
    match (name, platform.to_string().as_str()) {
        (OURSELVES, "linux/amd64") => OURSELVES.parse(),
        (OURSELVES, "linux/arm64") => "bundle-arm64".parse(),
        (name, platform) => format!("tools/{}/{name}", platform.replace('/', "-")).parse(),
    }
}

/// Whether a text that is made for a bundle is for running.
#[must_use]
pub fn is_script(path: &str) -> bool {
    path.starts_with("scripts/")
}

/// Refuses paths that a bundle needs itself, and two that are one on some filesystem.
pub fn check<'a>(paths: impl IntoIterator<Item = &'a EntryPath>) -> Result<(), PlainError> {
    let mut all = Vec::new();
    for path in paths {
        if is_reserved(path) {
            return Err(PlainError::Reserved(path.clone()));
        }
        all.push(path);
    }
    Ok(path::together(all)?)
}

/// Refuses paths that cannot be beside the texts that are made for the operator; a text that is among them is theirs.
pub fn check_beside_texts(paths: &[&EntryPath]) -> Result<(), PlainError> {
    let own = |text: &str| paths.iter().any(|path| path.as_str().eq_ignore_ascii_case(text));
    let texts: Vec<EntryPath> =
        names::TEXTS.iter().filter(|text| !own(text)).filter_map(|text| text.parse().ok()).collect();
    Ok(path::together(paths.iter().copied().chain(&texts))?)
}

fn is_reserved(path: &EntryPath) -> bool {
    let folded = path.as_str().to_lowercase();
    let top = folded.split('/').next().unwrap_or(&folded);
    // `build-state` is what a build that is under way remembers by; a leading dot is how it hides what is half written.
    matches!(top, "bundle.json" | "readme.md" | "volumes" | "parity" | "grants" | "licenses" | "build-state")
        || top.starts_with("sha256sums")
        || top.starts_with('.')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tools_lie_where_they_are_looked_for() {
        for (name, platform, path) in [
            ("helm", "linux/amd64", "tools/linux-amd64/helm"),
            ("kubectl", "linux/arm/v7", "tools/linux-arm-v7/kubectl"),
            ("bundle", "linux/amd64", "bundle"),
            ("bundle", "linux/arm64", "bundle-arm64"),
            ("bundle", "darwin/arm64", "tools/darwin-arm64/bundle"),
        ] {
            assert_eq!(tool_path(name, &platform.parse().unwrap()).unwrap().as_str(), path);
        }
    }

    #[test]
    fn what_is_made_for_the_operator_has_its_place() {
        let check = |paths: &[&str]| {
            let paths: Vec<EntryPath> = paths.iter().map(|path| path.parse().unwrap()).collect();
            check_beside_texts(&paths.iter().collect::<Vec<_>>())
        };
        assert_eq!(check(&["docs/own.md", "docs/AIRGAPPED.md", "scripts/x/y.sh"]), Ok(()));
        for clash in ["docs", "scripts", "Docs/own.md", "DOCS/airgapped.md", "docs/OPERATIONS.md/x"] {
            assert!(matches!(check(&[clash]), Err(PlainError::Together(_))), "{clash}");
        }
    }

    #[test]
    fn what_a_bundle_needs_is_left_to_it() {
        let check = |paths: &[&str]| {
            let paths: Vec<EntryPath> = paths.iter().map(|path| path.parse().unwrap()).collect();
            check(&paths)
        };
        for bad in [
            "Volumes/x",
            "bundle.json",
            "SHA256SUMS.x.sig",
            "grants",
            "licenses/a.lic",
            ".hidden",
            "readme.MD",
        ] {
            assert!(matches!(check(&[bad]), Err(PlainError::Reserved(_))), "{bad}");
        }
        for bad in [["docs/a", "docs/A"], ["docs", "docs/a"], ["a", "a"], ["Docs/a", "docs/b"]] {
            assert!(matches!(check(&bad), Err(PlainError::Together(_))), "{bad:?}");
        }
        assert_eq!(
            check(&["docs/README.md", "docs/b", "bundle", "bundle-arm64", "tools/linux-amd64/helm"]),
            Ok(())
        );
    }
}
