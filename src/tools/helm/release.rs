//! Helm and a cluster: charts rendered with what is there, installed, brought back and taken away.
//!
//! With the user's kubeconfig and environment, and with none of the user's plugins, repositories or Helm configuration. Helm itself waits
//! only for hooks; whether pods come up is for whoever asked, who can also have it end.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use semver::Version;
use serde::Deserialize;

use super::{Error, Helm, Room};
use crate::limits;
use crate::sys::{environment, fs};
use crate::tools::kubectl::{self, Cluster};
use crate::tools::process::{Ended, Run};
use crate::tools::words;

/// The oldest Helm that installs: the first that renders with what is in the cluster (`template --dry-run=server`).
pub const OLDEST: Version = Version::new(3, 13, 0);

/// How long Helm may wait for a hook. Whoever watches ends it much earlier when nothing moves.
const HOOKS: &str = "168h0m0s";

/// What kept Helm from something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No cluster answered.
    NoCluster,
    /// The cluster forbade it.
    Forbidden,
    /// Kinds of the chart are not known to the cluster.
    NoKind,
    /// Something of the chart is there, and of no release or another one.
    Owned,
    /// Anything else.
    Other,
}

/// One Helm release.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Name of the release.
    pub release: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
}

/// A Helm release as it is in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Helm's revision.
    pub revision: u32,
    /// `deployed`, `failed`, `pending-install`, …
    pub status: String,
    /// What it consists of: hooks included.
    pub manifest: String,
}

impl Standing {
    /// Whether Helm was in the middle of something, or is.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.status.starts_with("pending") || self.status == "uninstalling"
    }
}

/// What to render with the cluster at hand.
#[derive(Debug, Clone, Copy)]
pub struct Rendering<'a> {
    /// How the chart is called in messages.
    pub chart: &'a str,
    /// The chart's archive.
    pub archive: &'a [u8],
    /// The values.
    pub values: &'a str,
    /// Whether a release of it is there already.
    pub upgrade: bool,
    /// Whether the definitions of its folders `crds/` are rendered too.
    pub definitions: bool,
}

impl Helm {
    /// A Helm that can install: as [`Helm::find_or`].
    ///
    /// # Errors
    /// Also [`Error::TooOld`] for one that cannot render with what is in a cluster.
    pub fn for_clusters(carried: Option<&Path>) -> Result<Self, Error> {
        let found = Self::find_or(None, carried)?;
        if found.version < OLDEST {
            return Err(Error::TooOld { program: found.program, version: found.version, oldest: OLDEST });
        }
        Ok(found)
    }

    /// Everything a chart renders in this cluster, hooks and definitions included; nothing is created.
    ///
    /// # Errors
    /// [`Error::Refused`] with Helm's own message, [`Error::Failed`] where the cluster is the reason.
    pub fn render(&self, target: &Target<'_>, rendering: &Rendering<'_>) -> Result<String, Error> {
        let room = Room::new()?;
        let (archive, values) = files(&room, rendering.archive, rendering.values)?;
        let mut arguments: Vec<OsString> = vec!["template".into(), target.release.into(), archive];
        arguments.push("--dry-run=server".into());
        if rendering.definitions {
            arguments.push("--include-crds".into());
        }
        arguments.extend([OsString::from("--values"), values]);
        if rendering.upgrade {
            arguments.push("--is-upgrade".into());
        }
        let what = format!("template {}", rendering.chart);
        let ended = self.run(&room, target, &arguments, None)?;
        if ended.code == Some(0) {
            return String::from_utf8(ended.stdout).map_err(|error| Error::Refused {
                chart: rendering.chart.to_owned(),
                values: vec!["the values made of the answers".to_owned()],
                said: format!(
                    "it rendered what is not UTF-8 text from byte {} on",
                    error.utf8_error().valid_up_to()
                ),
            });
        }
        match failed(&what, &ended) {
            // Without the definitions it is something else that is another's.
            Error::Failed { said, why, .. }
                if why == Why::Other || (why == Why::Owned && !rendering.definitions) =>
            {
                Err(Error::Refused {
                    chart: rendering.chart.to_owned(),
                    values: vec!["the values made of the answers".to_owned()],
                    said,
                })
            }
            other => Err(other),
        }
    }

