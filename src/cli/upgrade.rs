//! `bundle upgrade`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::bundle::{Folders, Trusted, advise, outside};
use super::cluster::{ClusterArgs, WaitArgs};
use super::install::{ask, draw, write_report};
use super::interrupt::{Ending, Work};
use super::registry::RegistryArgs;
use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::limits;
use crate::oci::Reference;
use crate::ops::finding::refused;
use crate::ops::install::act::{self, Ended};
use crate::ops::install::report::Report as Installation;
use crate::ops::install::wait::Patience;
use crate::ops::install::{self, Opened, Pull, Wish, license};
use crate::ops::upgrade::backup::{self, Wanted};
use crate::ops::upgrade::{self, Report, Standing};
use crate::ops::{cluster, unlock};
use crate::plan::installed::{Action, Registry};
use crate::release::questions::{Answers, Given};
use crate::sys::{clock, fs, state};

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
    /// Answers to questions that are new, or that are to be answered otherwise now (YAML).
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// The licence, where it is neither the one in the bundle's licenses/ nor the one in force.
    #[arg(long, value_name = "FILE")]
    license: Option<PathBuf>,
    /// Whose licence it must be.
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Pull images with this secret, which is there, and not with the one used before.
    #[arg(long, value_name = "SECRET")]
    pull_secret: Option<String>,
    /// A reference that may stay as it is. Repeatable.
    #[arg(long, value_name = "REFERENCE")]
    ignore: Vec<Reference>,
    /// Keep backups below this folder (else in the state folder).
    #[arg(long, value_name = "DIR")]
    backup_dir: Option<PathBuf>,
    /// Do not run the release's backup script: there is a backup by other means.
    #[arg(long)]
    no_backup: bool,
    /// Show what would be done, with the differences, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking once more.
    #[arg(long)]
    yes: bool,
    /// Write the report to PREFIX.html and PREFIX.json (else into the state folder).
    #[arg(long, value_name = "PREFIX")]
    report: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    how: RegistryArgs,
    #[arg(skip)]
    work: Work,
}

impl Verb for Upgrade {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        for path in self.report.iter().chain(&self.backup_dir) {
            outside(&path.join("x"), &self.bundle.folders)?;
        }
        let policy = self.trusted.policy()?;
        let state = state::folder();
        let opened = install::open(&unlock::Request {
            folders: &self.bundle.folders,
            policy: &policy,
            with: None,
            now: clock::now(),
            state: state.as_deref(),
            allow_downgrade: self.trusted.allow_downgrade,
        })?;
        let mut report = Report {
            install: Installation::of(&opened),
            from: None,
            answers: vec![],
            backup: None,
            backups: Wanted::None,
        };
        let Some(bundle) = &opened.bundle else {
            ui.answer(&report, |page| draw(page, &report));
            advise(ui, &report.install.findings);
            return Ok(Exit::Refused);
        };
        let index = bundle.index.get();
        let reach = cluster::reach(Some(bundle), self.cluster.cluster())?;
        let standing = upgrade::standing(bundle, &reach)?;
        report.from = Some(standing.from.release.version.clone());
        let answers = self.answers(&opened, &standing, &mut report, &reach)?;
        let there = upgrade::license_in_force(&standing.from, &reach)?;
        let observer = ui.observer();
        let client = self.how.client(&observer)?;
        let registry = self.registry(&standing);
        let wish = Wish {
            opened: &opened,
            bundle,
            answers: &answers,
            registry: &registry,
            license: license::From {
                file: self.license.as_deref(),
                there: there.as_ref(),
                customer: self.customer.as_deref(),
                clock: policy.terms().consequences.clock,
                now: clock::now(),
            },
            pull: self.pull(&standing),
            ignored: &self.ignore,
            action: Action::Upgrade,
            parallel: 8,
        };
        let prepared = install::prepare(&wish, &reach, &client)?;
        upgrade::lost(index, &registry, 8, &client)?;
        report.install.plan(&prepared, &reach);
        report.install.dry_run = self.dry_run;
        report.backups = self.backups(index, &standing);
        if refused(&report.install.findings) || self.dry_run {
            report.install.ok = !refused(&report.install.findings);
            ui.answer(&report, |page| draw(page, &report));
            advise(ui, &report.install.findings);
            return Ok(if report.install.ok { Exit::Done } else { Exit::Refused });
        }
        let unchanged = standing.done && prepared.plan.unchanged;
        if !self.yes && !unchanged && Ui::can_ask() {
            ui.aside(&draw::plan_text(ui.paint(), &report.install));
            if !ask::confirm(ui.paint(), "Upgrade to this?")? {
                ui.say("nothing was changed");
                return Ok(Exit::Interrupted);
            }
        }
        self.work.begin();
        if report.backups == Wanted::Run {
            ui.say("running the backup script");
            let folder = self.backup_folder(state.as_deref())?;
            report.backup = backup::run(bundle, &standing.from, (&folder, &reach), self.work.stop())
                .map_err(upgrade::Error::from)?;
        }
        let patience =
            Patience { observer: observer.as_ref(), stop: self.work.stop(), stall: self.wait.stall() };
        let ended = match unchanged {
            true => act::confirm(&prepared, &reach, &patience),
            false => act::act(&prepared, &reach, &patience),
        };
        report.install.end(&ended, &reach);
        self.tell(ui, &report, &ended)
    }

    fn when_stopped(&self) -> String {
        "Nothing was changed.".to_owned()
    }

    fn stop(&self) -> Option<Ending> {
        Some(Ending::Work(self.work.clone()))
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
        match (&self.pull_secret, standing.from.pull_secret.as_str()) {
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
        let (given, file) = match &self.answers {
            None => (Given::default(), "answers".to_owned()),
            Some(path) => {
                let shown = path.display().to_string();
                let bytes = fs::read_limited(path, limits::HAND_WRITTEN_BYTES)?;
                let given = Given::parse(&bytes, &shown).map_err(|error| super::failure::answers(&error))?;
                (given, shown)
            }
        };
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
        match write_report(&report.install, self.report.as_deref()) {
            Ok(Some(path)) => ui.say(&format!("report: {}", path.display())),
            Ok(None) => {}
            Err(error) => ui.warn(&format!("the report could not be written: {}", error.message())),
        }
        match &ended.fault {
            None => Ok(Exit::Done),
            Some(fault) => Err(super::failure::acted(fault, &ended.left, ended.record.release.name.as_str())),
        }
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
