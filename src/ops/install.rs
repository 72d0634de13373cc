//! `bundle install`: a release, out of the customer's registry, into a cluster.
//!
//! [`open`] reads what is asked, and nothing of the cluster. [`prepare`] finds out everything else and decides, and changes nothing: images
//! in the registry, the licence, the charts rendered with what is there and relocated, rights, what becomes of every object. [`act::act`]
//! carries that out. What was meant is written into the cluster before it is done, so whoever runs it again, after whatever moment it was
//! killed at, goes on from there.

use std::path::PathBuf;

use serde::Serialize;
use signing::KeyId;

use crate::bundle::index::{Index, Release};
use crate::chart::ArchiveError;
use crate::chart::rendered::FreezeError;
use crate::oci::Reference;
use crate::ops::cluster;
use crate::ops::finding::{Finding, refused};
use crate::ops::hold::Subject;
use crate::ops::open::Authenticated;
use crate::ops::unlock;
use crate::plan::changes::{Change, ObjectChange};
use crate::plan::installed::{Action, History, Installed, Record, Registry, Status};
use crate::plan::mapping::MappingError;
use crate::plan::rights::Right;
use crate::registry;
use crate::release::questions::{self, Answers, Questions};
use crate::release::template;
use crate::release::values::Values;
use crate::relocate;
use crate::sys::fs;
use crate::sys::random::RandomError;
use crate::tools::{helm, kubectl};

pub mod act;
pub mod charts;
pub mod health;
pub mod license;
mod prepare;
pub mod report;
pub mod secrets;
pub mod wait;

