//! Running cargo and other programs from the top level of the project.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;

/// The top level of the project.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// A program that will run at the top level.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// The cargo that runs this task.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = program(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.args(arguments);
    // `cargo run` describes this package to us; a cargo started from here finds out for itself.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
        command.env_remove(name);
    }
    command.env_remove("CARGO_MANIFEST_DIR");
    command
}

/// Runs it with its output passed on; a failure is an error.
pub(crate) fn run(mut command: Command) -> Outcome {
    let status = command.status().map_err(|error| format!("{}: {error}", name_of(&command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", name_of(&command))) }
}

/// Runs it and takes its stdout; a failure is an error with its stderr.
pub(crate) fn output(mut command: Command) -> Result<String, String> {
    command.stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("{}: {error}", name_of(&command)))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} failed: {}\n{}", name_of(&command), output.status, why.trim_end()));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| format!("{} printed something that is no text", name_of(&command)))
}

/// The program and its first argument, for messages.
fn name_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    match command.get_args().next() {
        Some(first) => format!("{program} {}", first.to_string_lossy()),
        None => program.into_owned(),
    }
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> Result<PathBuf, String> {
    let metadata = output(cargo(&["metadata", "--format-version=1", "--no-deps", "--offline"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let folder = metadata["target_directory"].as_str();
    folder.map(PathBuf::from).ok_or_else(|| "cargo metadata names no target_directory".to_owned())
}

/// Builds the program as it is being developed; returns where it is.
pub(crate) fn build_bundle() -> Result<PathBuf, String> {
    // The whole workspace, so that the features are those of the tests and nothing is built twice.
    run(cargo(&["build", "--quiet", "--workspace", "--bins"]))?;
    Ok(target_folder()?.join("debug/bundle"))
}

/// Builds the program as it is delivered; returns where it is.
pub(crate) fn build_release(name: &str) -> Result<PathBuf, String> {
    run(cargo(&["build", "--quiet", "--release", "--package", name, "--bin", name]))?;
    Ok(target_folder()?.join("release").join(name))
}
