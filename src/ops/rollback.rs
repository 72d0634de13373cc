//! `bundle rollback`: the whole release, every chart, its values, its licence and what is remembered, back to an earlier revision.

use std::sync::atomic::Ordering;

use signing::time::Time;
use zeroize::Zeroizing;

use crate::ops::cluster::{self, Reach};
use crate::ops::install::act::{self, Ended, Fault, Left};
use crate::ops::install::secrets::{self, Kept};
use crate::ops::install::wait::Patience;
use crate::ops::install::{Error, health, license};
use crate::plan::installed::{Action, History, Record, Status};
use crate::sys::clock;
use crate::tools::kubectl::Scope;

/// What would be, or is, gone back to.
#[derive(Debug, Clone)]
pub struct Way<'h> {
    /// The revision that runs; `None` when none does.
    pub from: Option<&'h Record>,
    /// The one to go to.
    pub to: &'h Record,
}

/// Where to go: to revision `to`, else where a roll-back that was begun goes, else to the one before.
#[must_use]
pub fn way(history: &History, to: Option<u32>) -> Option<Way<'_>> {
    let begun =
        history.unfinished().filter(|left| left.action == Action::Rollback).and_then(|left| left.back_to);
    let to = match to.or(begun) {
        Some(revision) => history.get(revision)?,
        // What failed or was left half done goes back to what ran; what runs goes back to what ran before it.
        None => match history.last().filter(|last| last.status != Status::Deployed) {
            Some(_) => history.deployed()?,
            None => history.previous()?,
        },
    };
    let gone = matches!(to.status, Status::Deployed | Status::Superseded);
    gone.then(|| Way { from: history.last(), to })
}

/// Goes there.
pub fn rollback(way: &Way<'_>, history: &History, reach: &Reach, patience: &Patience<'_>) -> Ended {
    let mut record = Record {
        revision: history.next(),
        status: Status::Working,
        action: Action::Rollback,
        back_to: Some(way.to.revision),
        begun: clock::now().and_then(Time::from_unix),
        ended: None,
        by: env!("CARGO_PKG_VERSION").to_owned(),
        note: String::new(),
        ..way.to.clone()
    };
    let mut answered = Vec::new();
    let outcome = go(way, &mut record, &mut answered, (history, reach, patience));
    let fault = match outcome {
        Ok(()) => return Ended { health: answered, fault: None, left: Left::Running, record },
        Err(_) if patience.lost.load(Ordering::Relaxed) => {
            return Ended { health: answered, fault: Some(Fault::Lost), left: Left::Taken, record };
        }
        Err(fault) => fault,
    };
    record.status = Status::Failed;
    record.note = crate::text::printable(&fault.to_string(), 2000);
    record.ended = clock::now().and_then(Time::from_unix);
    let _ = cluster::save(&reach.kubectl, &record);
    let left = Left::HalfBack { revision: way.to.revision, why: fault.to_string() };
    Ended { health: answered, fault: Some(fault), left, record }
}

fn go(
    way: &Way<'_>,
    record: &mut Record,
    answered: &mut Vec<health::Answered>,
    (history, reach, patience): (&History, &Reach, &Patience<'_>),
) -> Result<(), Fault> {
    cluster::save(&reach.kubectl, record).map_err(Error::from)?;
    keep_license(way.to, record, reach)?;
    let from = way.from.unwrap_or(way.to);
    let back = act::back(way.to.clone(), from, reach, patience)?;
    record.charts = back.charts;
    *answered = health::check(&record.health, &record.namespace, reach, patience);
    if answered.iter().any(|one| !one.ok) {
        return Err(Fault::Unhealthy(answered.clone()));
    }
    act::settle(record, history, reach)?;
    Ok(())
}

/// The licence of the revision is the licence of the new one too.
fn keep_license(to: &Record, record: &Record, reach: &Reach) -> Result<(), Error> {
    let kept = reach.kubectl.get("secret", &to.name(), Scope::Namespace(&to.namespace))?;
    let Some(bytes) = kept.as_ref().and_then(|secret| secrets::value_of(secret, license::KEY)) else {
        return Ok(());
    };
    let mut secret = Kept::new(&record.namespace, &record.name(), secrets::OPAQUE);
    secret.data.insert(license::KEY.to_owned(), Zeroizing::new(bytes.to_vec()));
    act::apply_secret(&secret, record, reach)
}
