//! `bundle repair`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::bundle::{Folders, advise, draw_findings};
use super::ui::Page;
use super::verify::reach;
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::ops::repair::{self, Mode, Report};
use crate::ops::{damage, keys};
use crate::plan::repair::Piece;
use crate::sys::clock;

/// Mend a damaged copy of a bundle: from other copies, which may be damaged too, and by parity.
///
/// Reads every file of DIR, and takes what is not as signed from the first --from that has it right: damaged chunks of volumes, lost
/// volumes, small files. What no copy has right of the volumes is computed, where the bundle was built with enough --parity. Everything
/// is compared with the signed hashes before it is written and when it is read back. DIR must be
/// writable; what it is mended from is only read. Can be stopped and run again. What stays damaged is named, with exit code 1.
#[derive(Debug, Args)]
pub(super) struct Repair {
    #[command(flatten)]
    bundle: Folders,
    /// Another copy of the same bundle, damaged or not, or a folder of bundle parts. Repeatable.
    #[arg(long, value_name = "OTHER")]
    from: Vec<PathBuf>,
    /// Look only at what this report of bundle verify --json names.
    #[arg(long, value_name = "REPORT")]
    report: Option<PathBuf>,
    /// Your trust policy, as bundle trust init makes it.
    #[arg(long, value_name = "POLICY", env = "BUNDLE_TRUST", hide_env_values = true)]
    trust: PathBuf,
    /// Say what would be mended from where, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Verb for Repair {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let policy = keys::policy(&self.trust)?;
        let damage = self.report.as_deref().map(damage::read).transpose()?;
        let request = repair::Request {
            folders: &self.bundle.folders,
            from: &self.from,
            damage: damage.as_ref(),
            policy: &policy,
            now: clock::now(),
            mode: if self.dry_run { Mode::DryRun } else { Mode::Write },
        };
        let report = repair::repair(&request, ui.observer().as_ref())?;
        ui.answer(&report, |page| draw(page, &report));
        advise(ui, &report.findings);
        Ok(if report.ok { Exit::Done } else { Exit::Refused })
    }

    fn when_stopped(&self) -> String {
        "What was mended is right, what was not is as damaged as before. Run the same command again."
            .to_owned()
    }
}

fn draw(page: &mut Page, report: &Report) {
    let paint = page.paint();
    let name = match &report.release {
        Some(release) => format!("{} {}, by {}", release.name, release.version, release.vendor),
        None => "This bundle".to_owned(),
    };
    page.title(&name);
    let signers: Vec<String> = report.signers.iter().map(ToString::to_string).collect();
    if report.release.is_some() {
        page.rows(&[
            ("signed by", format!("{}, as {} has it", signers.join(", "), report.list_from.display())),
            ("looked at", format!("{} of volumes, and the small files", ByteSize(report.bytes))),
        ]);
    }
    if let Some(parity) = report.parity.filter(|parity| parity.lost + parity.lost_parity > 0) {
        page.rows(&[("parity", reach(&parity))]);
    }
    let label = if report.dry_run { paint.dim("to mend") } else { paint.green("mended ") };
    for mended in &report.mended {
        let from = match (&mended.copy, mended.computed) {
            (Some(from), _) => format!(" from {}", from.display()),
            (None, true) => " by parity".to_owned(),
            (None, false) => String::new(),
        };
        let what = match &mended.piece {
            Piece::Chunk { path, chunk, from, to } => format!("{path}, chunk {chunk}, bytes {from} to {to}"),
            Piece::Tail { path, bytes } => format!("{path}: what follows its {bytes} bytes is cut off"),
            Piece::File { path } => path.to_string(),
        };
        page.labelled(&label, &format!("{what}{from}"));
    }
    draw_findings(page, &report.findings);
    let verdict = match (report.ok, report.dry_run, report.mended.is_empty()) {
        (true, _, true) => format!("{}: nothing was damaged", paint.green("OK")),
        (true, true, false) => {
            format!("{}: everything can be mended; nothing was written", paint.green("OK"))
        }
        (true, false, false) => format!("{}: everything is as signed", paint.green("OK")),
        (false, ..) if report.release.is_none() => format!("{}: nothing was written", paint.red("REFUSED")),
        (false, true, _) => {
            format!("{}: not everything can be mended; nothing was written", paint.red("REFUSED"))
        }
        (false, false, _) => paint.red("STILL DAMAGED"),
    };
    page.painted(&verdict);
}
