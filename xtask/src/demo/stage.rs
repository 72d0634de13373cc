//! A folder to play in, and commands that are shown before they run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Outcome, cargo, say};

/// The folder, and the program under its user's name.
pub(super) struct Stage {
    folder: PathBuf,
    bundle: PathBuf,
}

impl Stage {
    /// Builds the program and replaces the folder `name` at the top level by an empty one.
    pub(super) fn set(name: &str) -> Result<Self, String> {
        say::line("building bundle ...");
        let bundle = cargo::build_bundle()?;
        let folder = cargo::root().join(name);
        if folder.exists() {
            // The last run left a read-only stick in it.
            let mut chmod = cargo::program("chmod");
            chmod.args(["-R", "u+w"]).arg(&folder);
            cargo::run(chmod)?;
            fs::remove_dir_all(&folder).map_err(|error| format!("{name}: {error}"))?;
        }
        let stage = Self { folder, bundle };
        stage.folder("vendor")?;
        stage.folder("customer")?;
        Ok(stage)
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    pub(super) fn folder(&self, path: &str) -> Outcome {
        fs::create_dir_all(self.path(path)).map_err(|error| format!("{path}: {error}"))
    }

    pub(super) fn write(&self, path: &str, content: &str) -> Outcome {
        fs::write(self.path(path), content).map_err(|error| format!("{path}: {error}"))
    }

    /// Shows and runs one command, which must succeed.
    pub(super) fn run(&self, line: &str) -> Outcome {
        self.expect(&self.folder, line, 0)
    }

    /// The same, in a folder below.
    pub(super) fn run_in(&self, folder: &str, line: &str) -> Outcome {
        say::line(&format!("\n$ cd {folder}"));
        self.expect(&self.path(folder), line, 0)
    }

    /// Shows and runs one command, which must refuse: exit code 1.
    pub(super) fn run_refused(&self, line: &str) -> Outcome {
        self.expect(&self.folder, line, 1)?;
        say::line("-> refused with exit code 1");
        Ok(())
    }

    /// The words of `line` are separated by single spaces; none has one in it.
    fn expect(&self, folder: &Path, line: &str, wanted: i32) -> Outcome {
        let mut words = line.split(' ');
        let program = words.next().unwrap_or("");
        say::line(&format!("\n$ {line}"));
        let mut command = match program {
            "bundle" => Command::new(&self.bundle),
            other => Command::new(other),
        };
        // Nobody is there to be asked for a passphrase.
        command.args(words).current_dir(folder).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            // What the user has set for real work has no place in a demonstration.
            if name.starts_with("BUNDLE_") || name.starts_with("CARGO_") {
                command.env_remove(name);
            }
        }
        command
            .env("DOCKER_CONFIG", self.path("no-docker-config"))
            .env("BUNDLE_STATE", self.path("customer/state"));
        let status = command.status().map_err(|error| format!("{program}: {error}"))?;
        match status.code() {
            Some(code) if code == wanted => Ok(()),
            _ => Err(format!("`{line}` ended with {status}; {wanted} was expected")),
        }
    }
}
