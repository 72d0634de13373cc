//! Carrying out what was decided, step by step, each remembered in the cluster before it is taken.
//!
//! ```text
//! namespaces → record "working" → licence of the revision → secrets → each chart by Helm → all has come up → health → record "deployed"
//! ```
//!
//! On a failure the record says "failed" and why. Where an earlier revision ran, the whole release is brought back to it ([`back`]);
//! where none did, what is there stays for whoever mends it: nothing is ever uninstalled because something failed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use signing::time::Time;

use super::charts::{self, Ready};
use super::health::{self, Answered};
use super::secrets::{self, Kept};
use super::wait::{self, Patience, Waited};
use super::{Error, Prepared, license};
use crate::limits;
use crate::ops::cluster::{self, Reach};
use crate::plan::changes::{self, Change};
use crate::plan::installed::{Installed, Record, Status};
use crate::plan::waiting::{Waiting, Wanted};
use crate::progress::Event;
use crate::sys::clock;
use crate::tools::helm;
use crate::tools::helm::release::Target;
use crate::tools::kubectl::Scope;

/// Why an installation did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Something could not be done.
    #[error(transparent)]
    Error(#[from] Error),
    /// What was installed did not come up.
    #[error("nothing moved for {seconds} seconds; waiting for:\n{}", waiting.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Stalled {
        /// What is waited for.
        waiting: Vec<Waiting>,
        /// For how long.
        seconds: u64,
    },
    /// It came up and does not answer.
    #[error("{}", .0.iter().filter(|one| !one.ok).map(|one| format!("{}:{}{} does not answer: {}", one.at.service, one.at.port, one.at.path, one.why)).collect::<Vec<_>>().join("\n"))]
    Unhealthy(Vec<Answered>),
    /// It was stopped.
    #[error("interrupted")]
    Stopped,
    /// This program did not run for so long that another one took the work over.
    #[error("another bundle took this over, because this one gave no sign of life")]
    Lost,
}

