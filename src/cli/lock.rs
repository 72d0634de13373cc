//! `bundle lock`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::bundle::counted;
use super::registry::RegistryArgs;
use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::ops::lock::{self, Change, Mode, Outcome, Report};
use crate::sources::Online;

/// Pin every reference of a release to digest and size: writes release.lock beside release.yaml.
///
/// The lock is committed and reviewed like any lock file. Images whose name still stands for the same digest keep their entry and
/// cost one request.
#[derive(Debug, Args)]
pub(super) struct Lock {
    /// The release.
    #[arg(short, long, value_name = "FILE", default_value = "release.yaml")]
    file: PathBuf,
    /// Write nothing; fail (exit code 1) when the lock is not up to date.
    #[arg(long)]
    check: bool,
    /// Add what charts run and the release does not declare to release.yaml, then lock.
    #[arg(long, conflicts_with = "check")]
    add: bool,
    #[arg(long, value_name = "PATH")]
    #[arg(help = "The helm that renders charts (else BUNDLE_HELM, else the first on the search path)")]
    helm: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl Verb for Lock {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let mode = match (self.check, self.add) {
            (true, _) => Mode::Check,
            (_, true) => Mode::Add,
            _ => Mode::Write,
        };
        let observer = ui.observer();
        let client = self.registry.client(&observer)?;
        let request = lock::Request { file: self.file.clone(), mode, helm: self.helm.clone() };
        let report = lock::lock(&request, Online(client), observer.as_ref())?;
        for added in &report.added {
            ui.say(&format!("{}: {added} is declared now", self.file.display()));
        }
        for finding in &report.findings {
            ui.warn(&finding.to_string());
        }
        ui.answer(&report, |page| draw(page, &report));
        Ok(Exit::Done)
    }

    fn when_stopped(&self) -> String {
        let lock = lock::lock_path(&self.file);
        format!("{} is as it was. Run the same command again.", lock.display())
    }
}

fn draw(page: &mut Page, report: &Report) {
    let became = match report.outcome {
        Outcome::Written => "written",
        Outcome::Unchanged => "up to date, left as it was",
        Outcome::Current => "up to date",
    };
    page.title(&format!("{} {}: {} is {became}", report.name, report.version, report.lock.display()));
    let rows: Vec<Vec<String>> = report
        .images
        .iter()
        .map(|image| {
            let platforms: Vec<String> = image.platforms.iter().map(ToString::to_string).collect();
            vec![
                changed(&image.change).to_owned(),
                image.reference.to_string(),
                image.digest.short(),
                ByteSize(image.bytes).to_string(),
                platforms.join(" "),
            ]
        })
        .collect();
    if !rows.is_empty() {
        // They are told where the release, or an index, names them.
        let told = report.images.iter().any(|image| !image.platforms.is_empty());
        let head = ["", "image", "digest", "size", "platforms"];
        page.table(if told { &head } else { &head[..4] }, &rows);
    }
    if !report.charts.is_empty() {
        let row = |chart: &lock::ChartReport| {
            let own = [chart.name.clone(), chart.version.clone(), chart.digest.short()];
            let size = ByteSize(chart.bytes).to_string();
            [vec![changed(&chart.change).to_owned()], own.to_vec(), vec![size]].concat()
        };
        let rows: Vec<Vec<String>> = report.charts.iter().map(row).collect();
        page.table(&["", "chart", "version", "digest", "size"], &rows);
    }
    if !report.models.is_empty() {
        let rows: Vec<Vec<String>> = report
            .models
            .iter()
            .map(|model| {
                vec![
                    changed(&model.change).to_owned(),
                    model.name.clone(),
                    model.digest.short(),
                    ByteSize(model.bytes).to_string(),
                    model.files.to_string(),
                ]
            })
            .collect();
        page.table(&["", "model", "digest", "size", "files"], &rows);
    }
    for gone in &report.removed {
        page.line(&format!("  no longer named: {gone}"));
    }
    let blobs = usize::try_from(report.blobs).unwrap_or(usize::MAX);
    let counts = counted(&[
        (report.images.len(), "image"),
        (report.charts.len(), "chart"),
        (report.models.len(), "model"),
        (report.files, "file"),
        (report.tools, "tool"),
        (blobs, "blob"),
    ]);
    page.line(&format!("{counts}, {}", ByteSize(report.bytes)));
}

fn changed(change: &Change) -> &'static str {
    match change {
        Change::Added => "new",
        Change::Same => "same",
        Change::Moved { .. } => "moved",
    }
}
