//! `bundle upgrade`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::bundle::{Folders, Trusted, outside};
use super::install::draw;
use super::install::shared::Shared;
use super::interrupt::Ending;
use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::ops::cluster;
use crate::ops::finding::refused;
use crate::ops::hold;
use crate::ops::install::act::{self, Ended};
use crate::ops::install::report::Report as Installation;
use crate::ops::install::{self, Opened, Pull, Wish};
use crate::ops::upgrade::backup::{self, Wanted};
use crate::ops::upgrade::{self, Report, Standing};
use crate::plan::installed::{Action, Registry};
use crate::release::questions::{Answers, Given};

/// Upgrade what is installed to the release in a bundle that was loaded; on any failure back where it was.
///
/// Finds out first whether there is a way from the version that runs, and whether the registry has everything, and shows what will be done.
/// Answers that were given before are carried over, as the release says. Then the backup, Helm, and health. Whatever fails, the whole
/// release goes back to the revision that ran before; nothing is ever uninstalled. Killed at any moment, the same command goes on.
#[derive(Debug, Args)]
pub(super) struct Upgrade {
    #[command(flatten)]
    bundle: Folders,
    /// The registry that the bundle was loaded into, where it is another than before: HOST[:PORT][/PREFIX].
    #[arg(long, value_name = "HOST/PREFIX")]
    registry: Option<String>,
    #[command(flatten)]
    trusted: Trusted,
    /// Keep backups below this folder (else in the state folder).
    #[arg(long, value_name = "DIR")]
    backup_dir: Option<PathBuf>,
    /// Do not run the release's backup script: there is a backup by other means.
    #[arg(long)]
    no_backup: bool,
    #[command(flatten)]
    shared: Shared,
}

impl Verb for Upgrade {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        for path in self.shared.report.iter().chain(&self.backup_dir) {
            outside(&path.join("x"), &self.bundle.folders)?;
        }
        let policy = self.trusted.policy()?;
        let state = super::bundle::state(&self.bundle.folders)?;
        let opened = self.shared.open(&self.bundle, &self.trusted, &policy)?;
        let mut report = Report {
            install: Installation::of(&opened),
            from: None,
            answers: vec![],
            backup: None,
            backups: Wanted::None,
        };
        let Some(bundle) = &opened.bundle else {
            ui.answer(&report, |page| draw(page, &report));
            return Ok(Shared::planned(ui, &report.install));
        };
        let index = bundle.index.get();
        let mut reach = cluster::reach(Some(bundle), self.shared.cluster.cluster())?;
        let standing = upgrade::standing(bundle, &reach)?;
        report.from = Some(standing.from.release.version.clone());
        let answers = self.answers(&opened, &standing, &mut report, &reach)?;
        let there = upgrade::license_in_force(&standing.from, &reach)?;
        let observer = ui.observer();
        let client = self.shared.how.client(&observer)?;
        let registry = self.registry(&standing);
        let wish = Wish {
            opened: &opened,
            bundle,
            answers: &answers,
            registry: &registry,
            license: self.shared.license(&policy, there.as_ref()),
            pull: self.pull(&standing),
            ignored: &self.shared.ignore,
            action: Action::Upgrade,
            parallel: 8,
        };
        let prepared = install::prepare(&wish, &reach, &client)?;
        upgrade::lost(index, &registry, 8, &client)?;
        report.install.plan(&prepared, &reach);
        report.install.dry_run = self.shared.doing.dry_run;
        report.backups = self.backups(index, &standing);
        if refused(&report.install.findings) || report.install.dry_run {
            report.install.ok = !refused(&report.install.findings);
            ui.answer(&report, |page| draw(page, &report));
            return Ok(Shared::planned(ui, &report.install));
        }
        let unchanged = standing.done && prepared.plan.unchanged;
        let plan = draw::plan_text(ui.paint(), &report.install);
        if !unchanged && !self.shared.doing.agreed(ui, &plan, "Upgrade to this?")? {
            return Ok(Exit::Interrupted);
        }
        let patience = self.shared.doing.begin(observer.as_ref());
        let held = match unchanged {
            true => {
                hold::tidy(&prepared.subject(), &mut reach, &patience);
                None
            }
            false => Some(hold::take(&prepared.subject(), &mut reach, &patience)?),
        };
        if report.backups == Wanted::Run {
            ui.say("running the backup script");
            let folder = self.backup_folder(state.as_deref())?;
            report.backup = backup::run(bundle, &standing.from, (&folder, &reach), patience.stop)
                .map_err(upgrade::Error::from)?;
        }
        let ended = match unchanged {
            true => act::confirm(&prepared, &reach, &patience),
            false => act::act(&prepared, &reach, &patience),
        };
        drop(held);
        report.install.end(&ended, &reach);
        self.tell(ui, &report, &ended)
    }

    fn when_stopped(&self) -> String {
        "Nothing was changed.".to_owned()
    }

    fn stop(&self) -> Option<Ending> {
        Some(self.shared.doing.ending())
    }
}

