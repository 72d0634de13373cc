//! Kubernetes' own programs, built by Go from the versions and hashes in `xtask/cluster/` into the cache of [`tools`](crate::tools).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tools::cache;

/// Which Kubernetes. `xtask/cluster/go.mod` says the same.
pub(super) const VERSION: &str = "v1.33.5";
const NAMES: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"];

/// One of the programs.
pub(super) fn program(name: &str) -> Result<PathBuf, String> {
    let path = folder()?.join(name);
    match path.is_file() {
        true => Ok(path),
        false => Err(format!("{} is missing: run cargo xtask setup", path.display())),
    }
}

fn folder() -> Result<PathBuf, String> {
    Ok(cache()?.join(format!("kubernetes-{VERSION}")))
}

/// Builds what is missing, which takes some minutes; `say` is told of each program.
///
/// # Errors
/// What go said.
pub fn install(say: &dyn Fn(&str)) -> Result<(), String> {
    let folder = folder()?;
    for name in NAMES {
        let path = folder.join(name);
        if path.is_file() {
            continue;
        }
        say(&format!("setup: building {name} {VERSION}"));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // go writes in place: under another name until it is whole.
        let draft = folder.join(format!(".{name}.{}", std::process::id()));
        build(name, &draft)?;
        std::fs::rename(&draft, &path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn build(name: &str, draft: &Path) -> Result<(), String> {
    // What Kubernetes' own build stamps in: clients compare versions, and an unstamped one says v0.0.0.
    let numbers: Vec<&str> = VERSION.trim_start_matches('v').split('.').collect();
    let stamp: Vec<String> = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
        .iter()
        .map(|package| {
            format!(
                "-X {package}.gitVersion={VERSION} -X {package}.gitMajor={} -X {package}.gitMinor={}",
                numbers[0], numbers[1]
            )
        })
        .collect();
    let output = Command::new("go")
        .args(["build", "-trimpath", "-ldflags", &format!("-s -w {}", stamp.join(" ")), "-o"])
        .arg(draft)
        .arg(format!("k8s.io/kubernetes/cmd/{name}"))
        .env("CGO_ENABLED", "0")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("go: {error}; Go 1.24 or later builds Kubernetes"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("go build {name} failed: {}\n{}", output.status, said.trim_end()))
}
