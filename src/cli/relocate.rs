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
/// Helm 3 runs it as it is: --post-renderer bundle, and --post-renderer-args once for each of relocate, --mapping and FILE. It hands
/// hooks to no post-renderer, so their images stay as they are. Helm 4 hands hooks over too, and takes only plugins:
/// bundle relocate --mapping FILE --helm-plugin DIR writes one; after helm plugin install DIR it is --post-renderer bundle-relocate.
#[derive(Debug, Args)]
pub(super) struct Relocate {
    #[arg(long, value_name = "FILE", env = "BUNDLE_MAPPING", hide_env = true)]
    #[arg(help = "What bundle load --mapping wrote (else BUNDLE_MAPPING)")]
    mapping: PathBuf,
    /// A reference that may stay as it is, as in ignore-images. Repeatable.
    #[arg(long, value_name = "REFERENCE")]
    ignore: Vec<Reference>,
    /// Show what would change instead.
    #[arg(long)]
    diff: bool,
    /// Read nothing; write a post-renderer plugin for Helm 4 into DIR, which runs this program with the same options.
    #[arg(long, value_name = "DIR", conflicts_with = "diff")]
    helm_plugin: Option<PathBuf>,
}

impl Verb for Relocate {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        if let Some(folder) = &self.helm_plugin {
            let name = relocate::plugin(folder, &self.mapping, &self.ignore)?;
            let folder = folder.display();
            ui.say(&format!("{folder}/plugin.yaml is written"));
            ui.hint(&format!("helm plugin install {folder}, then helm install … --post-renderer {name}"));
            return Ok(Exit::Done);
        }
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
