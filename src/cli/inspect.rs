//! `bundle inspect`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::bundle::{Folders, advise, draw_findings};
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
}

impl Verb for Inspect {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let policy = self.trust.as_deref().map(keys::policy).transpose()?;
        let policy = policy.as_ref().map(|policy| (policy, clock::now()));
        let report = inspect::inspect(&self.bundle.folders, policy)?;
        ui.answer(&report, |page| draw(page, &report, policy.is_some()));
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
                "{} images, {} blobs, {}",
                report.images.len(),
                report.blobs,
                ByteSize(report.payload.bytes)
            ),
        ),
    ];
    if report.payload.seal == Seal::Age {
        rows.push(("granted to", list(report.grants.clone())));
    }
    if !report.licenses.is_empty() {
        rows.push(("licences", list(report.licenses.clone())));
    }
    page.rows(&rows);
    draw_findings(page, &report.findings);
    page.gap();
    let images: Vec<Vec<String>> = report
        .images
        .iter()
        .map(|image| {
            let platforms: Vec<String> = image.platforms.iter().map(ToString::to_string).collect();
            vec![image.reference.to_string(), image.digest.short(), platforms.join(" ")]
        })
        .collect();
    page.table(&["image", "digest", "platforms"], &images);
}
