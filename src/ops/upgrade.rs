//! `bundle upgrade`: the release that runs, brought to the one in a bundle; on any failure back where it was.
//!
//! What is decided first, and changes nothing: whether there is a way from what runs ([`standing`]), the answers that were given carried into the
//! questions there are now ([`answers`]), everything else as for an installation, and whether the registry holds every blob ([`held`]). Then
//! the backup ([`backup`]), and then the same steps as an installation, which end in the new release or in the old one.

use std::collections::BTreeMap;

use semver::Version;
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::bundle::index::Index;
use crate::bundle::names;
use crate::ops::cluster::{self, Reach};
use crate::ops::install::report::Report as Installation;
use crate::ops::install::{self, home_namespace, license, secrets};
use crate::ops::open::Authenticated;
use crate::plan::installed::{Action, History, Record, Registry, SecretKey, Status};
use crate::plan::mapping::Mapping;
use crate::plan::placing;
use crate::plan::upgrade::{self as plan, Migrated, NoRoute};
use crate::registry::{self, Client};
use crate::release::questions::{Given, Problem, Questions, Scalar};
use crate::tools::kubectl::Scope;

pub mod backup;
pub mod held;

/// Why nothing was upgraded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// As for an installation.
    #[error(transparent)]
    Install(#[from] install::Error),
    /// Nothing of it runs.
    #[error("{name} is not installed in namespace {namespace}")]
    NotInstalled {
        /// The release.
        name: String,
        /// Where it was looked for.
        namespace: String,
    },
    /// There is no way from what runs, or a longer one.
    #[error(transparent)]
    Route(#[from] NoRoute),
    /// The bundle is made to be given beside an upgrade.
    #[error("it is a supplement to the upgrade to {0}, and nothing by itself")]
    Supplement(Version),
    /// The same version runs, from another bundle.
    #[error("{version} is installed, from another bundle than this one")]
    OtherBundle {
        /// Which version.
        version: Version,
    },
    /// Answers that are missing, or do not fit any more.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Answers(Vec<Problem>),
    /// A secret is answered that is kept already.
    #[error("{variable} is kept in secret {}, key {}, and an upgrade does not change it", at.secret, at.key)]
    Secret {
        /// Which question.
        variable: String,
        /// Where it is kept.
        at: SecretKey,
    },
    /// The registry lost something.
    #[error("{}", held::told(.0))]
    Lost(Vec<held::Lost>),
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// There is no backup.
    #[error(transparent)]
    Backup(#[from] backup::Error),
}

/// What runs, and how far an earlier attempt came.
#[derive(Debug)]
pub struct Standing {
    /// The revision that runs.
    pub from: Record,
    /// Whether the bundle is what runs already.
    pub done: bool,
    /// Whether an earlier attempt at this upgrade had its backup, and was killed or stopped after that.
    pub begun: bool,
    /// What is remembered.
    pub history: History,
}

/// Looks at what runs, and whether `bundle` may replace it.
///
/// # Errors
/// [`Error::NotInstalled`], [`Error::Route`], or what keeps the cluster from being asked.
pub fn standing(bundle: &Authenticated, reach: &Reach) -> Result<Standing, Error> {
    let index = bundle.index.get();
    let release = &index.release;
    if index.base.as_ref().is_some_and(|base| base.version == release.version) {
        return Err(Error::Supplement(release.version.clone()));
    }
    let Some(namespace) = home_namespace(index) else {
        let release = format!("{} {}", release.name, release.version);
        return Err(install::Error::NoChart { release }.into());
    };
    let history =
        cluster::history(&reach.kubectl, &release.name, &namespace).map_err(install::Error::from)?;
    let Some(from) = history.deployed().cloned() else {
        return Err(Error::NotInstalled { name: release.name.clone(), namespace });
    };
    let left = history.unfinished();
    if let Some(other) =
        left.filter(|left| left.action != Action::Upgrade || left.status == Status::Uninstalling)
    {
        let (revision, status, action) = (other.revision, other.status.word(), other.action);
        return Err(install::Error::Unfinished { revision, status, action }.into());
    }
    let digest = names::INDEX.parse().ok().and_then(|name| bundle.sums.get(&name).copied());
    let done = match plan::route(&from.release.version, index.upgrade.as_ref(), &release.version) {
        Ok(()) => false,
        Err(NoRoute::Same(_)) if digest == Some(from.bundle.index) => true,
        Err(NoRoute::Same(version)) => return Err(Error::OtherBundle { version }),
        Err(no) => return Err(no.into()),
    };
    let begun = left.is_some_and(|left| Some(left.bundle.index) == digest);
    Ok(Standing { from, done, begun, history })
}

/// Answers, carried.
#[derive(Debug)]
pub struct Carried {
    /// What is answered.
    pub given: Given,
    /// What became of what was answered before.
    pub migrated: Vec<Migrated>,
    /// The same answers as they are called now, to show when somebody is asked.
    pub before: BTreeMap<String, Value>,
    /// What is still to be answered.
    pub problems: Vec<Problem>,
}

/// Carries the answers that were given into the questions there are now; `more`, called `file` in messages, is what is answered now and goes
/// before. Secrets are read from where they are kept.
///
/// # Errors
/// [`Error::Secret`], or what keeps the cluster from being asked.
pub fn answers(
    (questions, index): (&Questions, &Index),
    from: &Record,
    (more, file): (&Given, &str),
    reach: &Reach,
) -> Result<Carried, Error> {
    let rules = index.upgrade.as_ref().map(|upgrade| upgrade.migrate.as_slice()).unwrap_or_default();
    let (before, mut migrated) = plan::migrate(from.answers.clone(), rules, &from.release.version);
    let mut kept = BTreeMap::new();
    for question in &questions.questions {
        let Some(place) = &question.secret else { continue };
        let at = SecretKey { secret: place.name.clone(), key: place.key.clone() };
        if !from.secrets.contains(&at) {
            continue;
        }
        if more.has(&question.variable) {
            return Err(Error::Secret { variable: question.variable.clone(), at });
        }
        let scope = Scope::Namespace(&from.namespace);
        let secret = reach.kubectl.get("secret", &at.secret, scope).map_err(install::Error::from)?;
        let bytes = secret.as_ref().and_then(|secret| secrets::value_of(secret, &at.key));
        if let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()) {
            kept.insert(question.variable.clone(), Scalar::Text(Zeroizing::new(text)));
        }
    }
    let carried = plan::carry(questions, (&before, kept), more, file);
    migrated.extend(carried.left);
    Ok(Carried { given: carried.given, migrated, before, problems: carried.problems })
}

/// The licence that is in force, for an upgrade that brings none: its bytes as the cluster keeps them.
///
/// # Errors
/// What keeps the cluster from being asked.
pub fn license_in_force(from: &Record, reach: &Reach) -> Result<Option<license::There>, Error> {
    let Some(licensed) = &from.license else { return Ok(None) };
    let scope = Scope::Namespace(&from.namespace);
    let secret = reach.kubectl.get("secret", &licensed.at.secret, scope).map_err(install::Error::from)?;
    let bytes = secret.as_ref().and_then(|secret| secrets::value_of(secret, &licensed.at.key));
    Ok(bytes.map(|bytes| license::There {
        place: format!("secret {}", licensed.at.secret),
        customer: licensed.customer.clone(),
        bytes: bytes.to_vec(),
    }))
}

/// What the registry lost of what it should hold.
///
/// # Errors
/// When it cannot be asked.
pub fn lost(index: &Index, registry: &Registry, parallel: usize, client: &Client) -> Result<(), Error> {
    let mapping =
        Mapping::new(&registry.place, &registry.rules, registry.flatten).map_err(install::Error::from)?;
    let placed = placing::place(index, &mapping).map_err(install::Error::from)?;
    let lost = held::lost(&placed, parallel, client)?;
    if lost.is_empty() { Ok(()) } else { Err(Error::Lost(lost)) }
}

/// What an upgrade did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// As of an installation.
    #[serde(flatten)]
    pub install: Installation,
    /// The version that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    /// What became of the answers that were given before.
    pub answers: Vec<Migrated>,
    /// The backup that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<backup::Kept>,
    /// Whether the release has a backup script, and whether it is run.
    pub backups: backup::Wanted,
}
