//! `bundle inspect`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::bundle::{Folders, advise, counted, draw_findings};
use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::ops::finding::refused;
use crate::ops::inspect::{self, Report};
use crate::ops::keys;
use crate::release::lock::Seal;
use crate::sys::clock;

/// Show what is inside a bundle; needs no key.
///
/// Without --trust this is what the bundle says of itself, and nobody has vouched for it.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    #[command(flatten)]
    bundle: Folders,
    /// Check the signatures by this policy first.
    #[arg(long, value_name = "POLICY", env = "BUNDLE_TRUST", hide_env_values = true)]
    trust: Option<PathBuf>,
    /// List the SBOMs that are carried, and nothing else.
    #[arg(long)]
    sbom: bool,
}

impl Verb for Inspect {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let policy = self.trust.as_deref().map(keys::policy).transpose()?;
        let policy = policy.as_ref().map(|policy| (policy, clock::now()));
        let report = inspect::inspect(&self.bundle.folders, policy)?;
        if self.sbom {
            ui.answer(&report.sboms, |page| draw_sboms(page, &report));
        } else {
            ui.answer(&report, |page| draw(page, &report, policy.is_some()));
        }
        advise(ui, &report.findings);
        Ok(if refused(&report.findings) { Exit::Refused } else { Exit::Done })
    }
}

fn draw(page: &mut Page, report: &Report, checked: bool) {
    let release = &report.release;
    page.title(&format!("{} {}, by {}", release.name, release.version, release.vendor));
    let vouched = match (report.authenticated, checked) {
        (true, _) => "the signatures hold",
        (false, true) => "THE SIGNATURES DO NOT HOLD: all of this is only claimed",
        (false, false) => "not checked; everything here is only claimed (give --trust)",
    };
    let seal = match report.payload.seal {
        Seal::Age => "sealed",
        Seal::None => "not sealed",
    };
    let list = |items: Vec<String>| if items.is_empty() { "nobody".to_owned() } else { items.join(", ") };
    let mut rows = vec![
        ("trust", vouched.to_owned()),
        ("signed by", list(report.signatures.iter().map(ToString::to_string).collect())),
        ("volumes", format!("{}, {seal}, {}", report.volumes, ByteSize(report.volume_bytes))),
        (
            "content",
            format!(
                "{}, {}",
                counted(&[
                    (report.images.len(), "image"),
                    (report.referrers.len(), "referrer"),
                    (report.charts.len(), "chart"),
                    (report.models.len(), "model"),
                    (report.files.len(), "file"),
                    (report.tools.len(), "tool"),
                    (report.blobs, "blob"),
                ]),
                ByteSize(report.payload.bytes)
            ),
        ),
    ];
    if let Some(relied) = &report.relied_on {
        let needs = format!("{} blobs, {}", relied.blobs, ByteSize(relied.bytes));
        rows.push(("relies on", format!("{} ({}), for {needs}", relied.base, relied.index.short())));
    }
    if report.payload.seal == Seal::Age {
        rows.push(("granted to", list(report.grants.clone())));
    }
    if let Some(license) = &report.license {
        let need = if license.required { "needed to install" } else { "not needed" };
        let key =
            format!("{need}; checked with key {} ({})", license.public_key.id(), license.public_key.kind());
        let days = format!("{} days of grace, {} of warning", license.grace_days, license.warn_days);
        let features = match license.features.as_slice() {
            [] => String::new(),
            features => format!("; must grant {}", features.join(", ")),
        };
        rows.push(("licence", format!("{key}; {days}{features}")));
    }
    if let Some(upgrade) = &report.upgrade {
        let stops: Vec<String> = upgrade.stops.iter().map(|stop| stop.version.to_string()).collect();
        let by_way =
            if stops.is_empty() { String::new() } else { format!("; never past {}", stops.join(", ")) };
        rows.push(("upgrades", format!("installed {}{by_way}", upgrade.from)));
    }
    if !report.licenses.is_empty() {
        rows.push(("licences", list(report.licenses.clone())));
    }
    page.rows(&rows);
    draw_findings(page, &report.findings);
    let images = report.images.iter().map(|image| {
        let platforms: Vec<String> = image.platforms.iter().map(ToString::to_string).collect();
        vec![image.reference.to_string(), image.digest.short(), platforms.join(" ")]
    });
    table(page, &["image", "digest", "platforms"], images);
    let referrers = report.referrers.iter().map(|referrer| {
        let kind = referrer.artifact_type.clone().unwrap_or_default();
        vec![referrer.to_string(), referrer.subject.short(), kind]
    });
    table(page, &["with an image", "about", "kind"], referrers);
    let charts = report.charts.iter().map(|chart| {
        let goes = [&chart.release, &chart.namespace].into_iter().flatten().cloned().collect::<Vec<_>>();
        vec![format!("{} {}", chart.name, chart.version), chart.digest.short(), goes.join(" in ")]
    });
    table(page, &["chart", "digest", "release"], charts);
    let models = report.models.iter().map(|model| {
        let notice = model.notice.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![format!("{} {}", model.name, model.version), model.digest.short(), notice]
    });
    table(page, &["model", "digest", "notice"], models);
    let size = |bytes: u64| ByteSize(bytes).to_string();
    let files = report.files.iter().map(|file| vec![file.path.to_string(), size(file.bytes)]);
    table(page, &["file", "size"], files);
    let tools = report.tools.iter().map(|t| vec![t.path.to_string(), size(t.bytes), t.platform.to_string()]);
    table(page, &["tool", "size", "platform"], tools);
}

fn draw_sboms(page: &mut Page, report: &Report) {
    if report.sboms.is_empty() {
        return page.line("It carries no SBOM.");
    }
    let rows: Vec<Vec<String>> = report
        .sboms
        .iter()
        .map(|sbom| {
            let (image, size) = (sbom.image.to_string(), ByteSize(sbom.size).to_string());
            vec![image, sbom.kind.as_str().to_owned(), sbom.digest.to_string(), size]
        })
        .collect();
    page.table(&["image", "SBOM", "digest", "size"], &rows);
}

/// A table of its own; none when it would be empty.
fn table(page: &mut Page, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        page.gap();
        page.table(head, &rows);
    }
}
