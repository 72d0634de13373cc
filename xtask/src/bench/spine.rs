//! The cases: a few large layers, and a hundred thousand small blobs; build, verify and load of each.

use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::images::{Large, Seed, write_large, write_many};
use xtask::registry::{Config, Server, Storage};

use super::measure::{Run, run};
use super::row::{Beside, Row};
use super::sink::Sink;
use super::{LAYERS, bare, copy, machine, medium, parity, peers, serve};
use crate::say;

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
pub(super) fn large(program: &Path, folder: &Path, layer: u64) -> Result<Case, String> {
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
    say::line("building, verifying, loading: each three times, the machine measured around each");
    let cores = machine::cores();
    let out = folder.join("out");
    let layers = files(&folder.join("layout/blobs/sha256"))?;
    let (way, rate) = medium::best(folder, bytes)?;

    let mut rows = vec![];
    let mut build = Row::of("build", bytes, (0.75, |rates| rates.of(3.0, 1.0, 0.0)));
    build.medium = Some(rate);
    build.measure(&Beside {
        run: &|| {
            let _ = std::fs::remove_dir_all(&out);
            medium::settle();
            stage.bundle(BUILD)
        },
        medium: Some(&|| medium::write(folder, bytes, way)),
        bare: &|| bare::build(&layers, folder, (cores, way)),
    })?;
    build.may_write = Some(folder_bytes(&folder.join(BUNDLE)) / 100 * 102);
    rows.push(build);

    let volumes = files(&folder.join(BUNDLE).join("volumes"))?;
    let mut cold = Row::of("verify, from the medium", bytes, (0.9, |rates| rates.of(1.0, 0.0, 0.0)));
    cold.may_write = Some(0);
    cold.measure(&Beside {
        run: &|| {
            medium::forget(&volumes);
            stage.bundle(&verify(&[]))
        },
        medium: Some(&|| {
            medium::forget(&volumes);
            medium::read(&volumes, cores)
        }),
        bare: &|| {
            medium::forget(&volumes);
            bare::check(&volumes, cores, (1, false))
        },
    })?;
    rows.push(cold);
    let mut verified = Row::of("verify", bytes, (0.9, |rates| rates.of(1.0, 0.0, 0.0)));
    verified.may_write = Some(0);
    verified.measure(&Beside {
        run: &|| stage.bundle(&verify(&[])),
        medium: Some(&|| medium::read(&volumes, cores)),
        bare: &|| bare::check(&volumes, cores, (1, false)),
    })?;
    rows.push(verified);
    let mut deep = Row::of("verify --identity", bytes, (0.75, |rates| rates.of(2.0, 0.0, 1.0)));
    deep.may_write = Some(0);
    deep.measure(&Beside {
        run: &|| stage.bundle(&verify(&["--identity", "acme.key"])),
        medium: None,
        bare: &|| bare::check(&volumes, cores, (2, true)),
    })?;
    rows.push(deep);
    let mut loaded = Row::of("load, registry that discards", bytes, (0.75, |rates| rates.of(1.0, 0.0, 1.0)));
    // A load leaves notes of uploads in progress, a page each, and takes them away again.
    loaded.may_write = Some(1 << 20);
    loaded.measure(&Beside {
        run: &|| {
            let sink = Sink::start()?;
            load(&stage, &sink.host(), "bench")
        },
        medium: None,
        bare: &|| bare::load(&volumes, cores),
    })?;
    rows.push(loaded);
    rows.push(copy::row(&stage, bytes)?);
    rows.extend(serve::rows(&stage, bytes)?);
    rows.extend(peers::rows(&stage, &images, bytes)?);
    // Last: the bundle is built again for it.
    rows.push(parity::row(&stage, bytes)?);
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
        say::line(&format!("  {name}: {:.1} s, {} MiB", run.seconds, run.memory >> 20));
        rows.push(Row::once(&format!("{name}, {blobs} small blobs"), 0, run));
    };
    add("lock", stage.bundle(&["lock"])?);
    add("build", stage.bundle(BUILD)?);
    add("verify", stage.bundle(&verify(&[]))?);
    add("verify --identity", stage.bundle(&verify(&["--identity", "acme.key"]))?);
    let server = discarding()?;
    add("load", load(&stage, &server.host(), "bench")?);
    add("load again", load(&stage, &server.host(), "bench")?);
    Ok(Case { rows })
}

/// The files in `folder`, by name.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
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
