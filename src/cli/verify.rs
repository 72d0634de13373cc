//! `bundle verify`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::bundle::{Folders, Opener, advise, draw_findings};
use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::ops::finding::only_unreachable;
use crate::ops::keys;
use crate::ops::verify::{self, Depth, Report};
use crate::plan::repair::Reach;
use crate::sys::clock;

mod receipt;

use receipt::Receipts;

/// Check a bundle: signature, completeness, every byte. Nothing is written.
///
/// With --identity also the digest of every blob and that every image is whole. Everything wrong is named, not only the first thing;
/// exit code 1 when something refuses the bundle.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    bundle: Folders,
    /// Your trust policy, as bundle trust init makes it.
    #[arg(long, value_name = "POLICY", env = "BUNDLE_TRUST", hide_env_values = true)]
    #[arg(required_unless_present = "receipt_check")]
    trust: Option<PathBuf>,
    /// Let a release through that is older than the highest one loaded from this machine.
    #[arg(long)]
    allow_downgrade: bool,
    #[command(flatten)]
    opener: Opener,
    #[command(flatten)]
    receipts: Receipts,
}

impl Verb for Verify {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        if let Some(receipt) = &self.receipts.receipt_check {
            return self.receipts.check(receipt, ui);
        }
        let trust = self.trust.clone().unwrap_or_default();
        let (policy, policy_bytes) = keys::policy_and_bytes(&trust)?;
        let receipt = self.receipts.wanted(&self.bundle.folders, &self.opener, ui)?;
        let now = clock::now();
        let key = self.opener.key(ui)?;
        let state = super::bundle::state(&self.bundle.folders)?;
        let observer = ui.observer();
        let request = verify::Request {
            folders: &self.bundle.folders,
            policy: &policy,
            with: key.as_ref().map(super::bundle::Key::with),
            now,
            state: state.as_deref(),
            allow_downgrade: self.allow_downgrade,
        };
        let report = verify::verify(&request, observer.as_ref())?;
        if let Some(receipt) = receipt {
            let how = (now, self.allow_downgrade);
            receipt.write(&self.bundle.folders, (&policy, &policy_bytes), how, &report)?;
        }
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

/// How far parity reaches, in words.
pub(super) fn reach(parity: &Reach) -> String {
    let all = parity.there + parity.lost_parity;
    match (parity.lost, parity.short) {
        (0, _) if parity.lost_parity == 0 => {
            format!("{} %: any {all} damaged chunks could be mended with nothing sent", parity.share)
        }
        (0, _) => format!(
            "{} of {all} parity chunks are damaged; the content is whole, and they can be computed again",
            parity.lost_parity
        ),
        (lost, 0) => format!(
            "the damage, {lost} chunks, is within it: {} of {all} parity chunks are there; bundle repair mends it with nothing sent",
            parity.there
        ),
        (lost, short) => format!(
            "{lost} chunks are damaged and {} of {all} parity chunks are there: {short} chunks must come from another copy",
            parity.there
        ),
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
    if let Some(parity) = &report.parity {
        rows.push(("parity", reach(parity)));
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
