//! `bundle parts`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::bundle::{Folders, advise, draw_findings};
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::ops::damage;
use crate::ops::parts::{self, Report};

/// Cut what is damaged in a customer's copy out of a good one, as a small folder to send.
///
/// Takes the report of bundle verify --json. The folder holds the damaged chunks, each called as its hash, and the small files that
/// prove them; bundle repair DIR --from it mends the copy. Needs no key.
#[derive(Debug, Args)]
pub(super) struct Parts {
    #[command(flatten)]
    bundle: Folders,
    /// The report that bundle verify --json wrote about the damaged copy.
    #[arg(long = "for", value_name = "REPORT")]
    report: PathBuf,
    /// The folder to make; nothing may be there.
    #[arg(long, value_name = "PARTS")]
    out: PathBuf,
}

impl Verb for Parts {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        super::bundle::outside(&self.out, &self.bundle.folders)?;
        let damage = damage::read(&self.report)?;
        let request = parts::Request { folders: &self.bundle.folders, damage: &damage, out: &self.out };
        let report = parts::parts(&request, ui.observer().as_ref())?;
        ui.answer(&report, |page| draw(page, &report));
        advise(ui, &report.findings);
        Ok(if report.ok { Exit::Done } else { Exit::Refused })
    }

    fn when_stopped(&self) -> String {
        let out = self.out.display();
        format!(
            "{out} does not exist: it appears when it is whole. The same command goes on with what it has."
        )
    }
}

fn draw(page: &mut super::ui::Page, report: &Report) {
    let paint = page.paint();
    page.title(&format!("{} {} -> {}", report.release.name, report.release.version, report.folder.display()));
    let chunks = report.parts.iter().filter(|part| part.file != *part.piece.path()).count();
    let files = report.parts.len() - chunks;
    page.rows(&[("parts", format!("{chunks} chunks and {files} files, {}", ByteSize(report.bytes)))]);
    draw_findings(page, &report.findings);
    page.painted(&match report.ok {
        true => {
            format!(
                "{}: send this folder; there, bundle repair DIR --from it mends the copy",
                paint.green("OK")
            )
        }
        false => format!("{}: some of what is damaged is not in it", paint.red("NOT WHOLE")),
    });
}
