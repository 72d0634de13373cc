//! `cargo xtask e2e`: a whole delivery, from a vendor's registry to pods that run, are upgraded, survive a broken upgrade, are brought back,
//! and go.
//!
//! The operator's half runs in a network namespace that has loopback and no route: its own registry, its own cluster, and the bundles are all
//! there is. What is cut is a small product with images that stand in; every step is the user's own command. `cargo xtask screens` goes the
//! first part of it in a terminal, and writes what a person sees into the documentation.

mod operator;
mod screens;
mod vendor;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use xtask::cluster::{self, Extent, Site};
use xtask::registry::{Config, Server};
use xtask::tools;

use crate::{Outcome, cargo, say, setup};

/// What the operator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// All, by commands.
    Whole,
    /// The installation, at a terminal.
    Screens,
}

/// The vendor's half, then the operator's in a namespace without a route.
pub(crate) fn run(way: Way) -> Outcome {
    setup::run()?;
    let program = cargo::build_bundle()?;
    let begun = Instant::now();
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let desk = Desk { folder: folder.path(), program: &program };
    vendor::cut(&desk)?;
    let name = format!("bundle-e2e-{}", std::process::id());
    let ip = |arguments: &[&str]| {
        let mut ip = cargo::program("ip");
        ip.args(arguments);
        cargo::run(ip)
    };
    ip(&["netns", "add", &name])?;
    let inside = operate_in(&name, &desk, way);
    let gone = ip(&["netns", "delete", &name]);
    inside.and(gone)?;
    if way == Way::Screens {
        return screens::write(folder.path());
    }
    say::line(&format!("e2e: the whole way took {:.0} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

fn operate_in(name: &str, desk: &Desk<'_>, way: Way) -> Outcome {
    let enter = format!("--net=/run/netns/{name}");
    let mut loopback = cargo::program("nsenter");
    loopback.args([&enter, "ip", "link", "set", "lo", "up"]);
    cargo::run(loopback)?;
    // Not the running file: building the program may have replaced it.
    let own = cargo::target_folder()?.join("debug/xtask");
    let mut inside = cargo::program("nsenter");
    let task = if way == Way::Whole { "e2e-operator" } else { "screens-operator" };
    inside.arg(&enter).arg(own).arg(task).arg(desk.folder).arg(desk.program);
    cargo::run(inside)
}

/// The operator, where nothing but this machine can be reached.
pub(crate) fn operate(way: Way, folder: &str, program: &str) -> Outcome {
    let (folder, program) = (PathBuf::from(folder), PathBuf::from(program));
    let desk = Desk { folder: &folder, program: &program };
    say::heading("The operator, without a route");
    let registry = Server::start(Config::default()).map_err(|error| error.to_string())?;
    let site = Site::at(folder.join("cluster"), "bundle-e2e", Extent::Whole);
    let outcome = cluster::up(&site, &|line| say::line(line)).and_then(|kubeconfig| {
        fs::write(folder.join("kubeconfig"), fs::read(kubeconfig).map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())?;
        match way {
            Way::Whole => operator::steps(&desk, &registry.host()),
            Way::Screens => screens::take(&desk, &registry.host()),
        }
    });
    let down = cluster::down(&site, &|line| say::line(line));
    outcome.and(down)
}

/// A folder with everything of one delivery, and the program that is tried.
struct Desk<'a> {
    folder: &'a Path,
    program: &'a Path,
}

impl Desk<'_> {
    /// Shows and runs one command of the program, which must succeed.
    fn run(&self, line: &str) -> Outcome {
        self.ends(0, line)
    }

    /// Shows and runs one command of the program, which must end with `code`.
    fn ends(&self, code: i32, line: &str) -> Outcome {
        say::line(&format!("\n$ bundle {line}"));
        let status = self.command(line)?.status().map_err(|error| error.to_string())?;
        if status.code() == Some(code) {
            return Ok(());
        }
        Err(format!("bundle {line}: {status}, and not exit code {code}"))
    }

    /// One command of the program, in this folder, with nothing of this machine's settings.
    fn command(&self, line: &str) -> Result<Command, String> {
        let mut command = Command::new(self.program);
        command.args(line.split(' ')).current_dir(self.folder).stdin(Stdio::null()).env_clear();
        command.env("HOME", self.folder).env("KUBECONFIG", self.folder.join("kubeconfig"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("BUNDLE_KUBECTL", tools::kubectl()?).env("BUNDLE_HELM", tools::helm4()?);
        Ok(command)
    }

    /// What kubectl says.
    fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(tools::kubectl()?);
        command.args(arguments).env("KUBECONFIG", self.folder.join("kubeconfig")).env("HOME", self.folder);
        cargo::output(command)
    }
}
