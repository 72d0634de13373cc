//! `bundle diff`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::ops::diff::{self, Report};
use crate::plan::diff::{Change, Item, Version, Weight};

/// Show what changed between two bundles, and what an upgrade from one to the other would weigh; needs no key.
///
/// OLD and NEW are bundles' folders, or their bundle.json alone. What they say of themselves is compared: nobody vouches for that here.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// What there is.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// What comes.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Also list what is the same in both.
    #[arg(long)]
    all: bool,
}

impl Verb for Diff {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let report = diff::diff(&self.old, &self.new)?;
        ui.answer(&report, |page| draw(page, &report, self.all));
        Ok(Exit::Done)
    }
}

fn draw(page: &mut Page, report: &Report, all: bool) {
    let diff = &report.diff;
    let (old, new) = (&diff.old, &diff.new);
    page.title(&match old.name == new.name {
        true => format!("{}: {} -> {}", new.name, old.version, new.version),
        false => format!("{} {} -> {} {}", old.name, old.version, new.name, new.version),
    });
    for (what, items) in [
        ("image", &diff.images),
        ("chart", &diff.charts),
        ("model", &diff.models),
        ("file", &diff.files),
        ("tool", &diff.tools),
    ] {
        let shown: Vec<&Item> = items.iter().filter(|item| all || item.change != Change::Same).collect();
        let same = items.len() - items.iter().filter(|item| item.change != Change::Same).count();
        if !shown.is_empty() {
            let rows: Vec<Vec<String>> = shown.into_iter().map(row).collect();
            page.table(&["", what, "was", "is"], &rows);
        }
        if same > 0 && !all {
            page.line(&format!("{same} {what}{} the same", if same == 1 { " is" } else { "s are" }));
        }
        if !items.is_empty() {
            page.gap();
        }
    }
    let weight = |weight: &Weight| format!("{} blobs, {}", weight.blobs, ByteSize(weight.bytes));
    page.rows(&[
        ("in both", weight(&diff.blobs.shared)),
        ("new", weight(&diff.blobs.new)),
        ("gone", weight(&diff.blobs.gone)),
        (
            "upgrade",
            format!(
                "{} of payload, where all of it would be {}",
                ByteSize(diff.upgrade.bytes),
                ByteSize(report.whole)
            ),
        ),
    ]);
}

fn row(item: &Item) -> Vec<String> {
    let change = match item.change {
        Change::Changed => "changed",
        Change::Renamed => "renamed",
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Same => "same",
    };
    let version = |version: &Option<Version>| match version {
        Some(Version { version: Some(version), digest }) => format!("{version} ({})", digest.short()),
        Some(Version { version: None, digest }) => digest.short(),
        None => String::new(),
    };
    vec![change.to_owned(), item.name.clone(), version(&item.old), version(&item.new)]
}
