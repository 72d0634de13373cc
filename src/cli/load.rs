//! `bundle load`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::bundle::{Folders, Opener, Trusted, advise, draw_findings};
use super::registry::RegistryArgs;
use super::ui::{Page, Voice};
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::digest::Digest;
use crate::oci::Reference;
use crate::ops::finding::refused;
use crate::ops::load::{self, ImageState, Mode, Report};
use crate::plan::mapping::Mapping;
use crate::sys::{clock, fs, state};

/// Load every image of a bundle into a registry, byte for byte.
///
/// Checks the signatures first, asks what is there, and sends only what is not; each blob's digest is checked on the way. Reads the
/// medium once and writes nothing on it. Stopped at any moment, the same command goes on.
#[derive(Debug, Args)]
pub(super) struct Load {
    #[command(flatten)]
    bundle: Folders,
    /// Where to: HOST[:PORT][/PREFIX].
    #[arg(long, value_name = "HOST/PREFIX", env = "BUNDLE_REGISTRY", hide_env_values = true)]
    registry: String,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    opener: Opener,
    /// Put what is named FROM… under TO…, the longest rule wins: docker.io/incidentfox=fox. Repeatable.
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<String>,
    /// Fold paths into one name (a/b becomes a-b), for registries with shallow paths.
    #[arg(long)]
    flatten: bool,
    /// Write where each image went to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Ask what is there, say what would be sent, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Blobs sent at the same time.
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u8).range(1..=32))]
    parallel: u8,
    #[command(flatten)]
    how: RegistryArgs,
}

impl Verb for Load {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let mapping = Mapping::new(&self.registry, &self.map, self.flatten)?;
        let policy = self.trusted.policy()?;
        let key = self.opener.key(ui)?;
        let state = state::folder();
        let observer = ui.observer();
        let client = self.how.client(&observer)?;
        let request = load::Request {
            folders: &self.bundle.folders,
            policy: &policy,
            with: key.as_ref().map(super::bundle::Key::with),
            mapping: &mapping,
            parallel: usize::from(self.parallel),
            now: clock::now(),
            state: state.as_deref(),
            allow_downgrade: self.trusted.allow_downgrade,
            mode: if self.dry_run { Mode::DryRun } else { Mode::Write },
        };
        let report = load::load(&request, &client, observer.as_ref())?;
        if let Some(path) = self.mapping.as_ref().filter(|_| !report.images.is_empty()) {
            fs::write(path, went(&report).as_bytes(), fs::PUBLIC)?;
        }
        ui.answer(&report, |page| draw(page, &report, &self.registry));
        advise(ui, &report.findings);
        Ok(self.judge(ui, &report))
    }

    fn when_stopped(&self) -> String {
        format!(
            "{} keeps what it has. The same command goes on from there; the bundle was only read.",
            self.registry
        )
    }
}

impl Load {
    /// The exit code, with a word on images that failed.
    fn judge(&self, ui: &Ui, report: &Report) -> Exit {
        if report.ok {
            return Exit::Done;
        }
        let failed = report.images.iter().filter(|image| image.state == ImageState::Failed);
        if ui.voice() == Voice::Quiet {
            for image in failed.clone() {
                ui.refuse(&format!("{}: {}", image.to, image.why.as_deref().unwrap_or("failed")));
            }
        }
        if refused(&report.findings) {
            return Exit::Refused;
        }
        if failed.clone().any(|image| image.damaged) {
            ui.hint("bundle verify names what is damaged; copy that again, then run the same command: it sends only what is missing");
            return Exit::Refused;
        }
        ui.hint(&format!(
            "{} keeps what it has; run the same command again when the cause is mended: it sends only what is missing",
            self.registry
        ));
        Exit::World
    }
}

/// Where each image went.
fn went(report: &Report) -> String {
    #[derive(Serialize)]
    struct Went<'a> {
        from: &'a Reference,
        to: &'a Reference,
        digest: &'a Digest,
    }
    let all: Vec<Went<'_>> = report
        .images
        .iter()
        .map(|image| Went { from: &image.from, to: &image.to, digest: &image.digest })
        .collect();
    let mut text = serde_json::to_string_pretty(&all).unwrap_or_default();
    text.push('\n');
    text
}

fn draw(page: &mut Page, report: &Report, registry: &str) {
    let paint = page.paint();
    let name = match &report.release {
        Some(release) => format!("{} {}, by {}", release.name, release.version, release.vendor),
        None => "This bundle".to_owned(),
    };
    page.title(&format!("{name} -> {registry}"));
    draw_findings(page, &report.findings);
    if report.images.is_empty() {
        page.painted(&format!("{}: nothing was sent", paint.red("REFUSED")));
        return;
    }
    let images: Vec<Vec<String>> = report
        .images
        .iter()
        .map(|image| {
            let state = match image.state {
                ImageState::Planned => "would load",
                ImageState::Present => "was there",
                ImageState::Loaded => "loaded",
                ImageState::Failed => "FAILED",
            };
            vec![state.to_owned(), image.to.to_string(), image.digest.short()]
        })
        .collect();
    page.table(&["", "image", "digest"], &images);
    for image in report.images.iter().filter(|image| image.state == ImageState::Failed) {
        page.labelled(&paint.red("failed"), &format!("{}: {}", image.to, image.why.as_deref().unwrap_or("")));
    }
    let counts = &report.blobs;
    if report.dry_run {
        page.line(&format!(
            "At most {} blobs would be sent, {}",
            counts.planned,
            ByteSize(counts.planned_bytes)
        ));
        return;
    }
    let sent = format!(
        "blobs: {} sent ({}), {} taken over, {} were there",
        counts.sent,
        ByteSize(counts.sent_bytes),
        counts.mounted,
        counts.present
    );
    page.line(&sent);
    let failed = report.images.iter().filter(|image| image.state == ImageState::Failed).count();
    page.painted(&if report.ok {
        format!("{}: {} images are in the registry, byte for byte", paint.green("OK"), report.images.len())
    } else {
        format!("{}: {failed} of {} images", paint.red("FAILED"), report.images.len())
    });
}
