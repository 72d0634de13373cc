//! `cargo xtask ci`: everything that must hold, in the order in which it is cheap to find out.

use std::time::Instant;

use crate::test::Count;
use crate::{Outcome, cargo, codegen, demo, e2e, housekeeping, say, setup, test};

pub(crate) fn run() -> Outcome {
    let mut count = Count::default();
    let outcome = steps(&mut count);
    if let Err(why) = &outcome {
        if !why.is_empty() {
            say::problem(&format!("error: {why}"));
        }
        // A step that failed is a failure even when every test that ran passed.
        count.failed = count.failed.max(1);
    }
    say::line(&count.to_string());
    outcome.map_err(|_| String::new())
}

fn steps(count: &mut Count) -> Outcome {
    timed("cargo fmt --check", || cargo::run(cargo::cargo(&["fmt", "--all", "--check"])))?;
    timed("cargo clippy", || {
        let arguments = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
        cargo::run(cargo::cargo(&arguments))
    })?;
    timed("cargo xtask tidy", housekeeping::run)?;
    timed("cargo xtask codegen --check", || codegen::run(codegen::Mode::Check))?;
    timed("cargo xtask setup", setup::run)?;
    timed("cargo test", || {
        *count = test::all(&[])?;
        if count.failed == 0 { Ok(()) } else { Err(String::new()) }
    })?;
    timed("cargo xtask e2e", || e2e::run(e2e::Way::Whole))?;
    timed("cargo xtask demo", demo::run)
}

fn timed(name: &str, step: impl FnOnce() -> Outcome) -> Outcome {
    say::heading(name);
    let start = Instant::now();
    let outcome = step();
    let word = if outcome.is_ok() { "done" } else { "FAILED" };
    say::line(&format!("-- {name}: {word} in {:.1} s", start.elapsed().as_secs_f64()));
    outcome
}
