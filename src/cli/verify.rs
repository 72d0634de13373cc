//! `bundle verify`.

use std::sync::Arc;

use clap::Args;

use super::bundle::{Folders, Opener, Trusted, advise, draw_findings};
use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::ops::finding::only_unreachable;
use crate::ops::verify::{self, Depth, Report};
use crate::sys::{clock, state};

/// Check a bundle: signature, completeness, every byte. Nothing is written.
///
/// With --identity also the digest of every blob and that every image is whole. Everything wrong is named, not only the first thing;
/// exit code 1 when something refuses the bundle.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    bundle: Folders,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    opener: Opener,
}

impl Verb for Verify {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let policy = self.trusted.policy()?;
        let key = self.opener.key(ui)?;
        let state = state::folder();
        let observer = ui.observer();
        let request = verify::Request {
            folders: &self.bundle.folders,
            policy: &policy,
            with: key.as_ref().map(super::bundle::Key::with),
            now: clock::now(),
            state: state.as_deref(),
            allow_downgrade: self.trusted.allow_downgrade,
        };
        let report = verify::verify(&request, observer.as_ref())?;
        ui.answer(&report, |page| draw(page, &report));
        advise(ui, &report.findings);
        Ok(match report.ok {
            true => Exit::Done,
            false if only_unreachable(&report.findings) => Exit::World,
            false => Exit::Refused,
        })
    }

    fn when_stopped(&self) -> String {
        "Nothing was changed, and nothing is proved yet. Run the same command again.".to_owned()
    }
}

fn draw(page: &mut Page, report: &Report) {
    let paint = page.paint();
    let name = match &report.release {
        Some(release) => format!("{} {}, by {}", release.name, release.version, release.vendor),
        // Unsigned, it could claim to be anything.
        None => "This bundle".to_owned(),
    };
    page.title(&name);
    let signers: Vec<String> = report.signers.iter().map(ToString::to_string).collect();
    let depth = match report.depth {
        Depth::Signature => "the signatures only; nothing else is read while they refuse".to_owned(),
        Depth::Bytes if report.bytes != report.bytes_listed => format!(
            "every file; {} volumes; as signed are {} of {}",
            report.volumes,
            ByteSize(report.bytes),
            ByteSize(report.bytes_listed)
        ),
        Depth::Bytes => format!("every file; {} volumes, {}", report.volumes, ByteSize(report.bytes)),
        Depth::Content if report.graphs => format!(
            "every file; {} volumes, {}; the digests of {} blobs and every image",
            report.volumes,
            ByteSize(report.bytes),
            report.blobs
        ),
        Depth::Content => format!(
            "every file; {} volumes; as signed are {} of {}, and the digests of {} of {} blobs; whether every image is whole was not checked",
            report.volumes,
            ByteSize(report.bytes),
            ByteSize(report.bytes_listed),
            report.blobs,
            report.blobs_listed
        ),
    };
    let mut rows = vec![("checked", depth)];
    if !signers.is_empty() {
        rows.insert(0, ("signed by", signers.join(", ")));
    }
    if let Some(relied) = &report.relied_on {
        rows.push((
            "relies on",
            format!(
                "{} for {} blobs, {}; bundle load finds out whether they are there",
                relied.base,
                relied.blobs,
                ByteSize(relied.bytes)
            ),
        ));
    }
    page.rows(&rows);
    draw_findings(page, &report.findings);
    let verdict = match (report.ok, report.depth) {
        (false, _) if only_unreachable(&report.findings) => {
            format!("{}: not everything could be read", paint.red("NOT PROVED"))
        }
        (false, _) => paint.red("REFUSED"),
        (true, Depth::Content) => {
            format!("{}: what the vendor signed, byte for byte, and whole", paint.green("OK"))
        }
        (true, _) => format!("{}: what the vendor signed, byte for byte", paint.green("OK")),
    };
    page.painted(&verdict);
}
