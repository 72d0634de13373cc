//! The conformance suite of the OCI distribution specification, which a test runs: built by `cargo xtask setup` into the cache of
//! [`tools`](crate::tools), from the version and hashes in `xtask/conformance/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tools::cache;

/// The program's package, and where the one of the pinned version lies in the cache.
const PACKAGE: &str = "github.com/opencontainers/distribution-spec/conformance";
const PLACE: &str = "conformance-97274622c111/conformance";

/// The suite's program.
///
/// # Errors
/// What is missing, and the task that builds it.
pub fn suite() -> Result<PathBuf, String> {
    let path = cache()?.join(PLACE);
    match path.is_file() {
        true => Ok(path),
        false => Err(format!("{} is missing: run cargo xtask setup", path.display())),
    }
}

/// Builds it where it is missing; `say` is told of that.
///
/// # Errors
/// What go said.
pub fn install(say: &dyn Fn(&str)) -> Result<(), String> {
    let path = cache()?.join(PLACE);
    if path.is_file() {
        return Ok(());
    }
    say("setup: building the conformance suite of the distribution specification");
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // go writes in place: under another name until it is whole.
    let draft = folder.join(format!(".conformance.{}", std::process::id()));
    let output = Command::new("go")
        .args(["build", "-trimpath", "-o"])
        .arg(&draft)
        .arg(PACKAGE)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("go: {error}; Go 1.24 or later builds the conformance suite"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("go build {PACKAGE} failed: {}\n{}", output.status, said.trim_end()));
    }
    std::fs::rename(&draft, &path).map_err(|error| format!("{}: {error}", path.display()))
}
