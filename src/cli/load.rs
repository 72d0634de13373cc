//! `bundle load`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::bundle::{Folders, Opener, Trusted, advise, counted, draw_findings};
use super::registry::RegistryArgs;
use super::ui::{Page, Voice};
use super::{Exit, Failure, Ui, Verb};
use crate::checked::ByteSize;
use crate::digest::Digest;
use crate::oci::Reference;
use crate::ops::finding::{What, refused};
use crate::ops::load::{self, Delivery, Mode, Report, State};
use crate::plan::mapping::Mapping;
use crate::sys::{clock, fs};

/// Load every image, chart and model of a bundle into a registry, byte for byte, with the signatures that go with them.
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
    /// The folder of a bundle that has blobs which this upgrade relies on, for what the registry lost: the one that was loaded before, or a
    /// supplement. Repeatable.
    #[arg(long, value_name = "DIR")]
    base: Vec<PathBuf>,
    /// When blobs that this upgrade relies on are nowhere: write which, for the vendor to cut a supplement from.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// Fold paths into one name (a/b becomes a-b), for registries with shallow paths.
    #[arg(long)]
    flatten: bool,
    /// Write where everything went to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Ask for every blob and put every manifest, also of what is there under its name: for a registry that lost or damaged something.
    #[arg(long)]
    recheck: bool,
    /// Ask what is there, say what would be sent, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Blobs sent at the same time.
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u8).range(1..=32))]
    parallel: u8,
    #[command(flatten)]
    how: RegistryArgs,
}

impl Verb for Load {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let mapping = Mapping::new(&self.registry, &self.map, self.flatten)?;
        for path in self.mapping.iter().chain(&self.request) {
            super::bundle::outside(path, &[self.bundle.folders.as_slice(), &self.base].concat())?;
        }
        let policy = self.trusted.policy()?;
        let key = self.opener.key(ui)?;
        let state = super::bundle::state(&self.bundle.folders)?;
        let observer = ui.observer();
        let client = self.how.client(&observer)?;
        let request = load::Request {
            folders: &self.bundle.folders,
            policy: &policy,
            bases: &self.base,
            with: key.as_ref().map(super::bundle::Key::with),
            mapping: &mapping,
            parallel: usize::from(self.parallel),
            now: clock::now(),
            state: state.as_deref(),
            allow_downgrade: self.trusted.allow_downgrade,
            recheck: self.recheck,
            mode: if self.dry_run { Mode::DryRun } else { Mode::Write },
        };
        let asked = self.request.iter().filter(|_| !self.dry_run);
        for path in self.mapping.iter().chain(asked) {
            fs::probe(path, fs::PUBLIC)?;
        }
        let report = load::load(&request, &client, observer.as_ref())
            .map_err(|error| Failure::from(error).stating("nothing was sent"))?;
        if let Some(path) = self.mapping.as_ref().filter(|_| report.items().next().is_some()) {
            fs::write(path, went(&report).as_bytes(), fs::PUBLIC)?;
        }
        let asked = self.request.as_ref().filter(|_| !report.lacking.is_empty());
        if let (Some(path), Some(request)) = (asked, report.request()) {
            let text = request.to_text().map_err(|error| Failure::world("internal", error.to_string()))?;
            fs::write(path, &text, fs::PUBLIC)?;
        }
        ui.answer(&report, |page| draw(page, &report, self.place()));
        if let Some(path) = asked {
            ui.hint(&format!(
                "send {} to the vendor; it names what is lacking, and nothing else",
                path.display()
            ));
        }
        advise(ui, &report.findings);
        Ok(self.judge(ui, &report))
    }

    fn when_stopped(&self) -> String {
        format!(
            "{} keeps what it has. The same command goes on from there; the bundle was only read.",
            self.place()
        )
    }
}

impl Load {
    /// Where to, as it is used.
    fn place(&self) -> &str {
        self.registry.trim_end_matches('/')
    }

    /// The exit code, with a word on what failed.
    fn judge(&self, ui: &Ui, report: &Report) -> Exit {
        if report.ok {
            return match report.findings.iter().any(|f| matches!(f.what, What::NotRemembered { .. })) {
                true => {
                    ui.hint("mend that, or name another folder (BUNDLE_STATE), and run the same command again: nothing is sent twice");
                    Exit::World
                }
                false => Exit::Done,
            };
        }
        let mut failed = report.items().filter(|item| item.state == State::Failed);
        if ui.voice() == Voice::Quiet {
            for item in failed.clone() {
                ui.refuse(&format!("{}: {}", item.to, item.why.as_deref().unwrap_or("failed")));
            }
        }
        if refused(&report.findings) {
            return Exit::Refused;
        }
        if failed.clone().any(|item| item.gone) {
            ui.hint(&format!(
                "put the medium back and run the same command again: {} keeps what it has, and only what is missing is sent",
                self.registry
            ));
            return Exit::World;
        }
        if failed.any(|item| item.damaged) {
            ui.hint("bundle verify names what is damaged; copy that again, or name the folder of a second copy too (bundle load DIR COPY …), and run the same command: it sends only what is missing");
            return Exit::Refused;
        }
        let causes = report.items().filter_map(|item| item.cause.as_ref());
        let hints: BTreeSet<String> = causes.filter_map(super::failure::advice_on_registry).collect();
        for hint in hints {
            ui.hint(&hint);
        }
        ui.hint(&format!(
            "{} keeps what it has; run the same command again when the cause is mended: it sends only what is missing",
            self.place()
        ));
        Exit::World
    }
}

