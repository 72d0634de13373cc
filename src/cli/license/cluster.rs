//! `bundle license install` and `status`: the licence in the cluster.

use std::path::PathBuf;

use clap::Args;

use super::{draw, remedy};
use crate::cli::bundle::{Folders, Trusted, advise, draw_findings};
use crate::cli::cluster::ClusterArgs;
use crate::cli::{Exit, Failure, Ui};
use crate::ops::license::cluster::{self, Change, InCluster, Request};
use crate::ops::license::told;
use crate::sys::clock;
use signing::Weight;

/// Where the licence is, and what it is held against.
#[derive(Debug, Args)]
struct Place {
    #[command(flatten)]
    bundle: Folders,
    #[command(flatten)]
    trusted: Trusted,
    /// Whose it must be (else whom its file in licenses/ is named after).
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Where the release is installed, when that is not where its charts say.
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// The secret it is kept in, under the key license.jwt (else RELEASE-license, which the chart reads).
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Put a licence into the cluster: a renewed one, without installing anything again.
///
/// It is judged first, by the policy of the bundle; one that is refused changes nothing (exit code 1). Pods see it within a minute or two.
#[derive(Debug, Args)]
pub(super) struct Install {
    /// The licence, when it is not the one in the bundle's licenses/.
    #[arg(long, value_name = "FILE")]
    license: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// Judge the licence that is in the cluster: whose, what it grants, and how many days are left.
///
/// Exit code 0 when it is valid, about to expire, or in its grace; 1 when it is refused, or there is none.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    place: Place,
}

impl Place {
    fn with(
        &self,
        ask: impl FnOnce(&Request<'_>) -> Result<InCluster, cluster::Error>,
    ) -> Result<InCluster, Failure> {
        let policy = self.trusted.policy()?;
        let state = super::super::bundle::state(&self.bundle.folders)?;
        Ok(ask(&Request {
            folders: &self.bundle.folders,
            policy: &policy,
            now: clock::now(),
            state: state.as_deref(),
            cluster: self.cluster.cluster(),
            namespace: self.namespace.as_deref(),
            secret: self.secret.as_deref(),
            customer: self.customer.as_deref(),
        })?)
    }
}

impl Install {
    pub(super) fn run(&self, ui: &Ui) -> Result<Exit, Failure> {
        let report = self.place.with(|request| cluster::install(request, self.license.as_deref()))?;
        Ok(tell(ui, &report))
    }
}

impl Status {
    pub(super) fn run(&self, ui: &Ui) -> Result<Exit, Failure> {
        let report = self.place.with(cluster::status)?;
        Ok(tell(ui, &report))
    }
}

fn tell(ui: &Ui, report: &InCluster) -> Exit {
    ui.answer(report, |page| {
        draw_findings(page, &report.findings);
        let Some(checked) = &report.checked else { return };
        draw(page, checked);
        let place = format!("secret {} in namespace {}", report.secret, report.namespace);
        match report.change {
            Change::Created => page.line(&format!("{place} was made")),
            Change::Changed => page.line(&format!("{place} was changed; what it held before is gone")),
            Change::Kept => page.line(&format!("{place} held it already; nothing was changed")),
            Change::Nothing if checked.ok => {}
            Change::Nothing => page.line("the cluster was not changed"),
        }
    });
    advise(ui, &report.findings);
    let Some(checked) = &report.checked else { return Exit::Refused };
    for verdict in &checked.verdicts {
        if ui.voice() == crate::cli::ui::Voice::Quiet && verdict.weight(Weight::Warn) == Weight::Refuse {
            ui.refuse(&format!("{}: {}", checked.file, told(verdict)));
        }
        if let Some(hint) = remedy(verdict) {
            ui.hint(hint);
        }
    }
    if checked.ok { Exit::Done } else { Exit::Refused }
}
