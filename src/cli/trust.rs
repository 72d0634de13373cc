//! `bundle trust`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgGroup, Args, Subcommand};
use signing::Weight;
use signing::policy::Consequences;
use signing::time::Time;

use super::secrets::Passphrases;
use super::ui::Page;
use super::{Exit, Failure, Ui, Verb};
use crate::ops::keys;
use crate::ops::trust::{self, NewPolicy, Report};

/// Make, show or change a trust policy: whose signatures count, and how many it takes.
///
/// The policy (trust.json) is the customer's and lives with the customer, never in a bundle.
#[derive(Debug, Args)]
pub(super) struct Trust {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    Init(Init),
    Rotate(Rotate),
    Show(Show),
}

/// Write a first policy.
#[derive(Debug, Args)]
struct Init {
    #[command(flatten)]
    terms: NewTerms,
    /// How many of the keys must have signed a bundle.
    #[arg(long, value_name = "N")]
    threshold: u32,
    /// A public key that counts (.pub); its file's name becomes the key's name. Repeatable.
    #[arg(long, value_name = "PUB", required = true)]
    key: Vec<PathBuf>,
    /// Where to write the policy; nothing may be there.
    #[arg(long, value_name = "FILE", default_value = "trust.json")]
    out: PathBuf,
}

/// Change the keys: draft the next policy, sign it, put it in force.
///
/// Three steps, on different days and machines if need be; a threshold of the old and of the new keys must have signed:
///
///   bundle trust rotate --trust trust.json --key NEW.pub --threshold 1 --out next.json --sign-key OLD.key
///   bundle trust rotate --endorse next.json --sign-key NEW.key
///   bundle trust rotate --trust trust.json --accept next.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[command(group = ArgGroup::new("step").args(["key", "endorse", "accept"]).required(true))]
struct Rotate {
    /// The policy in force; --accept replaces it.
    #[arg(
        long,
        alias = "policy",
        value_name = "POLICY",
        env = "BUNDLE_TRUST",
        hide_env_values = true,
        default_value = "trust.json"
    )]
    trust: PathBuf,
    /// Draft: a public key that shall count from now on; name all of them. Repeatable.
    #[arg(long, value_name = "PUB", requires_all = ["threshold", "out"])]
    key: Vec<PathBuf>,
    /// Draft: how many of the new keys must have signed a bundle.
    #[arg(long, value_name = "N", requires = "key")]
    threshold: Option<u32>,
    /// Draft: where to write the next policy; nothing may be there.
    #[arg(long, value_name = "FILE", requires = "key")]
    out: Option<PathBuf>,
    #[command(flatten)]
    terms: NewTerms,
    /// Add signatures to this draft.
    #[arg(long, value_name = "DRAFT", requires = "sign_key")]
    endorse: Option<PathBuf>,
    /// Put this draft in force.
    #[arg(long, value_name = "DRAFT", conflicts_with = "sign_key")]
    accept: Option<PathBuf>,
    /// A private key to sign the draft with, old or new. Repeatable.
    #[arg(long, value_name = "KEY")]
    sign_key: Vec<PathBuf>,
    #[command(flatten)]
    passphrases: Passphrases,
}

/// Show what a policy says.
#[derive(Debug, Args)]
struct Show {
    /// The policy.
    #[arg(value_name = "POLICY", env = "BUNDLE_TRUST", hide_env_values = true, default_value = "trust.json")]
    policy: PathBuf,
}

/// What a new policy may say besides its keys.
#[derive(Debug, Args)]
struct NewTerms {
    /// When it begins to hold, like 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    valid_from: Option<Time>,
    /// The last second it holds.
    #[arg(long, value_name = "TIME")]
    valid_until: Option<Time>,
    /// What follows from a finding: clock, downgrade, expired, not-yet-valid or unknown-key; ignore, warn or refuse. Repeatable.
    #[arg(long, value_name = "FINDING=WEIGHT", value_parser = weighing)]
    weigh: Vec<(Matter, Weight)>,
}

#[derive(Debug, Clone, Copy)]
enum Matter {
    Clock,
    Downgrade,
    Expired,
    NotYetValid,
    UnknownKey,
}

