//! `bundle install`.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;

use super::bundle::{Folders, Trusted, outside};
use super::interrupt::Ending;
use super::ui::Voice;
use super::{Exit, Failure, Ui, Verb};
use crate::ops::cluster;
use crate::ops::finding::refused;
use crate::ops::hold;
use crate::ops::install::act::{self, Ended};
use crate::ops::install::report::Report;
use crate::ops::install::secrets::Made;
use crate::ops::install::{self, Opened, Pull, Wish};
use crate::plan::installed::{Action, Registry};
use crate::release::questions::{Answers, Given};

pub(super) mod ask;
pub(super) mod draw;
pub(super) mod shared;

use shared::Shared;

/// Install a release that was loaded: its questions, its charts with every image by digest, its health.
///
/// Asks its questions at the terminal, or takes --answers. Shows the plan before anything happens; writes into the cluster what it is about to
/// do before it does it, so that the same command goes on after whatever stopped it, and changes nothing where nothing is to change.
/// Images and charts come out of the registry that bundle load filled; hooks and custom resources are pointed there too.
#[derive(Debug, Args)]
pub(super) struct Install {
    #[command(flatten)]
    bundle: Folders,
    /// The registry that the bundle was loaded into, as nodes reach it: HOST[:PORT][/PREFIX].
    #[arg(long, value_name = "HOST/PREFIX", env = "BUNDLE_REGISTRY", hide_env_values = true)]
    registry: String,
    #[command(flatten)]
    trusted: Trusted,
    /// As at load: what is named FROM… is under TO…. Repeatable.
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<String>,
    /// As at load: paths are folded into one name.
    #[arg(long)]
    flatten: bool,
    #[command(flatten)]
    shared: Shared,
}

impl Verb for Install {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        if let Some(prefix) = &self.shared.report {
            outside(prefix, &self.bundle.folders)?;
        }
        let policy = self.trusted.policy()?;
        let opened = self.shared.open(&self.bundle, &self.trusted, &policy)?;
        let mut report = Report::of(&opened);
        let Some(bundle) = &opened.bundle else {
            ui.answer(&report, |page| draw::report(page, &report));
            return Ok(Shared::planned(ui, &report));
        };
        let given = self.shared.given()?;
        let mut reach = cluster::reach(Some(bundle), self.shared.cluster.cluster())?;
        let Some(answers) = self.answers(ui, &opened, given, &reach)? else { return Ok(Exit::Interrupted) };
        let observer = ui.observer();
        let client = self.shared.how.client(&observer)?;
        let registry = self.registry();
        let wish = Wish {
            opened: &opened,
            bundle,
            answers: &answers,
            registry: &registry,
            license: self.shared.license(&policy, None),
            pull: self.shared.pull_secret.as_deref().map_or(Pull::Docker, Pull::Secret),
            ignored: &self.shared.ignore,
            action: Action::Install,
            parallel: 8,
        };
        let mut prepared = install::prepare(&wish, &reach, &client)?;
        install::may_install(&prepared)?;
        report.plan(&prepared, &reach);
        report.dry_run = self.shared.doing.dry_run;
        if refused(&report.findings) || report.dry_run {
            report.ok = !refused(&report.findings);
            ui.answer(&report, |page| draw::report(page, &report));
            return Ok(Shared::planned(ui, &report));
        }
        // Who wrote the answers down has thought about them.
        let asks = self.shared.answers.is_none() && !prepared.plan.unchanged;
        let plan = draw::plan_text(ui.paint(), &report);
        if asks && !self.shared.doing.agreed(ui, &plan, "Install this?")? {
            return Ok(Exit::Interrupted);
        }
        let patience = self.shared.doing.begin(observer.as_ref());
        let ended = if prepared.plan.unchanged {
            hold::tidy(&prepared.subject(), &mut reach, &patience);
            act::confirm(&prepared, &reach, &patience)
        } else {
            let _held = hold::take(&prepared.subject(), &mut reach, &patience)?;
            act::act(&prepared, &reach, &patience)
        };
        report.end(&ended, &reach);
        let made = std::mem::take(&mut prepared.made);
        self.tell(ui, &report, (&ended, &made))
    }

    fn when_stopped(&self) -> String {
        "Nothing was changed.".to_owned()
    }

    fn stop(&self) -> Option<Ending> {
        Some(self.shared.doing.ending())
    }
}

impl Install {
    fn registry(&self) -> Registry {
        let place = self.registry.trim_end_matches('/').to_owned();
        Registry { place, rules: self.map.clone(), flatten: self.flatten }
    }

    /// The answers, of the file or of whoever sits there; `None` when the latter leaves it.
    fn answers(
        &self,
        ui: &Ui,
        opened: &Opened,
        given: Option<(Given, String)>,
        reach: &cluster::Reach,
    ) -> Result<Option<Answers>, Failure> {
        let (given, file) = match given {
            Some(given) => given,
            None if opened.questions.questions.is_empty() => (Given::default(), "answers".to_owned()),
            None if !Ui::can_ask() => {
                return Err(Failure::usage("no_answers", "the release has questions, and nobody can be asked")
                    .hint("give the answers in a file: --answers FILE; inspect shows the questions' file in the bundle"));
            }
            None => {
                let before = self.before(opened, reach)?;
                match ask::ask(ui, &opened.questions, &before)? {
                    Some(given) => (given, "answers".to_owned()),
                    None => {
                        ui.say("nothing was changed");
                        return Ok(None);
                    }
                }
            }
        };
        Ok(Some(
            opened
                .questions
                .settle(&given, &file)
                .map_err(|problems| super::failure::unfit_answers(&problems))?,
        ))
    }

    /// What was answered at an earlier installation.
    fn before(
        &self,
        opened: &Opened,
        reach: &cluster::Reach,
    ) -> Result<BTreeMap<String, serde_json::Value>, Failure> {
        let index = opened.bundle.as_ref().map(|bundle| bundle.index.get());
        let Some((index, namespace)) = index.and_then(|index| Some((index, install::home_namespace(index)?)))
        else {
            return Ok(BTreeMap::new());
        };
        let history = cluster::history(&reach.kubectl, &index.release.name, &namespace)?;
        Ok(history.last().map(|record| record.answers.clone()).unwrap_or_default())
    }

    /// Writes the report, and says how it ended.
    fn tell(&self, ui: &Ui, report: &Report, (ended, made): (&Ended, &[Made])) -> Result<Exit, Failure> {
        ui.answer(report, |page| draw::report(page, report));
        for one in made {
            let text = format!(
                "{}: {}\n(shown once; kept in secret {}, key {})\n",
                one.label,
                one.value.as_str(),
                one.at.secret,
                one.at.key
            );
            match ui.voice() {
                Voice::Quiet => {}
                _ => ui.aside(&super::ui::clean(&text)),
            }
        }
        self.shared.end(ui, report, ended)
    }
}
