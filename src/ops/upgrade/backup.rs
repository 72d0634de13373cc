//! The vendor's backup script, run before an upgrade changes anything, and what it said and wrote kept.
//!
//! The script's bytes are those that were signed. It gets a folder of its own to write into and learns what it needs from its environment;
//! `docs/release-yaml.md` lists the variables. What it ends with decides: without a backup, nothing is upgraded.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use semver::Version;
use serde::Serialize;

use crate::limits;
use crate::ops::cluster::{self, Reach};
use crate::ops::open::Authenticated;
use crate::plan::installed::Record;
use crate::sys::{clock, environment, fs};
use crate::tools::{ProcessError, Run};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The script cannot be read, or is not the one that was signed.
    #[error(transparent)]
    Script(#[from] cluster::Error),
    /// Its folder cannot be made, or what it said not be kept.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// It could not be run, or had to be ended.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It says that there is none.
    #[error("the backup script {}: {words}", code.map_or_else(|| "was ended by a signal".to_owned(), |code| format!("ended with exit code {code}")))]
    Failed {
        /// Its exit code.
        code: Option<i32>,
        /// The last it said.
        words: String,
        /// Where all that it said is.
        log: PathBuf,
    },
}

/// Whether there is a backup script, and whether it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// The release has none.
    #[default]
    None,
    /// It is run.
    Run,
    /// The operator said that it is not to be run.
    Skipped,
    /// An earlier attempt at this very upgrade had it run.
    Before,
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The folder that it wrote into.
    pub folder: PathBuf,
    /// What it said.
    pub log: PathBuf,
}

/// Runs the backup script of `bundle`, if it has one. `folder` is where backups are kept; each gets a folder of its own.
///
/// # Errors
/// [`Error`]: there is no backup then.
pub fn run(
    bundle: &Authenticated,
    from: &Record,
    (folder, reach): (&Path, &Reach),
    stop: &AtomicBool,
) -> Result<Option<Kept>, Error> {
    let index = bundle.index.get();
    let Some(path) = index.install.as_ref().and_then(|install| install.backup.as_ref()) else {
        return Ok(None);
    };
    let script = cluster::listed(bundle, path)?;
    let own = folder.join(name(from, &index.release.version));
    // Dumps hold what the database holds.
    fs::private_folder_of(&own.join("x"))?;
    let own = std::path::absolute(&own).map_err(|source| fs::Error::Io { path: own.clone(), source })?;
    let file = own.join(path.name());
    fs::write(&file, &script, fs::PRIVATE)?;
    let (program, mut arguments) = interpreter(&script);
    arguments.push(file.into_os_string());
    let run = Run {
        program: &program,
        arguments,
        environment: variables(from, &index.release.version, &own, reach),
        folder: &own,
        patience: Duration::from_secs(limits::BACKUP_SILENCE_SECONDS),
        input: &[],
        stop: Some(stop),
        held: reach.helm.held(),
    };
    let ended = run.run()?;
    let log = own.join("backup.log");
    fs::write(&log, &[ended.stdout.as_slice(), &ended.stderr].concat(), fs::PRIVATE)?;
    if ended.code != Some(0) {
        let said = String::from_utf8_lossy(&ended.stderr);
        let last: Vec<&str> = said.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        let words = last
            .into_iter()
            .rev()
            .map(|line| crate::text::printable(line, 300))
            .collect::<Vec<_>>()
            .join("\n  ");
        let words = if words.is_empty() { "it said nothing".to_owned() } else { words };
        return Err(Error::Failed { code: ended.code, words, log });
    }
    Ok(Some(Kept { folder: own, log }))
}

/// The name of a backup's folder: release, versions, and when.
fn name(from: &Record, to: &Version) -> String {
    let at = clock::now().unwrap_or_default();
    format!("{}-{}-to-{to}-{at}", from.release.name, from.release.version)
}

/// What runs a script: what its first line says, else the shell. The medium it lies on may allow nothing to be run from it.
fn interpreter(script: &[u8]) -> (PathBuf, Vec<OsString>) {
    let first = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = first.strip_prefix(b"#!").map(String::from_utf8_lossy).unwrap_or_default();
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or("/bin/sh");
    (PathBuf::from(program), words.map(OsString::from).collect())
}

/// Its environment: the user's own, and what it has to know.
fn variables(from: &Record, to: &Version, own: &Path, reach: &Reach) -> Vec<(OsString, OsString)> {
    // Our own variables may hold a passphrase.
    let ours = |name: &OsString| name.to_string_lossy().starts_with("BUNDLE_");
    let mut all: Vec<(OsString, OsString)> =
        environment::all().into_iter().filter(|(name, _)| !ours(name) && name != "PATH").collect();
    // The kubectl that was found may be the one that the bundle carries.
    let mut path = reach.kubectl.program().parent().map(Path::as_os_str).unwrap_or_default().to_owned();
    if let Some(rest) = environment::path("PATH") {
        path.push(":");
        path.push(rest);
    }
    all.push(("PATH".into(), path));
    if let Some(kubeconfig) = &reach.kubectl.cluster().kubeconfig {
        let absolute = std::path::absolute(kubeconfig).unwrap_or_else(|_| kubeconfig.clone());
        all.retain(|(name, _)| name != "KUBECONFIG");
        all.push(("KUBECONFIG".into(), absolute.into_os_string()));
    }
    let helm = from.charts.first().map(|chart| chart.release.clone()).unwrap_or_default();
    for (name, value) in [
        ("BUNDLE_OUT", own.as_os_str().to_owned()),
        ("BUNDLE_NAMESPACE", from.namespace.clone().into()),
        ("BUNDLE_RELEASE", helm.into()),
        ("BUNDLE_FROM", from.release.version.to_string().into()),
        ("BUNDLE_TO", to.to_string().into()),
        ("BUNDLE_CONTEXT", reach.kubectl.cluster().context.clone().unwrap_or_default().into()),
    ] {
        all.push((name.into(), value));
    }
    for (variable, answer) in &from.answers {
        let text = answer.as_str().map_or_else(|| answer.to_string(), ToOwned::to_owned);
        all.push((format!("BUNDLE_ANSWER_{}", variable.to_uppercase()).into(), text.into()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_run_by_what_its_first_line_says() {
        for (script, program, arguments) in [
            ("#!/bin/sh\nexit 0\n", "/bin/sh", &[][..]),
            ("#! /usr/bin/env python3\n", "/usr/bin/env", &["python3"]),
            ("exit 0\n", "/bin/sh", &[]),
            ("", "/bin/sh", &[]),
            ("#!\n", "/bin/sh", &[]),
        ] {
            let (got, with) = interpreter(script.as_bytes());
            assert_eq!(got, Path::new(program), "{script}");
            assert_eq!(with, arguments.iter().map(OsString::from).collect::<Vec<_>>());
        }
    }
}