impl Upgrade {
    fn registry(&self, standing: &Standing) -> Registry {
        let before = standing.from.registry.clone();
        match &self.registry {
            Some(place) => Registry { place: place.trim_end_matches('/').to_owned(), ..before },
            None => before,
        }
    }

    fn pull<'a>(&'a self, standing: &'a Standing) -> Pull<'a> {
        match (&self.shared.pull_secret, standing.from.pull_secret.as_str()) {
            (Some(secret), _) => Pull::Secret(secret),
            (None, "") => Pull::Docker,
            (None, before) => Pull::Secret(before),
        }
    }

    /// The answers given before, as they are now, and those of the file.
    fn answers(
        &self,
        opened: &Opened,
        standing: &Standing,
        report: &mut Report,
        reach: &cluster::Reach,
    ) -> Result<Answers, Failure> {
        let (given, file) = self.shared.given()?.unwrap_or_else(|| (Given::default(), "answers".to_owned()));
        let Some(bundle) = &opened.bundle else { return Ok(Answers::default()) };
        let asked = (&opened.questions, bundle.index.get());
        let carried = upgrade::answers(asked, &standing.from, (&given, &file), reach)?;
        report.answers = carried.migrated;
        if !carried.problems.is_empty() {
            return Err(upgrade::Error::Answers(carried.problems).into());
        }
        Ok(opened.questions.settle(&carried.given, &file).map_err(upgrade::Error::Answers)?)
    }

    fn backups(&self, index: &crate::bundle::Index, standing: &Standing) -> Wanted {
        match index.install.as_ref().is_some_and(|install| install.backup.is_some()) {
            false => Wanted::None,
            true if standing.done => Wanted::None,
            true if self.no_backup => Wanted::Skipped,
            // What is there now is half of the new release; the backup was made before that.
            true if standing.begun => Wanted::Before,
            true => Wanted::Run,
        }
    }

    fn backup_folder(&self, state: Option<&std::path::Path>) -> Result<PathBuf, Failure> {
        let own = self.backup_dir.clone().or_else(|| state.map(|state| state.join("backups")));
        own.ok_or_else(|| {
            Failure::usage("no_state", "there is no folder to keep the backup in (no HOME, no BUNDLE_STATE)")
                .hint("name one: --backup-dir DIR")
        })
    }

    /// Writes the report, and says how it ended.
    fn tell(&self, ui: &Ui, report: &Report, ended: &Ended) -> Result<Exit, Failure> {
        ui.answer(report, |page| draw(page, report));
        self.shared.end(ui, &report.install, ended)
    }
}

fn draw(page: &mut Page, report: &Report) {
    if let (Some(from), Some(release)) = (&report.from, &report.install.release) {
        page.line(&format!("upgrade of {} from {from} to {}", release.name, release.version));
    }
    for one in &report.answers {
        page.labelled("answers", &one.to_string());
    }
    match (report.backups, &report.backup) {
        (_, Some(kept)) => page.labelled("backup", &kept.folder.display().to_string()),
        (Wanted::Run, None) if report.install.dry_run => {
            page.labelled("backup", "the release's script is run first");
        }
        (Wanted::Skipped, _) => page.labelled("backup", "NOT MADE: --no-backup"),
        (Wanted::Before, _) => page.labelled("backup", "made before, by the attempt that was broken off"),
        _ => {}
    }
    draw::report(page, &report.install);
}
