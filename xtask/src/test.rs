//! `cargo xtask test`: every test of every package, and one line that sums them up.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use xtask::cluster::{self, Site};

use crate::{Outcome, cargo, say, setup};

/// How many tests passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

pub(crate) fn run(arguments: &[&str]) -> Outcome {
    setup::run()?;
    let count = all(arguments)?;
    say::line(&count.to_string());
    if count.failed == 0 { Ok(()) } else { Err(String::new()) }
}

/// Runs the tests; a cluster that they started, and that was not there before, is ended.
pub(crate) fn all(arguments: &[&str]) -> Result<Count, String> {
    let site = Site::shared()?;
    let there = cluster::runs(&site);
    let count = tests(arguments);
    if !there {
        cluster::down(&site, &|line| say::line(line))?;
    }
    count
}

/// When cargo fails without a failed test (it did not compile), that counts as one.
fn tests(arguments: &[&str]) -> Result<Count, String> {
    let mut command = cargo::cargo(&["test", "--workspace", "--no-fail-fast"]);
    command.args(arguments);
    let (mut count, succeeded) = counted(command)?;
    if !succeeded && count.failed == 0 {
        count.failed = 1;
    }
    Ok(count)
}

/// Passes stdout on line by line, and adds up what libtest says.
fn counted(mut command: Command) -> Result<(Count, bool), String> {
    let error = |error: std::io::Error| format!("cargo test: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(error)?;
    let mut count = Count::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = String::from_utf8_lossy(&line.map_err(error)?).into_owned();
            say::line(&line);
            if let Some(rest) = line.split_once("test result: ").map(|(_, rest)| rest) {
                count.passed += number_before(rest, " passed");
                count.failed += number_before(rest, " failed");
            }
        }
    }
    let status = child.wait().map_err(error)?;
    Ok((count, status.success()))
}

/// `17` of `ok. 17 passed; 0 failed; …`.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split_once(word).map_or("", |(before, _)| before);
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_as_libtest_prints_them() {
        let line = "FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.02s";
        assert_eq!((number_before(line, " passed"), number_before(line, " failed")), (12, 3));
        assert_eq!(number_before("something else", " passed"), 0);
    }
}
