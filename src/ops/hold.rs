//! One at a time: whoever changes an installed release holds it, and others are told who that is.
//!
//! On one machine a locked file decides at once ([`turn`]): it is free when the program that took it has ended, and every Helm that it
//! started. Between machines a `ConfigMap` beside the records decides, `bundle.<release>.lock`. It is written anew as long as its holder lives; one that
//! stays as it is for [`EXPIRY`], by the clock of whoever looks, is nobody's any more. What a program of this machine left there when it was
//! killed is taken over at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use signing::time::Time;

use crate::digest::Digest;
use crate::limits;
use crate::ops::cluster::{self, Reach};
use crate::ops::install::wait::Patience;
use crate::plan::installed::History;
use crate::progress::Event;
use crate::sys::random::{self, RandomError};
use crate::sys::turn::{self, Holder, Turn};
use crate::sys::{clock, environment, fs, state};
use crate::tools::kubectl::{self, Kubectl, Scope};

/// How long the holder's object may stay as it is.
pub const EXPIRY: Duration = Duration::from_secs(30);
/// How often the holder writes it.
const BEAT: Duration = Duration::from_secs(8);
/// How long programs that a killed one left may go on before they are asked to end.
const LEFT: Duration = Duration::from_secs(30);
/// How often somebody who waits looks.
const LOOK: Duration = Duration::from_millis(500);

/// Why it is not held.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another program works on it.
    #[error("another bundle works on {release} in namespace {namespace}: {holder}")]
    Busy {
        /// The release.
        release: String,
        /// Its namespace.
        namespace: String,
        /// Who, in words.
        holder: String,
    },
    /// What is installed is not what the plan was made from.
    #[error("{release} in namespace {namespace} was changed by another bundle since this was planned")]
    Changed {
        /// The release.
        release: String,
        /// Its namespace.
        namespace: String,
    },
    /// Somebody stopped the waiting.
    #[error("interrupted")]
    Stopped,
    /// The cluster cannot be asked.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The file of this machine cannot be used.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl From<kubectl::Error> for Error {
    fn from(error: kubectl::Error) -> Self {
        Self::Cluster(error.into())
    }
}

/// The release is held until this is dropped.
#[derive(Debug)]
pub struct Hold {
    lease: Lease,
    over: Arc<AtomicBool>,
    beating: Option<std::thread::JoinHandle<bool>>,
    _turn: Option<Turn>,
}

/// What is to be held.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The release.
    pub release: &'a str,
    /// The namespace of its records.
    pub namespace: &'a str,
    /// What was remembered of it when the plan was made.
    pub history: &'a History,
    /// Whether the namespace has to be made.
    pub make_namespace: bool,
}

/// Takes hold of a release, and makes sure that it is as it was when it was planned. From then on, every Helm of `reach` holds it too.
///
/// # Errors
/// [`Error::Busy`] and [`Error::Changed`]; or what kept it from being found out.
pub fn take(subject: &Subject<'_>, reach: &mut Reach, patience: &Patience<'_>) -> Result<Hold, Error> {
    let turn = turn_of(subject, reach, patience)?;
    if let Some(turn) = &turn {
        reach.helm.hold(turn.file());
    }
    let place = match &turn {
        Some(turn) => turn.mark().to_owned(),
        None => hex::encode(*random::bytes::<12>()?),
    };
    let kubectl = &reach.kubectl;
    if subject.make_namespace {
        let object = cluster::namespace_object(subject.namespace).to_string();
        kubectl.apply(&format!("namespace {}", subject.namespace), object.as_bytes(), None, false)?;
    }
    let mut lease = Lease {
        kubectl: kubectl.clone(),
        release: subject.release.to_owned(),
        namespace: subject.namespace.to_owned(),
        place,
        since: clock::now().and_then(Time::from_unix).map(|time| time.to_string()).unwrap_or_default(),
        beat: 0,
    };
    lease.take(patience)?;
    let over = Arc::new(AtomicBool::new(false));
    let (beats, end, lost) = (lease.clone(), Arc::clone(&over), Arc::clone(patience.lost));
    let beating = std::thread::spawn(move || beats.keep(&end, &lost));
    let hold = Hold { lease, over, beating: Some(beating), _turn: turn };
    match cluster::history(kubectl, subject.release, subject.namespace)? == *subject.history {
        true => Ok(hold),
        false => Err(Error::Changed {
            release: subject.release.to_owned(),
            namespace: subject.namespace.to_owned(),
        }),
    }
}

/// Where nothing is to be changed: takes away what a program that was killed at its very end left in the cluster.
pub fn tidy(subject: &Subject<'_>, reach: &mut Reach, patience: &Patience<'_>) {
    let name = name_of(subject.release);
    let there = reach.kubectl.get("configmap", &name, Scope::Namespace(subject.namespace));
    if there.is_ok_and(|there| there.is_some()) {
        // One that lives takes its own away.
        drop(take(subject, reach, patience));
    }
}

fn name_of(release: &str) -> String {
    format!("bundle.{release}.lock")
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ours = self.beating.take().is_some_and(|beating| {
            beating.thread().unpark();
            beating.join().unwrap_or(false)
        });
        // One that stays is nobody's in a while.
        if ours {
            let scope = Scope::Namespace(&self.lease.namespace);
            let _ = self.lease.kubectl.delete("configmap", &self.lease.name(), scope);
        }
    }
}

