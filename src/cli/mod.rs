//! The face: arguments in, one verb of [`ops`](crate::ops) called, its report told.
//!
//! The only part that talks to people: it prints (through [`ui::Ui`] alone), asks for passphrases, gives advice and picks exit codes.
//! It decides nothing about content; what a verb finds is in the verb's report.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

mod build;
mod bundle;
mod cluster;
mod completions;
mod copy;
mod diagnose;
mod diff;
mod exit;
mod export;
mod failure;
mod global;
mod grant;
mod inspect;
mod install;
mod installed;
mod interrupt;
mod keygen;
mod license;
mod load;
mod lock;
mod man;
mod parts;
mod preflight;
mod progress;
mod registry;
mod relocate;
mod repair;
mod schema;
mod secrets;
mod serve;
mod sign;
mod trust;
mod ui;
mod upgrade;
mod verify;

use exit::Exit;
use failure::Failure;
use interrupt::Ending;
use ui::Ui;

/// Releases for places without internet, as one signed, sealed folder.
///
/// The release engineer locks, builds, signs and grants; the operator verifies and loads. Exit codes: 0 done, 1 refused
/// (signature, damage, policy), 2 usage, 3 the world failed (disk, network, registry), 4 interrupted.
#[derive(Debug, Parser)]
#[command(name = "bundle", version, propagate_version = true, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: global::Global,
    #[command(subcommand)]
    command: Command,
}

/// The verbs, in the order in which they are met.
#[derive(Debug, Subcommand)]
enum Command {
    Keygen(keygen::Keygen),
    Trust(trust::Trust),
    Lock(lock::Lock),
    Build(build::Build),
    Sign(sign::Sign),
    Grant(grant::Grant),
    Inspect(inspect::Inspect),
    Diff(diff::Diff),
    Verify(verify::Verify),
    Repair(repair::Repair),
    Parts(parts::Parts),
    Load(load::Load),
    Serve(serve::Serve),
    Export(export::Export),
    Copy(copy::Copy),
    Relocate(relocate::Relocate),
    Preflight(preflight::Preflight),
    Diagnose(diagnose::Diagnose),
    License(license::License),
    Install(Box<install::Install>),
    Upgrade(Box<upgrade::Upgrade>),
    Status(installed::Status),
    Rollback(installed::Rollback),
    Uninstall(installed::Uninstall),
    Completions(completions::Completions),
    Man(man::Man),
    #[command(hide = true)]
    Schema(schema::Schema),
}

/// What every verb's arguments can do.
trait Verb {
    /// Does it, and tells the outcome.
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure>;

    /// What state things are in, and how to go on, when it is stopped or fails half-way.
    fn when_stopped(&self) -> String {
        "Nothing was changed.".to_owned()
    }

    /// How it is asked to end by itself, when ending is what it waits for.
    fn stop(&self) -> Option<Ending> {
        None
    }
}

impl Command {
    fn verb(&self) -> &dyn Verb {
        match self {
            Self::Keygen(verb) => verb,
            Self::Trust(verb) => verb,
            Self::Lock(verb) => verb,
            Self::Build(verb) => verb,
            Self::Sign(verb) => verb,
            Self::Grant(verb) => verb,
            Self::Inspect(verb) => verb,
            Self::Diff(verb) => verb,
            Self::Verify(verb) => verb,
            Self::Repair(verb) => verb,
            Self::Parts(verb) => verb,
            Self::Load(verb) => verb,
            Self::Serve(verb) => verb,
            Self::Export(verb) => verb,
            Self::Copy(verb) => verb,
            Self::Relocate(verb) => verb,
            Self::Preflight(verb) => verb,
            Self::Diagnose(verb) => verb,
            Self::License(verb) => verb,
            Self::Install(verb) => verb.as_ref(),
            Self::Upgrade(verb) => verb.as_ref(),
            Self::Status(verb) => verb,
            Self::Rollback(verb) => verb,
            Self::Uninstall(verb) => verb,
            Self::Completions(verb) => verb,
            Self::Man(verb) => verb,
            Self::Schema(verb) => verb,
        }
    }
}

/// The whole program: reads the arguments and the environment, gives the exit code.
#[must_use]
pub fn run() -> ExitCode {
    let early = global::Early::read();
    let parsed = Cli::command()
        .color(early.clap_colour())
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return early.usage(&error).code(),
    };
    let ui = Arc::new(Ui::new(&cli.global));
    let verb = cli.command.verb();
    interrupt::watch(&ui, verb.when_stopped(), verb.stop());
    let exit = verb.run(&ui).unwrap_or_else(|failure| {
        let exit = failure.exit();
        ui.fail(&failure.or_state(&verb.when_stopped()));
        exit
    });
    ui.finish(exit).code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_commands_holds_together() {
        Cli::command().debug_assert();
    }
}
