//! `bundle status`, `bundle rollback`, `bundle uninstall`: what is installed already.

use std::sync::Arc;

use clap::Args;

use super::cluster::{ClusterArgs, Doing};
use super::interrupt::Ending;
use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::ops::cluster::{self, Reach};
use crate::ops::hold::{self, Subject};
use crate::ops::uninstall::Data;
use crate::ops::{rollback, status, uninstall};
use crate::plan::installed::{History, Record};
use crate::sys::clock;

/// Which installed release.
#[derive(Debug, Clone, Args)]
struct Which {
    /// The release's name, where several are installed.
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Its namespace; needed where this user may not look into all.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl Which {
    fn find(&self) -> Result<(Reach, History), Failure> {
        let reach = cluster::reach(None, self.cluster.cluster())?;
        let history = cluster::find(&reach.kubectl, self.release.as_deref(), self.namespace.as_deref())?;
        Ok((reach, history))
    }
}

/// What must be held while it is changed.
fn subject<'a>(history: &'a History, record: &'a Record) -> Subject<'a> {
    Subject { release: &record.release.name, namespace: &record.namespace, history, make_namespace: false }
}

/// Show what is installed: which release, from which bundle, signed by whom, its licence, and whether that is what runs.
///
/// Ends with 1 when something runs that was not signed, is not up, or was left half done.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    which: Which,
}

impl Verb for Status {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let (reach, history) = self.which.find()?;
        let report = status::status(&history, clock::now(), &reach)?;
        ui.answer(&report, |page| draw(page, &report));
        if let Some(left) = report.unfinished {
            ui.hint(&format!("revision {left} was begun and not ended: run the command again that was at work, and it goes on"));
        } else if !report.charts.is_empty() || !report.drift.is_empty() {
            ui.hint("bundle install with the same answers brings it back to what was signed");
        }
        Ok(if report.ok { Exit::Done } else { Exit::Refused })
    }
}

fn draw(page: &mut Page, report: &status::Report) {
    let paint = page.paint();
    let record = &report.record;
    page.title(&format!("{} {}, by {}", record.release.name, record.release.version, record.release.vendor));
    let mut rows = vec![
        ("revision", format!("{}, {}", record.revision, record.status.word())),
        ("namespace", record.namespace.clone()),
        ("registry", record.registry.place.clone()),
        ("bundle", record.bundle.index.to_string()),
        ("signed by", record.bundle.signers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    ];
    if let Some(license) = &record.license {
        let days = match report.license_days {
            Some(days @ ..0) => format!("expired {} days ago", -days),
            Some(days) => format!("{days} days left"),
            None => "the clock is not set".to_owned(),
        };
        rows.push((
            "licence",
            format!("{}, tier {}, until {}: {days}", license.customer, license.tier, license.expires),
        ));
    }
    page.rows(&rows);
    let lines: Vec<Vec<String>> = report
        .history
        .iter()
        .map(|line| {
            let ended = line.ended.map(|time| time.to_string()).unwrap_or_default();
            vec![line.revision.to_string(), line.version.to_string(), line.status.word().to_owned(), ended]
        })
        .collect();
    page.table(&["revision", "version", "status", "when"], &lines);
    for chart in &report.charts {
        let text = format!(
            "chart {} ({}): Helm has revision {}, {}; it was left at revision {}",
            chart.chart.name, chart.chart.release, chart.now, chart.status, chart.chart.revision
        );
        page.labelled(&paint.red("drift"), &text);
    }
    for one in &report.drift {
        let text =
            format!("{}, pod {}, container {} runs {}", one.workload, one.pod, one.container, one.image);
        page.labelled(&paint.red("drift"), &text);
    }
    for one in &report.waiting {
        page.labelled(&paint.yellow("not up"), &one.to_string());
    }
    page.painted(&match report.ok {
        true => format!("{}: what runs is what was signed", paint.green("OK")),
        false => format!("{}: what runs is not, or not wholly, what was signed", paint.red("DRIFT")),
    });
}

/// Bring the whole release back to an earlier revision: every chart, its values and its licence.
///
/// Without --to: back to what ran before, or, where an installation failed or was left half done, back to what still counts. Data is not
/// touched: what a later version did to a database stays done.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    #[command(flatten)]
    which: Which,
    /// To this revision, of those that bundle status lists.
    #[arg(long, value_name = "REVISION")]
    to: Option<u32>,
    #[command(flatten)]
    doing: Doing,
}

