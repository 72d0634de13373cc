//! `bundle schema`: the JSON schema of `release.yaml`, for the project's own generators.

use std::sync::Arc;

use clap::Args;

use super::{Exit, Failure, Ui, Verb};

/// Print the JSON schema of release.yaml.
#[derive(Debug, Args)]
pub(super) struct Schema {}

impl Verb for Schema {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        ui.text(&crate::release::schema());
        Ok(Exit::Done)
    }
}