fn weighing(text: &str) -> Result<(Matter, Weight), String> {
    let (matter, weight) = text.split_once('=').ok_or("expected FINDING=WEIGHT, like expired=refuse")?;
    let matter = match matter {
        "clock" => Matter::Clock,
        "downgrade" => Matter::Downgrade,
        "expired" => Matter::Expired,
        "not-yet-valid" => Matter::NotYetValid,
        "unknown-key" => Matter::UnknownKey,
        _ => {
            return Err(
                "the finding is one of clock, downgrade, expired, not-yet-valid, unknown-key".to_owned()
            );
        }
    };
    let weight = match weight {
        "ignore" => Weight::Ignore,
        "warn" => Weight::Warn,
        "refuse" => Weight::Refuse,
        _ => return Err("the weight is one of ignore, warn, refuse".to_owned()),
    };
    Ok((matter, weight))
}

impl NewTerms {
    /// `base` with what was asked for; `None` when nothing was.
    fn consequences(&self, base: Consequences) -> Option<Consequences> {
        let mut all = base;
        for (matter, weight) in &self.weigh {
            let place = match matter {
                Matter::Clock => &mut all.clock,
                Matter::Downgrade => &mut all.downgrade,
                Matter::Expired => &mut all.expired,
                Matter::NotYetValid => &mut all.not_yet_valid,
                Matter::UnknownKey => &mut all.unknown_key,
            };
            *place = *weight;
        }
        (!self.weigh.is_empty()).then_some(all)
    }

    fn policy(&self, keys: &[PathBuf], threshold: u32, base: Consequences) -> NewPolicy {
        NewPolicy {
            keys: keys.to_vec(),
            threshold,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            consequences: self.consequences(base),
        }
    }
}

impl Verb for Trust {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        let (done, report) = match &self.step {
            Step::Init(init) => {
                let new = init.terms.policy(&init.key, init.threshold, Consequences::default());
                ("written", trust::init(&new, &init.out)?)
            }
            Step::Show(show) => ("", trust::show(&show.policy)?),
            Step::Rotate(rotate) => rotate.run(ui)?,
        };
        ui.answer(&report, |page| draw(page, done, &report));
        Ok(Exit::Done)
    }
}

impl Rotate {
    fn run(&self, ui: &Ui) -> Result<(&'static str, Report), Failure> {
        if let Some(draft) = &self.accept {
            return Ok(("in force now", trust::accept(&self.trust, draft)?));
        }
        let signers = self
            .sign_key
            .iter()
            .map(|path| keys::signing_key(path, &|path| self.passphrases.ask(ui, path)))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(draft) = &self.endorse {
            return Ok(("signed", trust::sign(draft, &signers)?));
        }
        // clap has seen to both being there.
        let (Some(threshold), Some(out)) = (self.threshold, &self.out) else {
            return Err(Failure::usage("arguments", "--key needs --threshold and --out"));
        };
        let base = keys::policy(&self.trust)?.terms().consequences;
        let new = self.terms.policy(&self.key, threshold, base);
        Ok(("drafted, not in force yet", trust::draft(&self.trust, &new, &signers, out)?))
    }
}

fn draw(page: &mut Page, done: &str, report: &Report) {
    let done = if done.is_empty() { String::new() } else { format!(" is {done}") };
    page.title(&format!("{}, version {}{done}", report.path, report.version));
    let time = |time: Option<Time>, none: &str| time.map_or_else(|| none.to_owned(), |time| time.to_string());
    let mut rows =
        vec![("signatures", format!("{} of {} keys must have signed", report.threshold, report.keys.len()))];
    if report.valid_from.is_some() || report.valid_until.is_some() {
        let (from, until) = (time(report.valid_from, "always"), time(report.valid_until, "for ever"));
        rows.push(("valid", format!("{from} until {until}")));
    }
    for key in &report.keys {
        let name = key.name.as_deref().unwrap_or("(no name)");
        let signed = if report.signed_by.contains(&key.id) { "  signed this policy" } else { "" };
        rows.push(("key", format!("{}  {name}{signed}", key.id)));
    }
    for id in report.signed_by.iter().filter(|id| !report.keys.iter().any(|key| key.id == **id)) {
        rows.push(("signed by", format!("{id}  (not one of these keys)")));
    }
    let weight = |weight: Weight| match weight {
        Weight::Ignore => "is ignored",
        Weight::Warn => "is a warning",
        Weight::Refuse => "refuses",
    };
    let all = &report.consequences;
    rows.push(("expired", weight(all.expired).to_owned()));
    rows.push(("not yet valid", weight(all.not_yet_valid).to_owned()));
    rows.push(("no clock", weight(all.clock).to_owned()));
    rows.push(("unknown key", weight(all.unknown_key).to_owned()));
    rows.push(("older release", weight(all.downgrade).to_owned()));
    page.rows(&rows);
}
