//! `cargo xtask dist`: the program as it is delivered, one static file; with `--check`, delivered inside a bundle and run from there.

mod alone;

use std::fs;

use xtask::registry::digest_of;

use crate::{Outcome, cargo, elf, say};

/// What is done with the program once it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing more.
    Done,
    /// It travels in a bundle and loads it.
    Travel,
}

pub(crate) fn run(then: Then) -> Outcome {
    let facts = cargo::output({
        let mut rustc = cargo::program("rustc");
        rustc.arg("-vV");
        rustc
    })?;
    let host = facts.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    // With a target named, the flags reach the program and not the procedural macros, which must be dynamic.
    let mut build =
        cargo::cargo(&["build", "--release", "--package", "bundle", "--bin", "bundle", "--target", host]);
    build.env("RUSTFLAGS", "-C target-feature=+crt-static").env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo::run(build)?;
    let path = cargo::target_folder()?.join(host).join("release/bundle");
    let program = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    match elf::wants_loader(&program) {
        Some(false) => {}
        Some(true) => return Err(format!("{} is not static", path.display())),
        None => return Err(format!("{} is no 64-bit ELF program", path.display())),
    }
    let version = cargo::output({
        let mut bundle = cargo::program(&path.to_string_lossy());
        bundle.arg("--version").env_clear();
        bundle
    })?;
    say::line(&format!("{}: {}, static, for {host}", path.display(), version.trim()));
    say::line(&format!("{} bytes, {}", program.len(), digest_of(&program)));
    match then {
        Then::Done => Ok(()),
        Then::Travel => alone::check(&path, &platform(host)?),
    }
}

/// The platform that a target triple stands for.
fn platform(host: &str) -> Result<String, String> {
    match host.split('-').next() {
        Some("x86_64") => Ok("linux/amd64".to_owned()),
        Some("aarch64") => Ok("linux/arm64".to_owned()),
        _ => Err(format!("{host} is no platform that a bundle carries its program for")),
    }
}
