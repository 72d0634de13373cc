//! `bundle diagnose`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::cluster::ClusterArgs;
use super::preflight::Told;
use super::registry::RegistryArgs;
use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::ops::diagnose::{self, Report};
use crate::ops::{keys, preflight};
use crate::plan::mapping::Mapping;
use crate::plan::redact::Kind;
use crate::sys::clock;

/// Collect what support needs to see of an installation into one file: states, events, logs, values, versions, use of resources.
///
/// The cluster is only read. Secrets, tokens, private keys, e-mail and IP addresses are taken out; an address becomes a name that is the
/// same everywhere. index.html in it shows what stands how and what was taken out: look at it before you send it.
#[derive(Debug, Args)]
pub(super) struct Diagnose {
    /// The bundle: a preflight of it is put in too.
    #[arg(value_name = "DIR", requires = "trust")]
    bundle: Option<PathBuf>,
    /// Your trust policy, for that.
    #[arg(long, value_name = "POLICY", env = "BUNDLE_TRUST", hide_env_values = true)]
    trust: Option<PathBuf>,
    /// The registry, for that: HOST[:PORT][/PREFIX].
    #[arg(long, value_name = "HOST/PREFIX", env = "BUNDLE_REGISTRY", hide_env_values = true)]
    registry: Option<String>,
    /// Where to write it (.tar.zst); nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A namespace to look at, when it is not where this program installed something. Repeatable.
    #[arg(long, short, value_name = "NAME")]
    namespace: Vec<String>,
    /// Leave this in. Repeatable.
    #[arg(long, value_name = "WHAT")]
    keep: Vec<Keep>,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    how: RegistryArgs,
}

/// What may be left in.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Keep {
    /// E-mail addresses.
    Email,
    /// IP addresses.
    Ip,
}

impl Verb for Diagnose {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let preflight = self.preflight(ui)?;
        let reports: Vec<(&str, serde_json::Value)> =
            preflight.into_iter().map(|report| ("preflight.json", report)).collect();
        let state = super::bundle::state(self.bundle.as_slice())?;
        let keep = self.keep.iter().map(|keep| match keep {
            Keep::Email => Kind::Email,
            Keep::Ip => Kind::Ip,
        });
        let report = diagnose::diagnose(&diagnose::Request {
            cluster: self.cluster.cluster(),
            namespaces: &self.namespace,
            reports: &reports,
            keep: keep.collect(),
            state: state.as_deref(),
            out: &self.out,
        })?;
        ui.answer(&report, |page| draw(page, &report));
        ui.hint("look at its index.html before you send it: tar --zstd -xf FILE; what no pattern knows may still be in it");
        Ok(Exit::Done)
    }

    fn when_stopped(&self) -> String {
        "Nothing was written, and the cluster was only read.".to_owned()
    }
}

impl Diagnose {
    /// What a preflight says; a bundle that cannot be opened is told, and does not keep the rest from being collected.
    fn preflight(&self, ui: &Arc<Ui>) -> Result<Option<serde_json::Value>, Failure> {
        let (Some(folder), Some(trust)) = (&self.bundle, &self.trust) else { return Ok(None) };
        super::bundle::outside(&self.out, std::slice::from_ref(folder))?;
        let mapping = self.registry.as_deref().map(|place| Mapping::new(place, &[], false)).transpose()?;
        let policy = keys::policy(trust)?;
        let state = super::bundle::state(std::slice::from_ref(folder))?;
        let observer = ui.observer();
        let client = self.how.client(&observer)?;
        let request = preflight::Request {
            folders: std::slice::from_ref(folder),
            policy: &policy,
            now: clock::now(),
            state: state.as_deref(),
            allow_downgrade: true,
            mapping: mapping.as_ref(),
            cluster: self.cluster.cluster(),
            namespace: self.namespace.first().map(String::as_str),
            storage_class: None,
            ingress_class: None,
            postgres: None,
            customer: None,
        };
        Ok(match preflight::preflight(&request, &client) {
            Ok(report) => serde_json::to_value(Told::all(&report)).ok(),
            Err(error) => {
                ui.warn(&format!("the bundle was not checked: {error}"));
                Some(serde_json::json!({"error": error.to_string()}))
            }
        })
    }
}

fn draw(page: &mut Page, report: &Report) {
    let paint = page.paint();
    page.title(&format!("Diagnosis of {}: {}", report.namespaces.join(", "), report.file.display()));
    let logs = report.files.iter().filter(|file| file.path.ends_with(".log")).count();
    let times: u64 = report.taken.iter().map(|taken| taken.count).sum();
    page.rows(&[
        ("files", format!("{}, {logs} of them logs; {} packed", report.files.len(), ByteSize(report.bytes))),
        ("taken out", format!("{} things in {times} places; redactions.json lists them", report.taken.len())),
    ]);
    for missing in &report.missing {
        page.labelled(&paint.yellow("not had"), &format!("{}: {}", missing.what, missing.why));
    }
    if !report.kept.is_empty() {
        let kept: Vec<String> = report.kept.iter().map(|kind| format!("{kind:?}")).collect();
        page.labelled(&paint.yellow("left in"), &format!("{}, because that was asked for", kept.join(", ")));
    }
    page.painted(&format!("{}: written", paint.green("OK")));
}
