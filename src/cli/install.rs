//! `bundle install`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use signing::Policy;

use super::bundle::{Folders, Trusted, advise, outside};
use super::cluster::{ClusterArgs, WaitArgs};
use super::interrupt::{Ending, Work};
use super::registry::RegistryArgs;
use super::ui::Voice;
use super::{Exit, Failure, Ui, Verb};
use crate::limits;
use crate::oci::Reference;
use crate::ops::finding::refused;
use crate::ops::install::act::{self, Ended};
use crate::ops::install::report::Report;
use crate::ops::install::secrets::Made;
use crate::ops::install::wait::Patience;
use crate::ops::install::{self, Opened, Pull, Wish, license};
use crate::ops::{cluster, unlock};
use crate::plan::installed::{Action, Registry};
use crate::release::questions::{Answers, Given};
use crate::sys::{clock, fs, state};

pub(super) mod ask;
pub(super) mod draw;

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
    /// Take the answers from this file (YAML) instead of asking.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// The licence, where it is not the one in the bundle's licenses/.
    #[arg(long, value_name = "FILE")]
    license: Option<PathBuf>,
    /// Whose licence it must be.
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// As at load: what is named FROM… is under TO…. Repeatable.
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<String>,
    /// As at load: paths are folded into one name.
    #[arg(long)]
    flatten: bool,
    /// Pull images with this secret, which is there, and not with the login of the Docker configuration.
    #[arg(long, value_name = "SECRET")]
    pull_secret: Option<String>,
    /// A reference that may stay as it is. Repeatable.
    #[arg(long, value_name = "REFERENCE")]
    ignore: Vec<Reference>,
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

impl Verb for Install {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        if let Some(prefix) = &self.report {
            outside(prefix, &self.bundle.folders)?;
        }
        let policy = self.trusted.policy()?;
        let opened = self.open(&policy)?;
        let mut report = Report::of(&opened);
        let Some(bundle) = &opened.bundle else {
            ui.answer(&report, |page| draw::report(page, &report));
            advise(ui, &report.findings);
            return Ok(Exit::Refused);
        };
        let given = self.given()?;
        let reach = cluster::reach(Some(bundle), self.cluster.cluster())?;
        let Some(answers) = self.answers(ui, &opened, given, &reach)? else { return Ok(Exit::Interrupted) };
        let observer = ui.observer();
        let client = self.how.client(&observer)?;
        let registry = self.registry();
        let wish = Wish {
            opened: &opened,
            bundle,
            answers: &answers,
            registry: &registry,
            license: license::From {
                file: self.license.as_deref(),
                there: None,
                customer: self.customer.as_deref(),
                clock: policy.terms().consequences.clock,
                now: clock::now(),
            },
            pull: self.pull_secret.as_deref().map_or(Pull::Docker, Pull::Secret),
            ignored: &self.ignore,
            action: Action::Install,
            parallel: 8,
        };
        let mut prepared = install::prepare(&wish, &reach, &client)?;
        install::may_install(&prepared)?;
        report.plan(&prepared, &reach);
        report.dry_run = self.dry_run;
        if refused(&report.findings) || self.dry_run {
            report.ok = !refused(&report.findings);
            ui.answer(&report, |page| draw::report(page, &report));
            advise(ui, &report.findings);
            return Ok(if report.ok { Exit::Done } else { Exit::Refused });
        }
        if self.answers.is_none() && !self.yes && !prepared.plan.unchanged && Ui::can_ask() {
            ui.aside(&draw::plan_text(ui.paint(), &report));
            if !ask::confirm(ui.paint(), "Install this?")? {
                ui.say("nothing was changed");
                return Ok(Exit::Interrupted);
            }
        }
        self.work.begin();
        let patience =
            Patience { observer: observer.as_ref(), stop: self.work.stop(), stall: self.wait.stall() };
        let ended = if prepared.plan.unchanged {
            act::confirm(&prepared, &reach, &patience)
        } else {
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
        Some(Ending::Work(self.work.clone()))
    }
}

impl Install {
    fn open(&self, policy: &Policy) -> Result<Opened, Failure> {
        let state = state::folder();
        Ok(install::open(&unlock::Request {
            folders: &self.bundle.folders,
            policy,
            with: None,
            now: clock::now(),
            state: state.as_deref(),
            allow_downgrade: self.trusted.allow_downgrade,
        })?)
    }

    fn registry(&self) -> Registry {
        let place = self.registry.trim_end_matches('/').to_owned();
        Registry { place, rules: self.map.clone(), flatten: self.flatten }
    }

    fn given(&self) -> Result<Option<(Given, String)>, Failure> {
        let Some(path) = &self.answers else { return Ok(None) };
        let shown = path.display().to_string();
        let bytes = fs::read_limited(path, limits::HAND_WRITTEN_BYTES)?;
        Ok(Some((Given::parse(&bytes, &shown).map_err(|error| super::failure::answers(&error))?, shown)))
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
        match write_report(report, self.report.as_deref()) {
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

/// Writes both forms of the report to `prefix`, else into the state folder; gives the page's path.
pub(super) fn write_report(report: &Report, prefix: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let prefix = match (prefix, state::folder(), &report.release, &report.plan) {
        (Some(prefix), ..) => prefix.to_owned(),
        (None, Some(state), Some(release), Some(plan)) => {
            state.join("reports").join(format!("{}-{}-r{}", release.name, release.version, plan.revision))
        }
        _ => return Ok(None),
    };
    let with = |ending: &str| PathBuf::from(format!("{}.{ending}", prefix.display()));
    let page = report.page().map_err(|error| Failure::world("report", error.to_string()))?;
    let mut json = serde_json::to_string_pretty(report).unwrap_or_default();
    json.push('\n');
    fs::private_folder_of(&with("html"))?;
    fs::write(&with("html"), page.as_bytes(), fs::PRIVATE)?;
    fs::write(&with("json"), json.as_bytes(), fs::PRIVATE)?;
    Ok(Some(with("html")))
}
