//! `bundle relocate`.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::{Exit, Failure, Ui, Verb};
use crate::limits;
use crate::oci::Reference;
use crate::ops::relocate::{self, Request};

/// Point rendered manifests to the customer's registry: a filter, stdin to stdout, and Helm's post-renderer.
///
/// Every reference that the mapping has, whole or as a word of an argument, a variable or a text in a text, becomes
/// REGISTRY/PATH:TAG@DIGEST; every other byte stays. A reference that the mapping does not have is an error that names it, and nothing
/// comes out. Running it again changes nothing.
///
/// With Helm 3: helm install … --post-renderer bundle --post-renderer-args relocate,--mapping,F. Helm 3 gives a post-renderer no
/// hooks, and --post-renderer-args takes one word at a time: repeat it. With Helm 4, which takes only plugins:
/// bundle relocate --helm-plugin DIR --mapping F writes one; then helm plugin install DIR and
/// helm install … --post-renderer bundle-relocate.
#[derive(Debug, Args)]
pub(super) struct Relocate {
    /// What `bundle load --mapping` wrote; also BUNDLE_MAPPING.
    #[arg(long, value_name = "FILE", env = "BUNDLE_MAPPING", hide_env = true)]
    mapping: PathBuf,
    /// A reference that may stay as it is, as in ignore-images. Repeatable.
    #[arg(long, value_name = "REFERENCE")]
    ignore: Vec<Reference>,
    /// Show what would change instead.
    #[arg(long)]
    diff: bool,
}

impl Verb for Relocate {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let mut text = Vec::new();
        std::io::stdin()
            .lock()
            .take(limits::RENDERED_BYTES + 1)
            .read_to_end(&mut text)
            .map_err(|error| Failure::world("stdin", format!("the manifests cannot be read: {error}")))?;
        let request = Request { mapping: &self.mapping, ignored: &self.ignore, text: &text };
        let report = relocate::relocate(&request)?;
        for spot in &report.left {
            ui.warn(&format!(
                "{spot}: this may be a reference; the mapping does not have it, and it was left"
            ));
        }
        ui.text(if self.diff { &report.diff } else { &report.text });
        Ok(Exit::Done)
    }
}
