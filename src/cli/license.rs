//! `bundle license`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use signing::Weight;
use signing::license::{Claims, Expect, UNLIMITED, Verdict};
use signing::time::Time;

use super::secrets::Passphrases;
use super::ui::{Page, Voice};
use super::{Exit, Failure, Ui, Verb};
use crate::ops::keys;
use crate::ops::license::{self, Check, Checked, told};
use crate::sys::clock;

mod cluster;

/// Issue licence files, check them, show what one says, or put one into a cluster.
///
/// A licence is a signed JWT that needs no server: what a customer may use, and until when.
#[derive(Debug, Args)]
pub(super) struct License {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    Issue(Box<Issue>),
    Verify(Verify),
    Inspect(Inspect),
    Install(Box<cluster::Install>),
    Status(Box<cluster::Status>),
}

/// Issue a licence to a customer.
///
/// The key is RSA, in PEM as openssl genpkey -algorithm RSA makes it (signs by RS256), or Ed25519, as bundle keygen signing makes it.
#[derive(Debug, Args)]
struct Issue {
    /// The private key licences are signed with.
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    #[command(flatten)]
    passphrases: Passphrases,
    /// Whose it is.
    #[arg(long, value_name = "ID")]
    customer: String,
    /// What was bought.
    #[arg(long, value_name = "TIER")]
    tier: String,
    /// The moment it is over: a day (its first second, UTC) or a time like 2027-01-31T08:00:00Z.
    #[arg(long, value_name = "DATE", value_parser = moment)]
    expires: Time,
    /// Where to write it; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The tiers there are, and what each grants (tiers.yaml).
    #[arg(long, value_name = "FILE")]
    tiers: Option<PathBuf>,
    /// A limit, beside the tier's or better than it; N may be unlimited. Repeatable.
    #[arg(long, value_name = "NAME=N", value_parser = limit)]
    limit: Vec<(String, i64)>,
    /// A feature beside the tier's. Repeatable.
    #[arg(long, value_name = "NAME")]
    feature: Vec<String>,
    /// A note for people, like contact=jane@example.com. Repeatable.
    #[arg(long, value_name = "NAME=TEXT", value_parser = pair)]
    field: Vec<(String, String)>,
    /// The moment it begins; without it, at once.
    #[arg(long, value_name = "DATE", value_parser = moment)]
    not_before: Option<Time>,
    /// Days it goes on working after it expired (else what the tiers say, else 30).
    #[arg(long, value_name = "N")]
    grace_days: Option<u32>,
    /// Days before it expires from which that is announced (else what the tiers say, else 14).
    #[arg(long, value_name = "N")]
    warn_days: Option<u32>,
    /// Who issues it (else whom the tiers name).
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// What the licence's name begins with (else what the tiers say, else LIC).
    #[arg(long, value_name = "PREFIX")]
    key_prefix: Option<String>,
}

/// Check a licence: its signature, whose it is, and how long it holds.
///
/// Exit code 0 when it is valid, about to expire, or in its grace; 1 when it is refused.
#[derive(Debug, Args)]
struct Verify {
    /// The licence (.lic).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public key licences are checked with.
    #[arg(long, value_name = "PUB")]
    public_key: PathBuf,
    /// Whose it must be.
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Who must have issued it.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// A feature it must grant. Repeatable.
    #[arg(long, value_name = "NAME")]
    feature: Vec<String>,
    /// Judge it at this moment, not by the clock: a day or a time like 2027-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Time>,
}