impl Verb for Rollback {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let (mut reach, history) = self.which.find()?;
        let way = rollback::way(&history, self.to).ok_or_else(|| {
            Failure::refused("nowhere_back", "there is no such revision to go back to")
                .hint("bundle status lists the revisions; one that never ran is none")
        })?;
        let from = way.from.map_or_else(
            || "nothing".to_owned(),
            |from| format!("revision {} ({}, {})", from.revision, from.release.version, from.status.word()),
        );
        let what = format!(
            "{}: from {from} to revision {} ({})",
            way.to.release.name, way.to.revision, way.to.release.version
        );
        if self.doing.dry_run {
            ui.answer(&serde_json::json!({"ok": true, "dry_run": true, "to": way.to.revision}), |page| {
                page.line(&format!("would go {what}"));
            });
            return Ok(Exit::Done);
        }
        if !self.doing.agreed(ui, "", &format!("Go back? {what}"))? {
            return Ok(Exit::Interrupted);
        }
        let observer = ui.observer();
        let patience = self.doing.begin(observer.as_ref());
        let held = hold::take(&subject(&history, way.to), &mut reach, &patience)?;
        let ended = rollback::rollback(&way, &history, &reach, &patience);
        drop(held);
        if let Some(fault) = &ended.fault {
            return Err(super::failure::acted(fault, &ended.left, &ended.record.release.name));
        }
        let record = &ended.record;
        ui.answer(&serde_json::json!({"ok": true, "record": record, "health": ended.health}), |page| {
            let paint = page.paint();
            page.painted(&format!("{}: {what}, as revision {}", paint.green("OK"), record.revision));
        });
        Ok(Exit::Done)
    }

    fn stop(&self) -> Option<Ending> {
        Some(self.doing.ending())
    }
}

/// Take an installed release away. Its data stays unless told otherwise.
///
/// Volume claims, the secrets that answers are kept in, and the namespace stay, so that it can be installed again with its data. Shows what
/// goes and what stays before anything does. Stopped at any moment, the same command goes on.
#[derive(Debug, Args)]
pub(super) struct Uninstall {
    #[command(flatten)]
    which: Which,
    /// Delete its data too: volume claims of its namespaces, and the secrets that answers are kept in.
    #[arg(long)]
    delete_data: bool,
    /// Delete its namespaces, with all that is in them.
    #[arg(long)]
    delete_namespace: bool,
    #[command(flatten)]
    doing: Doing,
}

impl Verb for Uninstall {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let (mut reach, history) = self.which.find()?;
        let data = match (self.delete_namespace, self.delete_data) {
            (true, _) => Data::DeleteNamespaces,
            (false, true) => Data::Delete,
            (false, false) => Data::Keep,
        };
        let plan = uninstall::plan(&history, data, &reach)?;
        if !plan.in_charts.is_empty() {
            return Err(Failure::refused(
                "data_in_charts",
                format!(
                    "its charts declare volume claims themselves, which Helm deletes with them: {}",
                    plan.in_charts.join(", ")
                ),
            )
            .hint("nothing was changed. If the data may go: --delete-data"));
        }
        if self.doing.dry_run {
            ui.answer(&plan, |page| draw_plan(page, &plan));
            return Ok(Exit::Done);
        }
        if self.doing.unasked() {
            return Err(Failure::usage("not_confirmed", "nobody can be asked whether to do it")
                .hint("--dry-run shows what would go; --yes does it"));
        }
        let mut page = Page::new(ui.paint());
        draw_plan(&mut page, &plan);
        if !self.doing.agreed(ui, page.text(), &format!("Take {} away?", plan.release))? {
            return Ok(Exit::Interrupted);
        }
        let observer = ui.observer();
        let patience = self.doing.begin(observer.as_ref());
        let held = match history.last() {
            Some(last) => Some(hold::take(&subject(&history, last), &mut reach, &patience)?),
            None => None,
        };
        let outcome = uninstall::uninstall(&plan, &history, &reach, &patience);
        drop(held);
        if let Err(fault) = outcome {
            let failure = super::failure::acted(&fault, &crate::ops::install::act::Left::Half, &plan.release);
            return Err(failure
                .stating(format!("{} is partly taken away, and remembered as that.", plan.release))
                .hint("mend what is named above, then run the same command again: it goes on"));
        }
        ui.answer(&plan, |page| {
            let paint = page.paint();
            page.painted(&format!("{}: {} is gone", paint.green("OK"), plan.release));
            for kept in &plan.kept {
                page.line(&format!("  stays  {kept}"));
            }
        });
        Ok(Exit::Done)
    }

    fn stop(&self) -> Option<Ending> {
        Some(self.doing.ending())
    }
}

fn draw_plan(page: &mut Page, plan: &uninstall::Plan) {
    page.title(&plan.release);
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut list = |verb: &str, what: &str, all: &[String]| {
        rows.extend(all.iter().map(|name| vec![verb.to_owned(), format!("{what}{name}")]));
    };
    list("goes", "", &plan.objects);
    list("goes", "secret ", &plan.secrets);
    list("goes", "volume claim ", &plan.claims);
    list("goes", "namespace ", &plan.namespaces);
    list("stays", "", &plan.kept);
    page.table(&["", "what"], &rows);
}