    /// The release, if it is there.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn standing(&self, target: &Target<'_>) -> Result<Option<Standing>, Error> {
        #[derive(Deserialize)]
        struct Said {
            version: u32,
            info: Info,
            #[serde(default)]
            manifest: String,
            #[serde(default)]
            hooks: Vec<Hook>,
        }
        #[derive(Deserialize)]
        struct Info {
            status: String,
        }
        #[derive(Deserialize)]
        struct Hook {
            #[serde(default)]
            manifest: String,
        }
        let what = format!("status {}", target.release);
        let room = Room::new()?;
        let arguments = ["status", target.release, "--output", "json"].map(OsString::from);
        let ended = self.run(&room, target, &arguments, None)?;
        if ended.code != Some(0) {
            return match failed(&what, &ended) {
                Error::Failed { said, .. } if said.contains("release: not found") => Ok(None),
                error => Err(error),
            };
        }
        let said: Said = serde_json::from_slice(&ended.stdout).map_err(|error| Error::Failed {
            what,
            said: format!("its answer is not as expected: {error}"),
            why: Why::Other,
        })?;
        let hooks = said.hooks.iter().map(|hook| format!("---\n{}\n", hook.manifest.trim_end()));
        let manifest = std::iter::once(format!("{}\n", said.manifest.trim_end())).chain(hooks).collect();
        Ok(Some(Standing { revision: said.version, status: said.info.status, manifest }))
    }

    /// Installs the release, or brings it to this chart and these values. Waits for its hooks and for nothing else; nothing is
    /// taken back when it fails.
    ///
    /// # Errors
    /// [`Error::Failed`]; [`Error::Stopped`] when `stop` became true.
    pub fn upgrade(
        &self,
        target: &Target<'_>,
        archive: &[u8],
        values: &str,
        stop: &AtomicBool,
    ) -> Result<(), Error> {
        let room = Room::new()?;
        let (archive, values) = files(&room, archive, values)?;
        let mut arguments: Vec<OsString> =
            vec!["upgrade".into(), "--install".into(), target.release.into(), archive];
        arguments.extend([OsString::from("--values"), values]);
        // Helm's own history is as long as ours, so that every revision we name can be gone back to.
        arguments.extend(["--timeout", HOOKS, "--history-max", limits::REVISIONS_TEXT].map(OsString::from));
        self.change(&room, target, &arguments, stop)
    }

    /// Brings the release back to Helm's `revision`, as a new one.
    ///
    /// # Errors
    /// As [`Helm::upgrade`].
    pub fn rollback(&self, target: &Target<'_>, revision: u32, stop: &AtomicBool) -> Result<(), Error> {
        let room = Room::new()?;
        let mut arguments: Vec<OsString> =
            vec!["rollback".into(), target.release.into(), revision.to_string().into()];
        arguments.extend(["--timeout", HOOKS, "--history-max", limits::REVISIONS_TEXT].map(OsString::from));
        self.change(&room, target, &arguments, stop)
    }

    /// Takes the release away, with its history. One that is not there is no error.
    ///
    /// # Errors
    /// As [`Helm::upgrade`].
    pub fn uninstall(&self, target: &Target<'_>, stop: &AtomicBool) -> Result<(), Error> {
        let room = Room::new()?;
        let arguments =
            ["uninstall", target.release, "--ignore-not-found", "--timeout", HOOKS].map(OsString::from);
        self.change(&room, target, &arguments, stop)
    }

    fn change(
        &self,
        room: &Room,
        target: &Target<'_>,
        arguments: &[OsString],
        stop: &AtomicBool,
    ) -> Result<(), Error> {
        let verb = arguments.first().map(|verb| verb.to_string_lossy().into_owned()).unwrap_or_default();
        let what = format!("{verb} {}", target.release);
        let ended = self.run(room, target, arguments, Some(stop))?;
        match ended.code {
            Some(0) => Ok(()),
            _ if stop.load(Ordering::Relaxed) => Err(Error::Stopped { what }),
            _ => Err(failed(&what, &ended)),
        }
    }

    fn run(
        &self,
        room: &Room,
        target: &Target<'_>,
        arguments: &[OsString],
        stop: Option<&AtomicBool>,
    ) -> Result<Ended, Error> {
        let mut all = arguments.to_vec();
        all.extend([OsString::from("--namespace"), target.namespace.into()]);
        all.extend(target.cluster.options("--kube-context"));
        let own = ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HELM_PLUGINS"];
        let mut environment = environment::all();
        environment.retain(|(name, _)| {
            let name = name.to_string_lossy();
            // The user's Helm settings are not ours; where releases are kept (HELM_DRIVER) is.
            !name.starts_with("HELM_") || name.starts_with("HELM_DRIVER")
        });
        environment.extend(own.into_iter().map(|name| (name.into(), room.path(&name.to_lowercase()).into())));
        let silence = match stop {
            // It says nothing while it waits for hooks; whoever can stop it watches.
            Some(_) => Duration::from_secs(limits::HELM_HOOK_SECONDS),
            None => Duration::from_secs(limits::TOOL_SILENCE_SECONDS),
        };
        let run = Run {
            program: &self.program,
            arguments: all,
            environment,
            // A relative path in KUBECONFIG is one from here.
            folder: Path::new("."),
            patience: silence,
            input: &[],
            stop,
            held: stop.and(self.held()),
        };
        Ok(run.run()?)
    }
}

fn files(room: &Room, archive: &[u8], values: &str) -> Result<(OsString, OsString), Error> {
    let (chart, file) = (room.path("chart.tgz"), room.path("values.yaml"));
    fs::write(&chart, archive, fs::PRIVATE)?;
    fs::write(&file, values.as_bytes(), fs::PRIVATE)?;
    Ok((chart.into(), file.into()))
}

fn failed(what: &str, ended: &Ended) -> Error {
    let said = words(ended);
    let why = if said.contains("no matches for kind") || said.contains("ensure CRDs are installed first") {
        Why::NoKind
    } else if said.contains("cannot be imported into the current release") {
        Why::Owned
    } else if said.contains("cluster unreachable") || kubectl::is_no_cluster(&said) {
        Why::NoCluster
    } else if said.contains("is forbidden") {
        Why::Forbidden
    } else {
        Why::Other
    };
    Error::Failed { what: what.to_owned(), said, why }
}
