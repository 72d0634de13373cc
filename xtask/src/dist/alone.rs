//! The delivered program as the tool `bundle` of a release: what comes out of the bundle checks and loads the very bundle it came in, with
//! nothing around it but the folder.
//!
//! The folder is the whole filesystem of that run (`chroot`): no loader, no libraries, no `/etc`, no `/proc`, no home, no environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use xtask::images::sample;
use xtask::registry::{Config, Kind, Server, digest_of};

use crate::{Outcome, say};

const NAME: &str = "carried-1.0.0";

/// Cuts a bundle with `program`, which is for `platform`, inside it, and lets that load it.
pub(super) fn check(program: &Path, platform: &str) -> Outcome {
    let text = |error: std::io::Error| error.to_string();
    let folder = tempfile::tempdir().map_err(text)?;
    let vendor = Vendor { program, folder: folder.path() };
    let customer = Server::start(Config::default()).map_err(text)?;
    say::heading("The program as a tool of a release");
    let (images, bundle) = vendor.cut(platform)?;

    let root = folder.path().join("customer");
    fs::create_dir(&root).map_err(text)?;
    fs::rename(bundle, root.join(NAME)).map_err(text)?;
    for file in ["trust.json", "acme.key"] {
        fs::copy(vendor.folder.join(file), root.join(file)).map_err(|e| format!("{file}: {e}"))?;
    }
    let carried = fs::read(root.join(NAME).join("bundle")).map_err(text)?;
    if digest_of(&carried) != digest_of(&fs::read(program).map_err(text)?) {
        return Err("the bundle's program is not the one that was declared".to_owned());
    }
    let folder = format!("/{NAME}");
    let trust = ["--trust", "/trust.json", "--identity", "/acme.key"];
    let registry = format!("{}/mirror", customer.host());
    alone(&root, &[&["verify", &folder][..], &trust].concat())?;
    alone(&root, &[&["load", &folder, "--registry", &registry][..], &trust].concat())?;
    for (repository, tag) in &images {
        customer
            .manifest(&format!("mirror/{repository}"), tag)
            .ok_or(format!("{repository} is not there"))?;
    }
    let put = customer.stats().count("PUT", Kind::Manifest);
    say::line(&format!("-> {} images ({put} manifests) are in the customer's registry", images.len()));
    Ok(())
}

struct Vendor<'a> {
    program: &'a Path,
    folder: &'a Path,
}

impl Vendor<'_> {
    /// A sealed bundle of the sample images and the program; gives the images' names and the folder.
    fn cut(&self, platform: &str) -> Result<(Vec<(String, String)>, PathBuf), String> {
        let text = |error: std::io::Error| error.to_string();
        let bytes = fs::read(self.program).map_err(text)?;
        let mut release =
            "apiVersion: bundle/v1\nkind: Release\nname: carried\nversion: 1.0.0\nvendor: Carried\nimages:\n"
                .to_owned();
        let mut names = Vec::new();
        for image in sample("carried", "v1").map_err(text)? {
            let name = format!("docker.io/{}:{}", image.repository, image.tag);
            image.graph.write_layout(&self.folder.join("layout"), &name).map_err(text)?;
            release += &format!("  - {{ref: \"{name}\", from: \"oci:layout:{name}\"}}\n");
            names.push((image.repository, image.tag));
        }
        release += &format!(
            "tools:\n  - {{name: bundle, from: program, sha256: {}, platform: {platform}}}\n",
            digest_of(&bytes).trim_start_matches("sha256:")
        );
        fs::write(self.folder.join("program"), bytes).map_err(text)?;
        fs::write(self.folder.join("release.yaml"), release).map_err(text)?;
        for words in [
            "keygen signing --out vendor",
            "keygen recipient --out acme",
            "trust init --key vendor.pub --threshold 1 --out trust.json",
            "lock",
            "build --out out --sign-key vendor.key --recipient acme.pub",
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            let mut command = Command::new(self.program);
            command.args(&words).current_dir(self.folder).env_clear().env("BUNDLE_STATE", self.folder);
            said(command, &words)?;
        }
        Ok((names, self.folder.join("out").join(NAME)))
    }
}

/// Runs the bundle's own program with `root` for the whole filesystem and an empty environment.
fn alone(root: &Path, words: &[&str]) -> Outcome {
    let mut command = Command::new("unshare");
    // A user of its own, so that this needs no rights; the network stays, or there would be no registry.
    command.args(["--map-root-user", "--root"]).arg(root).args(["--wd", "/", &format!("/{NAME}/bundle")]);
    command.args(words).env_clear();
    said(command, words)
}

/// Runs it; shows what it said, which must be no refusal.
fn said(mut command: Command, words: &[&str]) -> Outcome {
    say::line(&format!("$ bundle {}", words.join(" ")));
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{command:?}: {e}"))?;
    say::line(String::from_utf8_lossy(&output.stdout).trim_end());
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
