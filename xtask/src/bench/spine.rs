//! The cases: a few large layers, and a hundred thousand small blobs; build, verify and load of each.

use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::images::{Large, Seed, write_large, write_many};
use xtask::registry::{Config, Server, Storage};

use super::machine::Machine;
use super::measure::{Run, run};
use super::{LAYERS, peers};
use crate::say;

/// Peak memory that is promised, in bytes.
const MEMORY: u64 = 128 << 20;

/// One measured line.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) run: Run,
    /// Bytes of payload handled.
    pub(super) bytes: u64,
    /// What the machine allows, in bytes per second, and the share of it that is wanted.
    pub(super) limit: Option<(f64, f64)>,
    /// Bytes that may be written.
    pub(super) may_write: Option<u64>,
    /// Whether the promise on memory is about this row.
    pub(super) ours: bool,
}

impl Row {
    pub(super) fn rate(&self) -> f64 {
        self.bytes as f64 / self.run.seconds
    }

    /// Rate by limit.
    pub(super) fn ratio(&self) -> Option<f64> {
        self.limit.map(|(limit, _)| self.rate() / limit)
    }

    pub(super) fn holds(&self) -> bool {
        self.ratio().zip(self.limit).is_none_or(|(ratio, (_, wanted))| ratio >= wanted)
            && (!self.ours || self.run.memory <= MEMORY)
            && self.may_write.is_none_or(|most| self.run.written <= most)
    }
}

/// All lines of one case.
pub(super) struct Case {
    pub(super) rows: Vec<Row>,
}

/// Keys, a release of one image layout, its lock.
pub(super) struct Stage<'a> {
    pub(super) program: &'a Path,
    pub(super) folder: &'a Path,
}

impl Stage<'_> {
    pub(super) fn bundle(&self, words: &[&str]) -> Result<Run, String> {
        let mut command = Command::new(self.program);
        command
            .args(words)
            .current_dir(self.folder)
            .env_clear()
            .env("HOME", self.folder)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("BUNDLE_STATE", self.folder.join("state"));
        run(&mut command, &self.folder.join("log"))
    }

    pub(super) fn keys(&self) -> Result<(), String> {
        self.bundle(&["keygen", "signing", "--out", "vendor"])?;
        self.bundle(&["keygen", "recipient", "--out", "acme"])?;
        self.bundle(&["trust", "init", "--key", "vendor.pub", "--threshold", "1", "--out", "trust.json"])?;
        Ok(())
    }

    fn release(&self, tags: &[String]) -> Result<(), String> {
        let mut text = String::from(
            "apiVersion: bundle/v1\nkind: Release\nname: bench\nversion: 1.0.0\nvendor: Bench\nimages:\n",
        );
        for tag in tags {
            text += &format!("  - {{ref: \"docker.io/bench/image:{tag}\", from: \"oci:layout:{tag}\"}}\n");
        }
        std::fs::write(self.folder.join("release.yaml"), text).map_err(|e| e.to_string())
    }
}

pub(super) const BUILD: &[&str] =
    &["build", "--out", "out", "--sign-key", "vendor.key", "--recipient", "acme.pub", "--progress", "none"];
pub(super) const BUNDLE: &str = "out/bench-1.0.0";

fn verify(extra: &[&'static str]) -> Vec<&'static str> {
    [&["verify", BUNDLE, "--trust", "trust.json", "--progress", "none"], extra].concat()
}

pub(super) fn load(stage: &Stage<'_>, host: &str, prefix: &str) -> Result<Run, String> {
    let to = format!("{host}/{prefix}");
    let words = [
        "load",
        BUNDLE,
        "--trust",
        "trust.json",
        "--identity",
        "acme.key",
        "--registry",
        &to,
        "--progress",
        "none",
    ];
    stage.bundle(&words)
}

pub(super) fn discarding() -> Result<Server, String> {
    Server::start(Config { storage: Storage::Discard, ..Config::default() }).map_err(|e| e.to_string())
}

/// Large layers: rates beside the machine's own, and beside stock tools.
pub(super) fn large(program: &Path, folder: &Path, machine: &Machine, layer: u64) -> Result<Case, String> {
    std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    let stage = Stage { program, folder };
    let bytes = LAYERS as u64 * layer;
    say::line(&format!("writing {LAYERS} layers of {} MiB", layer >> 20));
    let images: Vec<String> = (0..4).map(|n| format!("v{n}")).collect();
    for tag in &images {
        let large =
            Large { tag: tag.clone(), seed: Seed::of(tag), layers: LAYERS / images.len(), bytes: layer };
        write_large(&folder.join("layout"), &large).map_err(|e| e.to_string())?;
    }
    stage.keys()?;
    stage.release(&images)?;
    stage.bundle(&["lock"])?;
    say::line("building, verifying, loading");
    let cores = machine.cores as f64;
    let (s, a, b) = (machine.hash, machine.seal, machine.open);
    let mut rows = Vec::new();
    let mut add = |name: &str, run: Run, limit: (f64, f64), may_write: Option<u64>| {
        say::line(&format!("  {name}: {:.1} s", run.seconds));
        rows.push(Row { name: name.into(), run, bytes, limit: Some(limit), may_write, ours: true });
    };
    let built = stage.bundle(BUILD)?;
    let build_limit = (cores / (3.0 / s + 1.0 / a)).min(machine.write);
    add("build", built, (build_limit, 0.75), Some(folder_bytes(&folder.join(BUNDLE)) / 100 * 102));
    add("verify", stage.bundle(&verify(&[]))?, ((cores * s).min(machine.read * cores), 0.9), Some(0));
    let deep = stage.bundle(&verify(&["--identity", "acme.key"]))?;
    add("verify --identity", deep, (cores / (1.0 / b + 2.0 / s), 0.75), Some(0));
    let server = discarding()?;
    // A load leaves notes of uploads in progress, a page each, and takes them away again.
    let loaded = load(&stage, &server.host(), "bench")?;
    add("load, registry that discards", loaded, (cores / (1.0 / b + 1.0 / s), 0.75), Some(1 << 20));
    drop(server);
    rows.extend(peers::rows(&stage, &images, bytes)?);
    Ok(Case { rows })
}

/// A hundred thousand small blobs: memory.
pub(super) fn many(program: &Path, folder: &Path, blobs: u64) -> Result<Case, String> {
    std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    let stage = Stage { program, folder };
    say::line(&format!("writing {blobs} small blobs"));
    let each = 500;
    let tags: Vec<String> = (0..blobs.div_ceil(each)).map(|n| format!("v{n}")).collect();
    write_many(&folder.join("layout"), &tags, each).map_err(|e| e.to_string())?;
    stage.keys()?;
    stage.release(&tags)?;
    let mut rows = Vec::new();
    let mut add = |name: &str, run: Run| {
        say::line(&format!("  {name}: {:.1} s", run.seconds));
        let name = format!("{name}, {blobs} small blobs");
        rows.push(Row { name, run, bytes: 0, limit: None, may_write: None, ours: true });
    };
    add("lock", stage.bundle(&["lock"])?);
    add("build", stage.bundle(BUILD)?);
    add("verify --identity", stage.bundle(&verify(&["--identity", "acme.key"]))?);
    let server = discarding()?;
    add("load", load(&stage, &server.host(), "bench")?);
    Ok(Case { rows })
}

/// Bytes of all files below `folder`.
pub(super) fn folder_bytes(folder: &Path) -> u64 {
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    let mut total = 0;
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(&current).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(facts) if facts.is_dir() => folders.push(entry.path()),
                Ok(facts) => total += facts.len(),
                Err(_) => {}
            }
        }
    }
    total
}
