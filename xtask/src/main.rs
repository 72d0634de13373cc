//! `cargo xtask <task>`: the project's own tasks.

mod bench;
mod cargo;
mod ci;
mod cluster_task;
mod codegen;
mod demo;
mod dist;
mod e2e;
mod elf;
mod housekeeping;
mod say;
mod setup;
mod test;

use std::process::ExitCode;

/// What a task comes to; the error is what people read.
type Outcome = Result<(), String>;

const USAGE: &str = "\
cargo xtask <task>

  demo                both sides of a delivery, on this machine, in ./demo
  setup               install what the tests need and is missing, with apt-get and npm
  test [ARGS]         setup, then all tests; ARGS go to `cargo test`
  tidy                check the house rules that no compiler checks
  codegen [--check]   write what is generated, or fail when it is stale
  bench [--quick]     how fast the release binary is; writes docs/benchmarks.md unless quick
  bench charts        the part about a release of many charts alone; writes nothing
  cluster up|down     a real Kubernetes on this machine, as root; up prints its kubeconfig
  e2e                 a whole delivery, as root: bundles, a registry and a cluster without a route, from the installation to the end
  screens             an installation at a terminal, as root, on a cluster; writes docs/screens.md
  dist [--check]      build the static release binary and check that it is static; with --check it also travels in a
                      bundle, and from there verifies and loads that bundle with nothing else around it
  ci                  everything that must hold before a change is taken
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["setup"] => setup::run(),
        ["test", rest @ ..] => test::run(rest),
        ["tidy"] => housekeeping::run(),
        ["codegen"] => codegen::run(codegen::Mode::Write),
        ["codegen", "--check"] => codegen::run(codegen::Mode::Check),
        ["demo"] => demo::run(),
        ["bench"] => bench::run(bench::Part::All),
        ["bench", "--quick"] => bench::run(bench::Part::Quick),
        ["bench", "charts"] => bench::run(bench::Part::Charts),
        ["cluster", "up"] => cluster_task::up(),
        ["cluster", "down"] => cluster_task::down(),
        ["e2e"] => e2e::run(e2e::Way::Whole),
        ["screens"] => e2e::run(e2e::Way::Screens),
        // The halves that run in a network namespace.
        ["e2e-operator", folder, bundle] => e2e::operate(e2e::Way::Whole, folder, bundle),
        ["screens-operator", folder, bundle] => e2e::operate(e2e::Way::Screens, folder, bundle),
        ["dist"] => dist::run(dist::Then::Done),
        ["dist", "--check"] => dist::run(dist::Then::Travel),
        ["ci"] => ci::run(),
        [] | ["help" | "--help" | "-h"] => {
            say::line(USAGE.trim_end());
            return ExitCode::SUCCESS;
        }
        _ => {
            say::problem(&format!("no such task: {}\n\n{}", arguments.join(" "), USAGE.trim_end()));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            if !why.is_empty() {
                say::problem(&format!("error: {why}"));
            }
            ExitCode::FAILURE
        }
    }
}