/// Where everything went.
fn went(report: &Report) -> String {
    #[derive(Serialize)]
    struct One<'a> {
        from: &'a str,
        to: &'a Reference,
        digest: &'a Digest,
        #[serde(skip_serializing_if = "Option::is_none")]
        original_digest: Option<&'a Digest>,
    }
    #[derive(Serialize)]
    struct Went<'a> {
        images: Vec<One<'a>>,
        referrers: Vec<One<'a>>,
        charts: Vec<One<'a>>,
        models: Vec<One<'a>>,
    }
    fn list(all: &[Delivery]) -> Vec<One<'_>> {
        // What is not there cannot be pointed to.
        all.iter()
            .filter(|item| item.state != State::Failed)
            .map(|item| One {
                from: &item.from,
                to: &item.to,
                digest: &item.digest,
                original_digest: item.original_digest.as_ref(),
            })
            .collect()
    }
    let all = Went {
        images: list(&report.images),
        referrers: list(&report.referrers),
        charts: list(&report.charts),
        models: list(&report.models),
    };
    let mut text = serde_json::to_string_pretty(&all).unwrap_or_default();
    text.push('\n');
    text
}

/// Blobs that are named one by one on a page.
const SHOWN: usize = 20;

fn draw(page: &mut Page, report: &Report, registry: &str) {
    let paint = page.paint();
    let name = match &report.release {
        Some(release) => format!("{} {}, by {}", release.name, release.version, release.vendor),
        None => "This bundle".to_owned(),
    };
    page.title(&format!("{name} -> {registry}"));
    draw_findings(page, &report.findings);
    if !report.ok && report.items().next().is_none() {
        for lacking in report.lacking.iter().take(SHOWN) {
            page.line(&format!("  {} ({}), of {}", lacking.digest, ByteSize(lacking.size), lacking.of));
        }
        if report.lacking.len() > SHOWN {
            page.line(&format!("  and {} more (--json names all)", report.lacking.len() - SHOWN));
        }
        page.painted(&format!("{}: nothing was sent", paint.red("REFUSED")));
        return;
    }
    for (what, list) in [
        ("image", &report.images),
        ("with an image", &report.referrers),
        ("chart", &report.charts),
        ("model", &report.models),
    ] {
        if !list.is_empty() {
            page.table(&["", what, "digest"], &list.iter().map(row).collect::<Vec<_>>());
        }
    }
    // One cause that failed many things is told once.
    let mut failed = BTreeMap::<&str, Vec<&Delivery>>::new();
    for item in report.items().filter(|item| item.state == State::Failed) {
        failed.entry(item.why.as_deref().unwrap_or("")).or_default().push(item);
    }
    for (why, items) in failed {
        let what = match items[..] {
            [one] => one.to.to_string(),
            _ => format!("{} of {}", items.len(), report.items().count()),
        };
        page.labelled(&paint.red("failed"), &format!("{what}: {why}"));
    }
    let counts = &report.blobs;
    let relied = &report.relied_on;
    if relied.blobs > 0 {
        let mut found = vec![format!("{} in the registry", relied.there)];
        found.extend(
            (relied.elsewhere > 0).then(|| format!("{} in other repositories of it", relied.elsewhere)),
        );
        found.extend((relied.in_base > 0).then(|| format!("{} in the base bundle", relied.in_base)));
        page.line(&format!(
            "relied on: {} blobs, found before anything was sent: {}",
            relied.blobs,
            found.join(", ")
        ));
    }
    // Both are easily taken for a check of the whole medium.
    page.line(if report.dry_run {
        "checked: the signatures and the manifests; no other byte of a volume was read (bundle verify reads all)"
    } else {
        "checked: the signatures and what was sent; the other files of the folder were not (bundle verify reads all)"
    });
    if report.dry_run {
        page.line(&format!(
            "At most {} blobs would be sent, {}",
            counts.planned,
            ByteSize(counts.planned_bytes)
        ));
        return;
    }
    let all_were_there = report.items().all(|item| item.state == State::Present);
    let sent = format!(
        "blobs: {} sent ({}), {} taken over, {} were there",
        counts.sent,
        ByteSize(counts.sent_bytes),
        counts.mounted,
        counts.present
    );
    if !all_were_there {
        page.line(&sent);
    }
    let all = counted(&[
        (report.images.len(), "image"),
        (report.referrers.len(), "referrer"),
        (report.charts.len(), "chart"),
        (report.models.len(), "model"),
    ]);
    let failed = report.items().filter(|item| item.state == State::Failed).count();
    page.painted(&if report.ok {
        format!("{}: {all} are in the registry, byte for byte", paint.green("OK"))
    } else {
        format!("{}: {failed} of {}", paint.red("FAILED"), report.items().count())
    });
}

fn row(item: &Delivery) -> Vec<String> {
    let state = match item.state {
        State::Planned => "would load",
        State::Present => "was there",
        State::Loaded => "loaded",
        State::Failed => "FAILED",
    };
    vec![state.to_owned(), item.to.to_string(), item.digest.short()]
}