/// The file of this machine for the release in this cluster; `None` where this user has no folder for it.
fn turn_of(subject: &Subject<'_>, reach: &Reach, patience: &Patience<'_>) -> Result<Option<Turn>, Error> {
    let Some(path) = path_of(subject, reach) else { return Ok(None) };
    let (mut told, begun) = (false, Instant::now());
    let mut asked = None::<Instant>;
    loop {
        let left = match turn::take(&path)? {
            Ok(turn) => return Ok(Some(turn)),
            Err(Holder::Program(id)) => {
                let who = id.map_or_else(String::new, |id| format!(", as process {id}"));
                return Err(Error::Busy {
                    release: subject.release.to_owned(),
                    namespace: subject.namespace.to_owned(),
                    holder: format!("it runs on this machine{who}"),
                });
            }
            Err(Holder::Left(ids)) => ids,
        };
        if patience.stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        if !told {
            let text = "a Helm or a backup that an earlier bundle started, which was killed, still runs: waiting for it";
            patience.observer.event(Event::Note { text });
            told = true;
        }
        let again = asked.is_none_or(|at| at.elapsed() >= Duration::from_secs(limits::ENDING_SECONDS));
        if begun.elapsed() >= LEFT && again {
            patience.observer.event(Event::Note { text: "it is asked to end" });
            turn::ask_to_end(&left);
            asked = Some(Instant::now());
        }
        std::thread::sleep(LOOK);
    }
}

/// By the address of the cluster: a release may be changed in two of them at the same time.
fn path_of(subject: &Subject<'_>, reach: &Reach) -> Option<PathBuf> {
    let state = state::folder()?;
    let asked = ["config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}"];
    let server = reach.kubectl.ask("the address of the cluster", &asked).unwrap_or_default();
    let key = [server.as_slice(), subject.namespace.as_bytes(), subject.release.as_bytes()].join(&b'\n');
    Some(state.join("work").join(Digest::of(&key).hex()))
}

/// The object in the cluster.
#[derive(Debug, Clone)]
struct Lease {
    kubectl: Kubectl,
    release: String,
    namespace: String,
    place: String,
    since: String,
    beat: u64,
}

impl Lease {
    fn name(&self) -> String {
        name_of(&self.release)
    }

    fn object(&self, version: Option<&str>) -> Value {
        let (user, _) = environment::user();
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.name(),
                "namespace": self.namespace,
                "labels": {"app.kubernetes.io/managed-by": "bundle"},
                "resourceVersion": version,
            },
            "data": {
                "holder": format!("{user} on {}, process {}", environment::host_name(), std::process::id()),
                "place": self.place,
                "since": self.since,
                "beat": self.beat.to_string(),
            },
        })
    }

    fn there(&self) -> Result<Option<Value>, kubectl::Error> {
        self.kubectl.get("configmap", &self.name(), Scope::Namespace(&self.namespace))
    }

    /// Waits until it is free, and takes it; gives up when its holder is seen to live.
    fn take(&mut self, patience: &Patience<'_>) -> Result<(), Error> {
        let mut seen: Option<(String, Instant)> = None;
        loop {
            if patience.stop.load(Ordering::Relaxed) {
                return Err(Error::Stopped);
            }
            let Some(there) = self.there()? else {
                match self.kubectl.create(
                    &format!("create configmap {}", self.name()),
                    &self.object(None),
                    false,
                ) {
                    Ok(_) => return Ok(()),
                    Err(kubectl::Error::Conflict { .. }) => continue,
                    Err(error) => return Err(error.into()),
                }
            };
            let version = text(&there, "/metadata/resourceVersion");
            let free = text(&there, "/data/place") == self.place
                || seen.as_ref().is_some_and(|(known, since)| *known == version && since.elapsed() >= EXPIRY);
            if free {
                match self.write(&version) {
                    Ok(()) => return Ok(()),
                    Err(kubectl::Error::Conflict { .. }) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            let holder = format!("{}, since {}", text(&there, "/data/holder"), text(&there, "/data/since"));
            match &seen {
                None => {
                    let text = format!("{holder} works on {}: looking whether it still lives", self.release);
                    patience.observer.event(Event::Note { text: &text });
                    seen = Some((version, Instant::now()));
                }
                Some((known, _)) if *known != version => {
                    let (release, namespace) = (self.release.clone(), self.namespace.clone());
                    return Err(Error::Busy { release, namespace, holder });
                }
                Some(_) => {}
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Writes it, provided that it is still the one of `version`.
    fn write(&mut self, version: &str) -> Result<(), kubectl::Error> {
        self.beat += 1;
        let object = self.object(Some(version)).to_string();
        let what = format!("configmap {}", self.name());
        self.kubectl.apply(&what, object.as_bytes(), Some(&self.namespace), false)
    }

    /// Writes it again and again until it is `over`; `lost` becomes true when somebody took it over. Gives whether it is ours and the
    /// cluster answers.
    fn keep(mut self, over: &AtomicBool, lost: &AtomicBool) -> bool {
        let mut ours = true;
        loop {
            let begun = Instant::now();
            while begun.elapsed() < BEAT {
                if over.load(Ordering::Relaxed) {
                    return ours;
                }
                std::thread::park_timeout(BEAT - begun.elapsed().min(BEAT));
            }
            ours = match self.there() {
                Ok(Some(there)) if text(&there, "/data/place") == self.place => !matches!(
                    self.write(&text(&there, "/metadata/resourceVersion")),
                    Err(kubectl::Error::Conflict { .. })
                ),
                Ok(Some(_)) => {
                    lost.store(true, Ordering::Relaxed);
                    return false;
                }
                // Gone with its namespace, which an uninstallation may be deleting; or nobody answers for now.
                Ok(None) | Err(_) => false,
            };
        }
    }
}

fn text(object: &Value, pointer: &str) -> String {
    crate::text::printable(object.pointer(pointer).and_then(Value::as_str).unwrap_or_default(), 200)
}