/// Show what a licence says. Nothing of it is checked.
#[derive(Debug, Args)]
struct Inspect {
    /// The licence (.lic).
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// A day means its first second, as the owner of a contract that ends on that day reads it least generously.
fn moment(text: &str) -> Result<Time, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let form = || "expected a day like 2027-01-31 or a time like 2027-01-31T08:00:00Z".to_owned();
    whole.parse().map_err(|_| form())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("expected NAME=TEXT")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn limit(text: &str) -> Result<(String, i64), String> {
    let form = "expected NAME=N, where N is a whole number or unlimited";
    let (name, value) = pair(text).map_err(|_| form)?;
    let value = if value == "unlimited" { UNLIMITED } else { value.parse().map_err(|_| form)? };
    if value < UNLIMITED { Err(form.to_owned()) } else { Ok((name, value)) }
}

/// Options that were given, each name once.
fn once<T: Clone>(option: &str, given: &[(String, T)]) -> Result<BTreeMap<String, T>, Failure> {
    let mut all = BTreeMap::new();
    for (name, value) in given {
        if all.insert(name.clone(), value.clone()).is_some() {
            let message = format!("{option} {name} is given twice, and only one of the two can hold");
            return Err(Failure::usage("arguments", message).hint("give each name once"));
        }
    }
    Ok(all)
}

impl Verb for License {
    fn run(&self, ui: &Arc<Ui>) -> Result<Exit, Failure> {
        match &self.step {
            Step::Issue(issue) => issue.run(ui),
            Step::Verify(verify) => verify.run(ui),
            Step::Inspect(inspect) => inspect.run(ui),
            Step::Install(install) => install.run(ui),
            Step::Status(status) => status.run(ui),
        }
    }
}

impl Issue {
    fn run(&self, ui: &Ui) -> Result<Exit, Failure> {
        let (limits, fields) = (once("--limit", &self.limit)?, once("--field", &self.field)?);
        let signer = keys::license_signer(&self.key, &|path| self.passphrases.ask(ui, path))?;
        let report = license::issue(&license::Issue {
            signer: &signer,
            tiers: self.tiers.as_deref(),
            customer: &self.customer,
            tier: &self.tier,
            expires: self.expires,
            not_before: self.not_before,
            limits: &limits,
            features: &self.feature,
            fields: &fields,
            issuer: self.issuer.as_deref(),
            key_prefix: self.key_prefix.as_deref(),
            grace_days: self.grace_days,
            warn_days: self.warn_days,
            out: &self.out,
        })?;
        ui.answer(&report, |page| {
            page.title(&format!("Issued a licence to {}: {}", report.claims.customer, report.file));
            let mut rows = said(&report.claims);
            rows.push((
                "signed by",
                format!("{} ({}, {})", report.key.id, report.key.algorithm, report.key.kind),
            ));
            page.rows(&rows);
        });
        Ok(Exit::Done)
    }
}

impl Verify {
    fn run(&self, ui: &Ui) -> Result<Exit, Failure> {
        let key = keys::license_key(&self.public_key)?;
        let expect = Expect {
            customer: self.customer.as_deref(),
            issuer: self.issuer.as_deref(),
            features: &self.feature,
            ..Expect::default()
        };
        let now = self.at.map_or_else(clock::now, |at| Some(at.unix()));
        let report = license::check(&Check { file: &self.file, key: &key, expect, now })?;
        ui.answer(&report, |page| draw(page, &report));
        for verdict in &report.verdicts {
            if ui.voice() == Voice::Quiet && verdict.weight(expect.clock) == Weight::Refuse {
                ui.refuse(&format!("{}: {}", report.file, told(verdict)));
            }
            if let Some(hint) = remedy(verdict) {
                ui.hint(hint);
            }
        }
        Ok(if report.ok { Exit::Done } else { Exit::Refused })
    }
}

fn draw(page: &mut Page, report: &Checked) {
    let paint = page.paint();
    page.title(&report.file);
    let mut rows =
        vec![("checked with", format!("{} ({}, {})", report.key.id, report.key.algorithm, report.key.kind))];
    if let Some(at) = report.at {
        rows.push(("at", at.to_string()));
    }
    if let Some(claims) = &report.claims {
        rows.extend(said(claims));
    }
    page.rows(&rows);
    for verdict in &report.verdicts {
        let label = match verdict.weight(Weight::Warn) {
            Weight::Refuse => paint.red("refused"),
            Weight::Warn => paint.yellow("warning"),
            Weight::Ignore => paint.green("fine"),
        };
        page.labelled(&label, &told(verdict));
    }
    page.painted(&if report.ok { paint.green("OK") } else { paint.red("REFUSED") });
}

/// What a licence says, in rows.
fn said(claims: &Claims) -> Vec<(&'static str, String)> {
    let granted = &claims.entitlements;
    let mut rows = vec![
        ("customer", claims.customer.clone()),
        ("tier", granted.tier.clone()),
        ("issued", format!("{} by {}", claims.issued, claims.issuer)),
    ];
    rows.extend(claims.license_key.iter().map(|key| ("licence key", key.clone())));
    rows.extend(claims.not_before.map(|from| ("begins", from.to_string())));
    rows.push(("expires", claims.expires.to_string()));
    rows.extend(claims.warn_days.map(|days| ("warning", format!("{days} days before"))));
    rows.extend(claims.grace_days.map(|days| ("grace", format!("{days} days after"))));
    for (name, limit) in &granted.limits {
        let limit = if *limit == UNLIMITED { "unlimited".to_owned() } else { limit.to_string() };
        rows.push(("limit", format!("{name}: {limit}")));
    }
    if !granted.features.is_empty() {
        rows.push(("features", granted.features.iter().cloned().collect::<Vec<_>>().join(", ")));
    }
    for (name, value) in &granted.custom_fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        rows.push(("note", format!("{name}: {value}")));
    }
    rows.extend(claims.others.keys().map(|name| ("not known here", name.clone())));
    rows
}

impl Inspect {
    fn run(&self, ui: &Ui) -> Result<Exit, Failure> {
        let report = license::show(&self.file)?;
        ui.answer(&report, |page| {
            page.title(&report.file);
            let key = report.key.as_ref().map_or_else(String::new, |key| format!(" with key {key}"));
            let mut rows = vec![(
                "trust",
                "NOT CHECKED: anybody can have written this (bundle license verify checks)".to_owned(),
            )];
            rows.push(("claims to be", format!("signed by {}{key}", report.algorithm)));
            rows.extend(said(&report.claims));
            page.rows(&rows);
        });
        Ok(Exit::Done)
    }
}

/// What to do next.
fn remedy(verdict: &Verdict) -> Option<&'static str> {
    Some(match verdict {
        Verdict::Valid { .. } => return None,
        Verdict::Warning { .. } | Verdict::Grace { .. } => "ask the vendor for a renewed licence",
        Verdict::Expired { .. } => {
            "if the clock is right (date -u), ask the vendor for a renewed licence; if it is wrong, set it, or give the time with --at"
        }
        Verdict::NotYetValid { .. } => {
            "look at the clock (date -u) first: this is also what a clock that is behind looks like"
        }
        Verdict::ClockUnset | Verdict::ClockBehind { .. } => {
            "set the clock, or give the time with --at; nothing is refused because of a wrong clock"
        }
        Verdict::OtherCustomer { .. } => "use the licence that was made for this customer; look at the file",
        Verdict::OtherIssuer { .. } | Verdict::WrongKey { .. } => {
            "look whether this is the vendor's public key for licences, and this vendor's licence"
        }
        Verdict::LacksFeatures { .. } => "ask the vendor for a licence that grants this",
        Verdict::Altered { .. } | Verdict::WrongAlgorithm { .. } => {
            "do not use it: get the licence from the vendor again, and tell them"
        }
        Verdict::Malformed { .. } | Verdict::Oversized { .. } => {
            "the file is damaged, or is not a licence: get it from the vendor again, as a file and not by copying text"
        }
    })
}
