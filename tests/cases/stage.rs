//! A vendor and a customer who have nothing but the program's command line.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use xtask::images::Named;

use super::program::{Outcome, Program};

/// A folder with keys, a policy and a release, in which the program is run.
pub(crate) struct Stage {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) program: Program,
}

impl Stage {
    /// Keys for a vendor, an escrow and a customer, and the customer's policy; no release yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::at(folder.path());
        program.done(&["keygen", "signing", "--out", "vendor"]);
        program.done(&["keygen", "recipient", "--out", "escrow"]);
        program.done(&["keygen", "recipient", "--out", "acme"]);
        program.done(&["trust", "init", "--key", "vendor.pub", "--threshold", "1", "--out", "trust.json"]);
        Self { folder, program }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A release of `images` that are read from `registry`, with `settings` (whole lines of YAML).
    pub(crate) fn release(&self, settings: &str, images: &[Named], registry: &str) {
        let head = "apiVersion: bundle/v1\nkind: Release\nname: demo\nversion: 1.2.0\nvendor: Demo";
        let mut release = format!("{head}\n{settings}images:\n");
        for image in images {
            let name = format!("{}:{}", image.repository, image.tag);
            release += &format!("  - {{ref: \"docker.io/{name}\", from: \"{registry}/{name}\"}}\n");
        }
        fs::write(self.path("release.yaml"), release).unwrap();
    }

    /// Writes the Docker configuration that the program reads.
    pub(crate) fn log_in(&self, auths: impl IntoIterator<Item = (String, Value)>) {
        let auths: serde_json::Map<String, Value> = auths.into_iter().collect();
        fs::create_dir_all(self.path("docker")).unwrap();
        fs::write(self.path("docker/config.json"), json!({"auths": auths}).to_string()).unwrap();
    }

    /// Where a build below `out` ends up.
    pub(crate) fn bundle(&self, out: &str) -> PathBuf {
        self.path(out).join("demo-1.2.0")
    }

    /// The arguments of a build into `out`.
    pub(crate) fn build(&self, out: &str) -> Vec<String> {
        let line =
            format!("build --out {out} --sign-key vendor.key --recipient escrow.pub --recipient acme.pub");
        line.split(' ').map(str::to_owned).collect()
    }

    /// The arguments of a verification of all that can be verified.
    pub(crate) fn verify(&self, bundle: &Path) -> Vec<String> {
        let line = format!("verify {} --trust trust.json --identity acme.key", bundle.display());
        line.split(' ').map(str::to_owned).collect()
    }

    /// The arguments of a load into `registry`.
    pub(crate) fn load(&self, bundle: &Path, registry: &str) -> Vec<String> {
        let bundle = bundle.display();
        let line =
            format!("load {bundle} --trust trust.json --identity acme.key --registry {registry}/mirror");
        line.split(' ').map(str::to_owned).collect()
    }

    /// Runs with the options that the registry at the other end needs.
    pub(crate) fn run(&self, arguments: Vec<String>, options: Vec<String>) -> Outcome {
        self.program.run(&[arguments, options].concat())
    }
}
