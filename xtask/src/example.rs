//! The worked example where the vendor's private images and the large model are not: the same release, the same chart, other sources.
//!
//! `manifests/incidentfox` is copied and only the places its content is read from are replaced: images that stand in, from a registry
//! on loopback; a small model, from a folder; the programs that `cargo xtask setup` unpacked.

use std::fs;
use std::path::{Path, PathBuf};

use crate::images::{Named, standin};
use crate::registry::Server;
use crate::tools;

/// The vendor's folder in the project.
#[must_use]
pub fn source() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).join("manifests/incidentfox")
}

/// Puts a stand-in for each image of the release into `vendor`, and gives them. `cache` is where the program is compiled.
///
/// # Errors
/// What the compiler or the registry said.
pub fn images(vendor: &Server, cache: &Path) -> Result<Vec<Named>, String> {
    let program = standin::program(cache)?;
    let program = fs::read(&program).map_err(|error| format!("{}: {error}", program.display()))?;
    let release = read(&source().join("release.yaml"))?;
    let mut images = Vec::new();
    for reference in release.lines().filter_map(reference) {
        // GPU nodes are of one kind, and the release says so.
        let platforms: &[&str] =
            if reference.contains("/vllm/") { &["linux/amd64"] } else { &["linux/amd64", "linux/arm64"] };
        let name = reference.trim_start_matches("docker.io/");
        let image = standin::image(name, platforms, &program).map_err(|error| error.to_string())?;
        image.graph.put(vendor, &image.repository, &image.tag).map_err(|error| error.to_string())?;
        images.push(image);
    }
    Ok(images)
}

/// The image that a line of the release declares.
fn reference(line: &str) -> Option<&str> {
    let line = line.trim();
    let name = line.strip_prefix("- ref: ").or_else(|| line.strip_prefix("- "))?;
    name.starts_with("docker.io/").then_some(name)
}

/// Copies the vendor's folder to `target`, with everything read from here: images from the registry at `host`. The sections named in
/// `without` are left out.
///
/// # Errors
/// A file, or a program that setup has not unpacked.
pub fn derive(target: &Path, host: &str, without: &[&str]) -> Result<(), String> {
    copy(&source(), target)?;
    let release = target.join("release.yaml");
    let mut text = String::new();
    let mut dropping = false;
    for line in read(&release)?.lines() {
        if line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            dropping = without.iter().any(|section| line.starts_with(&format!("{section}:")));
        }
        if dropping {
            continue;
        }
        let line = match reference(line) {
            Some(name) => {
                let from = name.replace("docker.io/", &format!("{host}/"));
                format!("  - ref: {name}\n    from: {from}")
            }
            None if line.trim_start().starts_with("from: hf://") => "    from: dir:model".to_owned(),
            None => line.to_owned(),
        };
        text.push_str(&line);
        text.push('\n');
    }
    write(&release, text.as_bytes())?;
    for (name, bytes) in standin::model() {
        write(&target.join("model").join(name), &bytes)?;
    }
    if without.contains(&"tools") {
        return Ok(());
    }
    for (name, program) in [("helm", tools::helm4()?), ("kubectl", tools::kubectl()?)] {
        let place = target.join("build/tools").join(name);
        let made = fs::create_dir_all(target.join("build/tools")).and_then(|()| fs::copy(&program, &place));
        made.map_err(|error| format!("{}: {error}", place.display()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let error = |error: std::io::Error| format!("{}: {error}", from.display());
    fs::create_dir_all(to).map_err(error)?;
    for entry in fs::read_dir(from).map_err(error)? {
        let entry = entry.map_err(error)?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(error)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
