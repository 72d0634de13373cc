//! The one place where tasks talk.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tasks are for people at a terminal and for CI logs"
)]

use std::io::Write;

/// A line on stdout, at once, so that it keeps its place among the lines of child processes.
pub(crate) fn line(text: &str) {
    println!("{text}");
    // A reader that left takes nothing away from the task.
    drop(std::io::stdout().flush());
}

/// A heading before a stretch of work.
pub(crate) fn heading(text: &str) {
    line(&format!("\n== {text}"));
}

/// What went wrong, on stderr.
pub(crate) fn problem(text: &str) {
    eprintln!("{text}");
}