impl<E: Into<Error>> From<E> for Box<Fault> {
    fn from(error: E) -> Self {
        match error.into() {
            Error::Helm(helm::Error::Stopped { .. }) => Box::new(Fault::Stopped),
            error => Box::new(Fault::Error(error)),
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Left {
    /// All runs as it is to be.
    Running,
    /// It failed, and the revision that ran before runs again, as Helm has it.
    Back {
        /// Which revision.
        revision: u32,
    },
    /// It failed, and could not be brought back.
    HalfBack {
        /// To which revision it was to be.
        revision: u32,
        /// Why it is not.
        why: String,
    },
    /// It failed, and what is there was left.
    Half,
    /// Another program goes on with it.
    Taken,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// What health said, where it was asked.
    pub health: Vec<Answered>,
    /// Why it failed.
    pub fault: Option<Fault>,
    /// What state things are in.
    pub left: Left,
    /// The record as it is in the cluster.
    pub record: Record,
}

/// Carries out `prepared`.
pub fn act(prepared: &Prepared, reach: &Reach, patience: &Patience<'_>) -> Ended {
    let mut record = prepared.record.clone();
    let mut health = Vec::new();
    let outcome = forward(prepared, &mut record, &mut health, (reach, patience));
    let fault = match outcome {
        Ok(()) => return Ended { health, fault: None, left: Left::Running, record },
        // Whoever took it over writes what becomes of it.
        Err(_) if patience.lost.load(Ordering::Relaxed) => {
            return Ended { health, fault: Some(Fault::Lost), left: Left::Taken, record };
        }
        Err(fault) => *fault,
    };
    record.status = Status::Failed;
    record.note = crate::text::printable(&fault.to_string(), 2000);
    record.ended = clock::now().and_then(Time::from_unix);
    // A cluster that does not even take this note will show "working", which the next run treats the same.
    let _ = cluster::save(&reach.kubectl, &record);
    let left = match prepared.history.deployed() {
        None => Left::Half,
        Some(before) => {
            let text = format!("bringing the whole release back to revision {}", before.revision);
            patience.observer.event(Event::Note { text: &text });
            // Whoever stopped it wants it to end, and wants it whole: this goes on, and a second signal ends it.
            let go_on = AtomicBool::new(false);
            let patience = Patience { stop: &go_on, ..*patience };
            match back(before.clone(), &record, reach, &patience) {
                Ok(_) => Left::Back { revision: before.revision },
                Err(error) => Left::HalfBack { revision: before.revision, why: error.to_string() },
            }
        }
    };
    Ended { health, fault: Some(fault), left, record }
}

/// Where nothing is to change: whether all has come up and answers.
pub fn confirm(prepared: &Prepared, reach: &Reach, patience: &Patience<'_>) -> Ended {
    let record = prepared.history.last().cloned().unwrap_or_else(|| prepared.record.clone());
    let wanted: Vec<Wanted> = prepared.charts.iter().flat_map(|chart| chart.wanted.iter().cloned()).collect();
    let fault = come_up(&wanted, reach, patience).err().map(|fault| *fault);
    let health = match fault {
        None => health::check(&record.health, &record.namespace, reach, patience),
        Some(_) => vec![],
    };
    let fault = fault.or_else(|| health.iter().any(|one| !one.ok).then(|| Fault::Unhealthy(health.clone())));
    let fault = fault.or_else(|| {
        let deployed = prepared.history.deployed()?.revision;
        supersede(deployed, &prepared.history, reach).err().map(Fault::Error)
    });
    Ended { health, fault, left: Left::Running, record }
}

pub(in crate::ops) type Done<T> = Result<T, Box<Fault>>;

fn forward(
    prepared: &Prepared,
    record: &mut Record,
    answered: &mut Vec<Answered>,
    (reach, patience): (&Reach, &Patience<'_>),
) -> Done<()> {
    let kubectl = &reach.kubectl;
    for (name, change) in &prepared.plan.namespaces {
        if *change == Change::Create {
            let object = cluster::namespace_object(name).to_string();
            kubectl.apply(&format!("namespace {name}"), object.as_bytes(), None, false)?;
        }
    }
    check_stop(patience)?;
    cluster::save(kubectl, record)?;
    if let Some(bytes) = &prepared.license {
        let mut secret = Kept::new(&record.namespace, &record.name(), secrets::OPAQUE);
        secret.data.insert(license::KEY.to_owned(), zeroize::Zeroizing::new(bytes.clone()));
        apply_secret(&secret, record, reach)?;
    }
    for secret in &prepared.secrets {
        check_stop(patience)?;
        apply_secret(secret, record, reach)?;
    }
    for (at, chart) in prepared.charts.iter().enumerate() {
        check_stop(patience)?;
        let text = format!(
            "chart {} {}: helm upgrade --install {}",
            chart.installed.name, chart.installed.version, chart.installed.release
        );
        patience.observer.event(Event::Note { text: &text });
        let revision = install(chart, &prepared.values, reach, patience)?;
        if let Some(installed) = record.charts.get_mut(at) {
            installed.revision = revision;
        }
        cluster::save(kubectl, record)?;
    }
    let wanted: Vec<Wanted> = prepared.charts.iter().flat_map(|chart| chart.wanted.iter().cloned()).collect();
    come_up(&wanted, reach, patience)?;
    *answered = health::check(&record.health, &record.namespace, reach, patience);
    check_stop(patience)?;
    if answered.iter().any(|one| !one.ok) {
        return Err(Box::new(Fault::Unhealthy(answered.clone())));
    }
    settle(record, &prepared.history, reach)?;
    Ok(())
}

fn check_stop(patience: &Patience<'_>) -> Done<()> {
    match patience.is_over() {
        true => Err(Box::new(Fault::Stopped)),
        false => Ok(()),
    }
}

pub(in crate::ops) fn apply_secret(secret: &Kept, record: &Record, reach: &Reach) -> Result<(), Error> {
    let object = secret.object(&record.labels());
    Ok(reach.kubectl.apply(
        &format!("secret {}", secret.name),
        object.as_bytes(),
        Some(&secret.namespace),
        false,
    )?)
}

fn come_up(wanted: &[Wanted], reach: &Reach, patience: &Patience<'_>) -> Done<()> {
    match wait::wait(wanted, reach, patience)? {
        Waited::Up => Ok(()),
        Waited::Stopped => Err(Box::new(Fault::Stopped)),
        Waited::Stalled { waiting, seconds } => Err(Box::new(Fault::Stalled { waiting, seconds })),
    }
}

/// Makes the record the deployed one, those before it superseded, and forgets the oldest.
///
/// # Errors
/// What the cluster refuses.
pub fn settle(
    record: &mut Record,
    history: &crate::plan::installed::History,
    reach: &Reach,
) -> Result<(), Error> {
    record.status = Status::Deployed;
    record.ended = clock::now().and_then(Time::from_unix);
    cluster::save(&reach.kubectl, record)?;
    supersede(record.revision, history, reach)
}

/// Has every record but that of `revision` say that another one runs, and forgets the oldest. After that one says "deployed", so that there
/// is always one: the latest of two counts, which a program that was killed here leaves.
fn supersede(revision: u32, history: &crate::plan::installed::History, reach: &Reach) -> Result<(), Error> {
    for before in history.records().iter().filter(|before| before.revision != revision) {
        if before.status == Status::Deployed {
            cluster::save(&reach.kubectl, &Record { status: Status::Superseded, ..before.clone() })?;
        }
    }
    for old in history.old(limits::REVISIONS) {
        cluster::forget(&reach.kubectl, old)?;
    }
    Ok(())
}

/// Has Helm install one chart, unless it is there as it is to be; gives Helm's revision.
fn install(chart: &Ready, values: &str, reach: &Reach, patience: &Patience<'_>) -> Done<u32> {
    let Installed { release, namespace, .. } = &chart.installed;
    let target = Target { cluster: reach.kubectl.cluster(), release, namespace };
    let standing = settled(&target, reach, patience)?;
    charts::define(&chart.definitions, reach)?;
    if let Some(standing) = standing {
        let same = changes::between(&standing.manifest, &chart.text)
            .is_ok_and(|all| all.iter().all(|object| object.change == Change::Keep));
        if same && standing.status == "deployed" {
            return Ok(standing.revision);
        }
    }
    let seen = [chart.hooks.as_slice(), &chart.wanted].concat();
    watched(&seen, reach, patience, &|end| reach.helm.upgrade(&target, &chart.archive, values, end))?;
    Ok(revision_of(&target, reach)?)
}

pub(in crate::ops) fn revision_of(target: &Target<'_>, reach: &Reach) -> Result<u32, Error> {
    Ok(reach.helm.standing(target)?.map_or(0, |standing| standing.revision))
}

/// How long a Helm that may outlive a killed program is waited for.
const ORPHAN: Duration = Duration::from_secs(20);

/// The release as it is when nobody works on it: a Helm that a killed program started may still run, or have been killed too; then its
/// half revision is taken out of Helm's memory, which changes no object.
fn settled(
    target: &Target<'_>,
    reach: &Reach,
    patience: &Patience<'_>,
) -> Result<Option<crate::tools::helm::release::Standing>, Error> {
    let begun = std::time::Instant::now();
    loop {
        let Some(standing) = reach.helm.standing(target)? else { return Ok(None) };
        if !standing.is_pending() {
            return Ok(Some(standing));
        }
        if begun.elapsed() >= ORPHAN {
            let secret = format!("sh.helm.release.v1.{}.v{}", target.release, standing.revision);
            let text = format!(
                "Helm was killed in the middle of {} ({}): its half revision {} is dropped",
                target.release, standing.status, standing.revision
            );
            patience.observer.event(Event::Note { text: &text });
            reach.kubectl.delete("secret", &secret, Scope::Namespace(target.namespace))?;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Runs Helm while the pods are watched: it is ended when nothing moves, or when `patience` is stopped.
pub(in crate::ops) fn watched(
    wanted: &[Wanted],
    reach: &Reach,
    patience: &Patience<'_>,
    run: &(dyn Fn(&AtomicBool) -> Result<(), helm::Error> + Sync),
) -> Done<()> {
    let (end, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let stalled = Mutex::new(None);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            let seen = wait::watch(wanted, reach, patience, (&end, &over));
            *stalled.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        });
        let result = run(&end);
        over.store(true, Ordering::Relaxed);
        result
    });
    let stalled = stalled.into_inner().unwrap_or_else(PoisonError::into_inner);
    match (result, stalled) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some((waiting, seconds))) => Err(Box::new(Fault::Stalled { waiting, seconds })),
        (Err(error), None) => Err(Error::from(error).into()),
    }
}

/// Brings the whole release to what `to` says: every chart by Helm's own roll-back, charts that it did not have taken away, its licence.
/// `from` is what was being installed, or runs. Gives `to` with the revisions that Helm has now.
///
/// # Errors
/// What could not be done; what could be is done all the same.
pub fn back(mut to: Record, from: &Record, reach: &Reach, patience: &Patience<'_>) -> Result<Record, Fault> {
    back_by(&mut to, from, reach, patience).map_err(|fault| *fault)?;
    Ok(to)
}

fn back_by(to: &mut Record, from: &Record, reach: &Reach, patience: &Patience<'_>) -> Done<()> {
    let cluster = reach.kubectl.cluster();
    restore_license(to, reach)?;
    for chart in &mut to.charts {
        let target = Target { cluster, release: &chart.release, namespace: &chart.namespace };
        let standing = settled(&target, reach, patience)?;
        let is_there = standing.is_some_and(|s| s.revision == chart.revision && s.status == "deployed");
        if !is_there && chart.revision > 0 {
            watched(&[], reach, patience, &|end| reach.helm.rollback(&target, chart.revision, end))?;
            chart.revision = revision_of(&target, reach)?;
        }
    }
    let kept = |chart: &Installed| {
        to.charts.iter().any(|c| c.release == chart.release && c.namespace == chart.namespace)
    };
    for chart in from.charts.iter().filter(|chart| !kept(chart)) {
        let target = Target { cluster, release: &chart.release, namespace: &chart.namespace };
        watched(&[], reach, patience, &|end| reach.helm.uninstall(&target, end))?;
    }
    let mut wanted = Vec::new();
    for chart in &to.charts {
        let target = Target { cluster, release: &chart.release, namespace: &chart.namespace };
        if let Some(standing) = reach.helm.standing(&target)? {
            wanted.extend(super::charts::wanted(&standing.manifest, &chart.namespace)?);
        }
    }
    // Helm's revisions are new ones now.
    cluster::save(&reach.kubectl, to)?;
    come_up(&wanted, reach, patience)
}

/// Puts the licence of a revision back where the release reads it.
fn restore_license(to: &Record, reach: &Reach) -> Result<(), Error> {
    let Some(licensed) = &to.license else { return Ok(()) };
    let scope = Scope::Namespace(&to.namespace);
    let Some(kept) = reach.kubectl.get("secret", &to.name(), scope)? else { return Ok(()) };
    let Some(bytes) = secrets::value_of(&kept, license::KEY) else { return Ok(()) };
    let namespaces: std::collections::BTreeSet<&str> =
        to.charts.iter().map(|chart| chart.namespace.as_str()).collect();
    for namespace in namespaces {
        let scope = Scope::Namespace(namespace);
        let there = reach.kubectl.get("secret", &licensed.at.secret, scope)?;
        if there.as_ref().and_then(|secret| secrets::value_of(secret, &licensed.at.key)).as_ref()
            == Some(&bytes)
        {
            continue;
        }
        let mut secret = Kept::new(namespace, &licensed.at.secret, secrets::OPAQUE);
        secret.data.insert(licensed.at.key.clone(), bytes.clone());
        // Other answers in the same secret stay: what this manager applied before and does not name now would go.
        for at in to.secrets.iter().filter(|at| at.secret == licensed.at.secret) {
            if let Some(value) = there.as_ref().and_then(|secret| secrets::value_of(secret, &at.key)) {
                secret.data.insert(at.key.clone(), value);
            }
        }
        apply_secret(&secret, to, reach)?;
    }
    Ok(())
}
