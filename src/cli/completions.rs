//! `bundle completions`: what a shell needs to complete commands and options.

use std::sync::Arc;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Exit, Failure, Ui, Verb};

/// Print what a shell needs to complete commands and options.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell.
    shell: Shell,
}

impl Verb for Completions {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "bundle", &mut script);
        ui.text(&String::from_utf8_lossy(&script));
        Ok(Exit::Done)
    }
}
