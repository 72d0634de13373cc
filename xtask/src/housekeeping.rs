//! `cargo xtask tidy`: reads the project's files and lists every broken house rule.

use std::fs;

use xtask::tidy::{self, Source};

use crate::{Outcome, cargo, say};

pub(crate) fn run() -> Outcome {
    let mut git = cargo::program("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let mut sources = Vec::new();
    for path in cargo::output(git)?.split('\0').filter(|path| !path.is_empty()) {
        let place = cargo::root().join(path);
        // Deleted, and git not told yet.
        let Ok(facts) = fs::symlink_metadata(&place) else { continue };
        let rust = facts.is_file() && path.ends_with(".rs");
        let text = if rust {
            Some(fs::read_to_string(&place).map_err(|error| format!("{path}: {error}"))?)
        } else {
            None
        };
        sources.push(Source { path: path.to_owned(), size: facts.len(), text });
    }
    let problems = tidy::check(&sources);
    for problem in &problems {
        say::line(&problem.to_string());
    }
    match problems.len() {
        0 => {
            say::line(&format!("tidy: {} files in order", sources.len()));
            Ok(())
        }
        count => Err(format!("tidy: {count} problems")),
    }
}
