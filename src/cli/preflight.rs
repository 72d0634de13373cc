//! `bundle preflight`.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use signing::{KeyId, Weight};

use super::bundle::{Folders, Trusted};
use super::cluster::ClusterArgs;
use super::registry::RegistryArgs;
use super::ui::{Page, Voice};
use super::{Exit, Failure, Ui, Verb};
use crate::bundle::index::Release;
use crate::ops::preflight::{self, Report};
use crate::plan::mapping::Mapping;
use crate::plan::preflight::{Area, Check};
use crate::sys::clock;

pub(super) mod remedy;
mod words;

pub(super) use remedy::cluster as cluster_remedy;
use remedy::remedy;
use words::words;

/// Check whether this bundle can be loaded and installed here: licence, registry, cluster, nodes, database, clocks.
///
/// Nothing is changed. A throw-away blob is put into the registry and removed again. Everything wrong is named with its remedy; exit
/// code 1 when something would refuse the installation.
#[derive(Debug, Args)]
pub(super) struct Preflight {
    #[command(flatten)]
    bundle: Folders,
    #[command(flatten)]
    trusted: Trusted,
    /// The registry it is loaded into: HOST[:PORT][/PREFIX].
    #[arg(long, value_name = "HOST/PREFIX", env = "BUNDLE_REGISTRY", hide_env_values = true)]
    registry: Option<String>,
    /// As for load: put what is named FROM… under TO…. Repeatable.
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<String>,
    /// As for load: fold paths into one name.
    #[arg(long)]
    flatten: bool,
    /// Where it is installed, when that is not where its charts say.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// The storage class that will be used, when it is not the default one.
    #[arg(long, value_name = "NAME")]
    storage_class: Option<String>,
    /// The ingress class that will be used.
    #[arg(long, value_name = "NAME")]
    ingress_class: Option<String>,
    /// A database outside the cluster that will be used.
    #[arg(long, value_name = "HOST[:PORT]")]
    postgres: Option<String>,
    /// Whose licence it must be, when that is not whose name its file has.
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    how: RegistryArgs,
}

/// A check with what to do about it.
#[derive(Serialize)]
pub(super) struct Told<'a> {
    #[serde(flatten)]
    check: &'a Check,
    /// The line that people read.
    words: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// The report, each check in words too.
#[derive(Serialize)]
struct Answer<'a> {
    ok: bool,
    release: &'a Option<Release>,
    signers: &'a [KeyId],
    checks: Vec<Told<'a>>,
}

impl Verb for Preflight {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let mapping =
            self.registry.as_deref().map(|place| Mapping::new(place, &self.map, self.flatten)).transpose()?;
        let policy = self.trusted.policy()?;
        let state = super::bundle::state(&self.bundle.folders)?;
        let observer = ui.observer();
        let client = self.how.client(&observer)?;
        let request = preflight::Request {
            folders: &self.bundle.folders,
            policy: &policy,
            now: clock::now(),
            state: state.as_deref(),
            allow_downgrade: self.trusted.allow_downgrade,
            mapping: mapping.as_ref(),
            cluster: self.cluster.cluster(),
            namespace: self.namespace.as_deref(),
            storage_class: self.storage_class.as_deref(),
            ingress_class: self.ingress_class.as_deref(),
            postgres: self.postgres.as_deref(),
            customer: self.customer.as_deref(),
        };
        let report = preflight::preflight(&request, &client)?;
        ui.answer(&answer(&report), |page| draw(page, &report));
        if ui.voice() == Voice::Quiet {
            for check in report.checks.iter().filter(|check| check.weight == Weight::Refuse) {
                ui.refuse(&words(&check.seen));
            }
        }
        Ok(if report.ok { Exit::Done } else { Exit::Refused })
    }

    fn when_stopped(&self) -> String {
        "Nothing was changed. A throw-away blob may be in the registry; no image refers to it, and its garbage collection removes it."
            .to_owned()
    }
}

impl<'a> Told<'a> {
    /// Every check of a report.
    pub(super) fn all(report: &'a Report) -> Vec<Self> {
        let told = |check| Told { check, words: words(&check.seen), remedy: remedy(check) };
        report.checks.iter().map(told).collect()
    }
}

fn answer(report: &Report) -> Answer<'_> {
    let Report { ok, release, signers, .. } = report;
    Answer { ok: *ok, release, signers, checks: Told::all(report) }
}

fn draw(page: &mut Page, report: &Report) {
    let paint = page.paint();
    let name = match &report.release {
        Some(release) => format!("{} {}, by {}", release.name, release.version, release.vendor),
        None => "This bundle".to_owned(),
    };
    page.title(&name);
    for area in [
        Area::Bundle,
        Area::Licence,
        Area::Registry,
        Area::Cluster,
        Area::Nodes,
        Area::Database,
        Area::Machine,
    ] {
        let mut checks: Vec<&Check> = report.checks.iter().filter(|check| check.area == area).collect();
        if checks.is_empty() {
            continue;
        }
        checks.sort_by_key(|check| std::cmp::Reverse(check.weight));
        page.gap();
        page.line(heading(area));
        for check in checks {
            let label = match check.weight {
                Weight::Refuse => paint.red("refused"),
                Weight::Warn => paint.yellow("warning"),
                Weight::Ignore => paint.green("fine"),
            };
            page.labelled(&label, &words(&check.seen));
            if let Some(remedy) = remedy(check) {
                page.labelled(&paint.dim("  do"), &remedy);
            }
        }
    }
    page.gap();
    let count = |weight| report.checks.iter().filter(|check| check.weight == weight).count();
    page.painted(&match (report.ok, count(Weight::Refuse), count(Weight::Warn)) {
        (true, _, 0) => format!("{}: nothing is in the way of an installation", paint.green("OK")),
        (true, _, warnings) => format!("{}: nothing refuses; {warnings} to look at", paint.green("OK")),
        (false, refused, _) => format!("{}: {refused} in the way of an installation", paint.red("REFUSED")),
    });
}

fn heading(area: Area) -> &'static str {
    match area {
        Area::Bundle => "Bundle",
        Area::Licence => "Licence",
        Area::Registry => "Registry",
        Area::Cluster => "Cluster",
        Area::Nodes => "Nodes",
        Area::Database => "Database",
        Area::Machine => "This machine",
    }
}