use charts::{Absent, Ready};
pub use prepare::prepare;
use secrets::{Kept, Made};

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle cannot be read.
    #[error(transparent)]
    Unlock(#[from] unlock::Error),
    /// The cluster cannot be reached, or what it remembers cannot be read.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// References cannot be mapped.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The bundle says nothing of how it is installed.
    #[error("{release} has no chart: there is nothing to install")]
    NoChart {
        /// Name and version.
        release: String,
    },
    /// The questions of the bundle cannot be asked.
    #[error(transparent)]
    Questions(#[from] questions::Error),
    /// The values template of the bundle cannot be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Template(Vec<template::Error>),
    /// The values cannot be made of these answers.
    #[error(transparent)]
    Values(template::Error),
    /// Things of the bundle are not in the registry.
    #[error("{}", .0.iter().map(|one| format!("{} is not in the registry, at {}", one.what, one.at)).collect::<Vec<_>>().join("\n"))]
    NotLoaded(Vec<Absent>),
    /// What the registry has is not the chart.
    #[error("{at}: {why}")]
    ChartInRegistry {
        /// Where.
        at: String,
        /// Why it is not.
        why: String,
    },
    /// A chart's archive is none.
    #[error("chart {chart}: {source}")]
    Archive {
        /// Which.
        chart: String,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// What a chart renders cannot be pointed to the customer's registry.
    #[error("chart {chart}: {source}")]
    Relocate {
        /// Which.
        chart: String,
        /// What is in the way.
        source: relocate::Error,
    },
    /// What a chart renders is not what manifests are.
    #[error("chart {chart}: {source}")]
    Freeze {
        /// Which.
        chart: String,
        /// What is wrong with it.
        source: FreezeError,
    },
    /// Helm's fault.
    #[error(transparent)]
    Helm(#[from] helm::Error),
    /// kubectl's, or the cluster's, fault.
    #[error(transparent)]
    Kubectl(#[from] kubectl::Error),
    /// The cluster is of a version that the release is not for.
    #[error("the cluster runs Kubernetes {got}; {release} needs {wanted}")]
    ClusterVersion {
        /// The release and its version.
        release: String,
        /// The cluster's version.
        got: semver::Version,
        /// What would do.
        wanted: semver::VersionReq,
    },
    /// The user may not do what is needed.
    #[error("{}", .0.iter().map(told).collect::<Vec<_>>().join("\n"))]
    Rights(Vec<Right>),
    /// Several licences lie in the bundle, and none is named.
    #[error("several licences lie in licenses/: {}", .0.join(", "))]
    SeveralLicenses(Vec<String>),
    /// A licence was given to a release that names no key for licences.
    #[error("{file}: the release names no key that licences are checked with", file = file.display())]
    NoLicensePolicy {
        /// The file.
        file: PathBuf,
    },
    /// Another version is installed.
    #[error("{installed} is installed; {wanted} is to be")]
    OtherVersion {
        /// Which is.
        installed: semver::Version,
        /// Which is to be.
        wanted: semver::Version,
    },
    /// Work of another kind was left half done.
    #[error("revision {revision} was left at \"{status}\" by {action:?}")]
    Unfinished {
        /// Which revision.
        revision: u32,
        /// How it was left.
        status: &'static str,
        /// By what.
        action: Action,
    },
    /// The system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

fn told(right: &Right) -> String {
    let place = right
        .namespace
        .as_deref()
        .map_or_else(|| "in the whole cluster".to_owned(), |n| format!("in namespace {n}"));
    format!("this user may not {} {} {place}", right.verb, right.resource)
}

/// A bundle that is to be installed.
pub struct Opened {
    /// What it is; `None` when the signatures do not hold.
    pub release: Option<Release>,
    /// Whose signatures hold.
    pub signers: Vec<KeyId>,
    /// Everything seen.
    pub findings: Vec<Finding>,
    /// The bundle, when none of the findings refuses it.
    pub bundle: Option<Authenticated>,
    /// What is asked.
    pub questions: Questions,
    /// What makes values of the answers.
    pub template: Option<Values>,
}

/// Reads a bundle's signatures, and its questions and values template as they were signed.
///
/// # Errors
/// What keeps it from being read.
pub fn open(request: &unlock::Request<'_>) -> Result<Opened, Error> {
    let seen = unlock::authenticate(request)?;
    let mut opened = Opened {
        release: seen.release,
        signers: seen.signers,
        findings: seen.findings,
        bundle: seen.bundle,
        questions: Questions { questions: Vec::new() },
        template: None,
    };
    let Some(bundle) = &opened.bundle else { return Ok(opened) };
    let Some(install) = &bundle.index.get().install else { return Ok(opened) };
    if let Some(path) = &install.questions {
        opened.questions = Questions::parse(&cluster::listed(bundle, path)?, path.as_str())?;
    }
    if let Some(path) = &install.values_template {
        let text = cluster::listed(bundle, path)?;
        let text = String::from_utf8_lossy(&text);
        opened.template =
            Some(Values::parse(&text, path.as_str(), &opened.questions).map_err(Error::Template)?);
    }
    Ok(opened)
}

/// Where the login to pull images with comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull<'a> {
    /// The user's Docker configuration, where it has one for the registry.
    Docker,
    /// A secret that is there.
    Secret(&'a str),
}

/// What is to be installed, and how.
pub struct Wish<'a> {
    /// The bundle, opened.
    pub opened: &'a Opened,
    /// Its content, which nothing refuses.
    pub bundle: &'a Authenticated,
    /// The answers.
    pub answers: &'a Answers,
    /// The customer's registry.
    pub registry: &'a Registry,
    /// The licence.
    pub license: license::From<'a>,
    /// The login to pull images with.
    pub pull: Pull<'a>,
    /// References that may stay as they are.
    pub ignored: &'a [Reference],
    /// What is done.
    pub action: Action,
    /// Requests to the registry at the same time.
    pub parallel: usize,
}

/// What will be done, as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The revision it will be.
    pub revision: u32,
    /// What is done.
    pub action: Action,
    /// Whether all is as it is to be already.
    pub unchanged: bool,
    /// Namespaces, and what becomes of each.
    pub namespaces: Vec<(String, Change)>,
    /// Secrets that the program itself keeps.
    pub secrets: Vec<secrets::Shown>,
    /// The charts.
    pub charts: Vec<ChartPlan>,
    /// The licence in one line.
    pub license: String,
    /// Where it will be reached.
    pub addresses: Vec<String>,
}

/// What becomes of one chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChartPlan {
    /// The chart and its Helm release.
    #[serde(flatten)]
    pub chart: Installed,
    /// How Helm left the one that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub there: Option<String>,
    /// Its objects.
    pub objects: Vec<ObjectChange>,
}

/// Everything that is decided, and what it takes to do it.
pub struct Prepared {
    /// What will be done.
    pub plan: Plan,
    /// What was seen on the way.
    pub findings: Vec<Finding>,
    /// The record as it will be.
    pub record: Record,
    /// What is remembered.
    pub history: History,
    /// The charts.
    pub charts: Vec<Ready>,
    /// The secrets.
    pub secrets: Vec<Kept>,
    /// The licence's bytes.
    pub license: Option<Vec<u8>>,
    /// What was made, to be told once.
    pub made: Vec<Made>,
    /// The values.
    pub values: String,
}

impl Prepared {
    /// What must be held while it is carried out.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        let namespace = self.record.namespace.as_str();
        let make = |(name, change): &(String, Change)| name == namespace && *change == Change::Create;
        Subject {
            release: &self.record.release.name,
            namespace,
            history: &self.history,
            make_namespace: self.plan.namespaces.iter().any(make),
        }
    }

    /// Whether nothing that was seen refuses it.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        !refused(&self.findings)
    }
}

/// The namespace of what the program itself keeps: the first chart's.
#[must_use]
pub fn home_namespace(index: &Index) -> Option<String> {
    let first = index.charts.first()?;
    Some(first.namespace.clone().unwrap_or_else(|| index.release.name.clone()))
}

/// The secret that a release's licence is kept in: `<Helm release of the first chart>-license`.
#[must_use]
pub fn license_secret(index: &Index) -> String {
    let first = index.charts.first();
    let release =
        first.map_or(index.release.name.as_str(), |chart| chart.release.as_deref().unwrap_or(&chart.name));
    format!("{release}-license")
}

/// Whether [`Action::Install`] is what is to be done with what is there.
///
/// # Errors
/// [`Error::OtherVersion`] where another version runs, [`Error::Unfinished`] where something else was left half done.
pub fn may_install(prepared: &Prepared) -> Result<(), Error> {
    if let Some(left) = prepared
        .history
        .unfinished()
        .filter(|left| left.action != Action::Install || left.status == Status::Uninstalling)
    {
        return Err(Error::Unfinished {
            revision: left.revision,
            status: left.status.word(),
            action: left.action,
        });
    }
    let wanted = &prepared.record.release.version;
    match prepared.history.deployed().filter(|there| there.release.version != *wanted) {
        Some(there) => {
            Err(Error::OtherVersion { installed: there.release.version.clone(), wanted: wanted.clone() })
        }
        None => Ok(()),
    }
}
