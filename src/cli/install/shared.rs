//! What `install` and `upgrade` share: their options, what they read, and how they say how it ended.

use std::path::{Path, PathBuf};

use clap::Args;
use signing::Policy;

use super::super::bundle::{Folders, Trusted, advise};
use super::super::cluster::{ClusterArgs, Doing};
use super::super::registry::RegistryArgs;
use super::super::{Exit, Failure, Ui};
use crate::limits;
use crate::oci::Reference;
use crate::ops::install::act::Ended;
use crate::ops::install::license::{From, There};
use crate::ops::install::report::Report;
use crate::ops::install::{self, Opened};
use crate::ops::unlock;
use crate::release::questions::Given;
use crate::sys::{clock, fs, state};

/// What both take.
#[derive(Debug, Args)]
pub(in crate::cli) struct Shared {
    /// Take answers from this file (YAML).
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) answers: Option<PathBuf>,
    /// The licence, where it is neither the one in the bundle's licenses/ nor, at an upgrade, the one in force.
    #[arg(long, value_name = "FILE")]
    license: Option<PathBuf>,
    /// Whose licence it must be.
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Pull images with this secret, which is there (else as before, or with the login of the Docker configuration).
    #[arg(long, value_name = "SECRET")]
    pub(in crate::cli) pull_secret: Option<String>,
    /// A reference that may stay as it is. Repeatable.
    #[arg(long, value_name = "REFERENCE")]
    pub(in crate::cli) ignore: Vec<Reference>,
    /// Write the report to PREFIX.html and PREFIX.json (else into the state folder).
    #[arg(long, value_name = "PREFIX")]
    pub(in crate::cli) report: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) doing: Doing,
    #[command(flatten)]
    pub(in crate::cli) cluster: ClusterArgs,
    #[command(flatten)]
    pub(in crate::cli) how: RegistryArgs,
}

impl Shared {
    /// The bundle: its signatures, its questions, its template of values.
    pub(in crate::cli) fn open(
        &self,
        bundle: &Folders,
        trusted: &Trusted,
        policy: &Policy,
    ) -> Result<Opened, Failure> {
        let state = super::super::bundle::state(&bundle.folders)?;
        Ok(install::open(&unlock::Request {
            folders: &bundle.folders,
            policy,
            with: None,
            now: clock::now(),
            state: state.as_deref(),
            allow_downgrade: trusted.allow_downgrade,
        })?)
    }

    /// The answers of the file, and how it is called in messages.
    pub(in crate::cli) fn given(&self) -> Result<Option<(Given, String)>, Failure> {
        let Some(path) = &self.answers else { return Ok(None) };
        let shown = path.display().to_string();
        let bytes = fs::read_limited(path, limits::HAND_WRITTEN_BYTES)?;
        let given = Given::parse(&bytes, &shown).map_err(|error| super::super::failure::answers(&error))?;
        Ok(Some((given, shown)))
    }

    /// Where the licence comes from; `there` is the one in force.
    pub(in crate::cli) fn license<'a>(&'a self, policy: &Policy, there: Option<&'a There>) -> From<'a> {
        From {
            file: self.license.as_deref(),
            there,
            customer: self.customer.as_deref(),
            clock: policy.terms().consequences.clock,
            now: clock::now(),
        }
    }

    /// What follows from a plan that is not carried out: because something refuses it, or because only the plan was wanted.
    pub(in crate::cli) fn planned(ui: &Ui, report: &Report) -> Exit {
        advise(ui, &report.findings);
        if report.ok { Exit::Done } else { Exit::Refused }
    }

    /// Writes the report, and gives the end.
    pub(in crate::cli) fn end(&self, ui: &Ui, report: &Report, ended: &Ended) -> Result<Exit, Failure> {
        match write(report, self.report.as_deref()) {
            Ok(Some(path)) => ui.say(&format!("report: {}", path.display())),
            Ok(None) => {}
            Err(error) => ui.warn(&format!("the report could not be written: {}", error.message())),
        }
        match &ended.fault {
            None => Ok(Exit::Done),
            Some(fault) => {
                Err(super::super::failure::acted(fault, &ended.left, ended.record.release.name.as_str()))
            }
        }
    }
}

/// Writes both forms of the report to `prefix`, else into the state folder; gives the page's path.
fn write(report: &Report, prefix: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
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
