//! Waiting until what was installed has come up, as long as something moves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ops::cluster::Reach;
use crate::plan::waiting::{self, Standing, Waiting, Wanted};
use crate::progress::{Event, Observer};
use crate::tools::kubectl::{self, Scope};

/// Who watches, who can end it, and how long nothing may move.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// Is told what is waited for.
    pub observer: &'a dyn Observer,
    /// Ends it.
    pub stop: &'a AtomicBool,
    /// Becomes true when another program took over what is held: nothing more may be done.
    pub lost: &'a Arc<AtomicBool>,
    /// How long nothing may move.
    pub stall: Duration,
}

impl Patience<'_> {
    /// Whether it is to end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.lost.load(Ordering::Relaxed)
    }
}

/// How waiting ended.
#[derive(Debug)]
pub enum Waited {
    /// Everything has come up.
    Up,
    /// Nothing moved for too long.
    Stalled {
        /// What is still waited for.
        waiting: Vec<Waiting>,
        /// For how many seconds nothing moved.
        seconds: u64,
    },
    /// It was stopped.
    Stopped,
}

/// How often the cluster is asked.
const LOOK: Duration = Duration::from_secs(1);

/// What has been seen so far: the furthest anything has come, and since when.
pub struct Progress {
    furthest: u64,
    hooks: Vec<(String, bool)>,
    since: Instant,
    told: BTreeSet<String>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { furthest: 0, hooks: Vec::new(), since: Instant::now(), told: BTreeSet::new() }
    }
}

impl Progress {
    /// Takes in how things stand; gives for how long nothing has moved when that is too long.
    fn take(&mut self, standing: &Standing, patience: &Patience<'_>) -> Option<u64> {
        if standing.score > self.furthest || standing.pulling || standing.hooks != self.hooks {
            self.since = Instant::now();
        }
        self.hooks.clone_from(&standing.hooks);
        self.furthest = self.furthest.max(standing.score);
        let lines: BTreeSet<String> = standing.waiting.iter().map(ToString::to_string).collect();
        for line in lines.difference(&self.told) {
            patience.observer.event(Event::Note { text: &format!("waiting for {line}") });
        }
        self.told = lines;
        let quiet = self.since.elapsed();
        let limit = patience.stall.max(Duration::from_secs(standing.patience));
        (quiet >= limit).then_some(quiet.as_secs())
    }
}

/// Waits until all of `wanted` has come up.
///
/// # Errors
/// When the cluster cannot be asked any more, which is tried for as long as nothing may move.
pub fn wait(wanted: &[Wanted], reach: &Reach, patience: &Patience<'_>) -> Result<Waited, kubectl::Error> {
    let mut progress = Progress::default();
    let mut failing: Option<Instant> = None;
    loop {
        if patience.is_over() {
            return Ok(Waited::Stopped);
        }
        match look(wanted, reach) {
            Ok(standing) => {
                failing = None;
                if standing.waiting.is_empty() {
                    return Ok(Waited::Up);
                }
                if let Some(seconds) = progress.take(&standing, patience) {
                    return Ok(Waited::Stalled { waiting: standing.waiting, seconds });
                }
            }
            // An API server that is restarted is no reason to give up at once.
            Err(error) => {
                if failing.get_or_insert_with(Instant::now).elapsed() >= patience.stall {
                    return Err(error);
                }
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// How `wanted` stands now.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn look(wanted: &[Wanted], reach: &Reach) -> Result<Standing, kubectl::Error> {
    Ok(waiting::standing(wanted, &objects(wanted, reach)?))
}

/// The workloads, pods and events of the namespaces of `wanted`.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn objects(wanted: &[Wanted], reach: &Reach) -> Result<Vec<Value>, kubectl::Error> {
    let namespaces: BTreeSet<&str> = wanted.iter().map(|one| one.namespace.as_str()).collect();
    let mut all = Vec::new();
    for namespace in namespaces {
        let scope = Scope::Namespace(namespace);
        all.extend(reach.kubectl.list(
            "deployments.apps,statefulsets.apps,daemonsets.apps,jobs.batch,pods",
            "",
            scope,
        )?);
        match reach.kubectl.list("events", "", scope) {
            Ok(events) => all.extend(events),
            // Reasons are better with events, and there are some without.
            Err(kubectl::Error::Forbidden { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Watches the pods of `namespace` while something else works there, and ends that by `end` when nothing moves, or when `patience` is
/// stopped. Gives what was waited for when nothing moved.
pub fn watch(
    wanted: &[Wanted],
    reach: &Reach,
    patience: &Patience<'_>,
    (end, over): (&AtomicBool, &AtomicBool),
) -> Option<(Vec<Waiting>, u64)> {
    let mut progress = Progress::default();
    let mut beat = 0u32;
    loop {
        if over.load(Ordering::Relaxed) {
            return None;
        }
        if patience.is_over() {
            end.store(true, Ordering::Relaxed);
        } else if beat.is_multiple_of(10)
            && let Ok(standing) = look(wanted, reach)
        {
            // All that was asked for may be up while Helm still runs a hook.
            let seconds = progress.take(&standing, patience);
            if let Some(seconds) = seconds {
                end.store(true, Ordering::Relaxed);
                return Some((standing.waiting, seconds));
            }
        }
        beat = beat.wrapping_add(1);
        std::thread::sleep(Duration::from_millis(100));
    }
}
