//! Helm, driven as a program: found, asked for its version, and made to render charts.
//!
//! It runs in a folder of its own, with no configuration, plugins, repositories or cluster, and with no way to the network; charts and
//! values files are given to it as the bytes they are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use semver::Version;

use super::process::{Ended, ProcessError, Run};
use super::words;

pub mod release;
use crate::limits;
use crate::sys::{environment, fs};

/// The oldest Helm that is driven: the first that reads charts from registries without an experimental switch.
pub const OLDEST: Version = Version::new(3, 8, 0);

/// A Helm that can be driven.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    version: Version,
    held: Option<Arc<std::fs::File>>,
}

/// What to render.
#[derive(Debug, Clone)]
pub struct Template<'a> {
    /// How the chart is called in messages.
    pub chart: &'a str,
    /// The chart's archive.
    pub archive: &'a [u8],
    /// Name of the Helm release.
    pub release: &'a str,
    /// Namespace, where one is declared.
    pub namespace: Option<&'a str>,
    /// Values files used together, each with the name it has for people.
    pub values: &'a [(String, Vec<u8>)],
    /// The version of Kubernetes to render for; `None` for the one Helm takes.
    pub kubernetes: Option<&'a str>,
    /// API versions that the cluster is said to have.
    pub apis: &'a [String],
}

/// Why Helm gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("there is no helm{}", place(named.as_deref()))]
    Missing {
        /// Where it was said to be.
        named: Option<PathBuf>,
    },
    /// It is too old.
    #[error("{program} is Helm {version}; {oldest} and later are driven", program = program.display())]
    TooOld {
        /// Which.
        program: PathBuf,
        /// Its version.
        version: Version,
        /// The oldest that would do.
        oldest: Version,
    },
    /// It does not answer like Helm.
    #[error("{program} does not answer like Helm: {said}", program = program.display())]
    NotHelm {
        /// Which.
        program: PathBuf,
        /// What it said.
        said: String,
    },
    /// It could not be run to its end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A file for it could not be written.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// There is no place for its files.
    #[error("no temporary folder can be made: {0}")]
    Folder(std::io::Error),
    /// It could not do something to a release in a cluster.
    #[error("helm {what}: {said}")]
    Failed {
        /// What: `upgrade incidentfox`.
        what: String,
        /// Its own message.
        said: String,
        /// Whether the cluster did not answer, or forbade it.
        why: release::Why,
    },
    /// It was asked to end, and did.
    #[error("helm {what} was stopped")]
    Stopped {
        /// What.
        what: String,
    },
    /// It refuses the chart or its values.
    #[error("chart {chart}{}: {said}", with(values))]
    Refused {
        /// Which chart.
        chart: String,
        /// With which values files.
        values: Vec<String>,
        /// Its own message.
        said: String,
    },
}

fn place(named: Option<&Path>) -> String {
    named.map_or_else(|| " on the search path".to_owned(), |path| format!(" at {}", path.display()))
}

fn with(values: &[String]) -> String {
    if values.is_empty() {
        ", with its own values".to_owned()
    } else {
        format!(", with {}", values.join(", "))
    }
}

impl Helm {
    /// The helm at `named`, else the one that `BUNDLE_HELM` names, else the first on the search path.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::TooOld`], [`Error::NotHelm`].
    pub fn find(named: Option<&Path>) -> Result<Self, Error> {
        Self::find_or(named, None)
    }

    /// As [`Helm::find`], and else `carried`, which the bundle brought.
    ///
    /// # Errors
    /// As [`Helm::find`].
    pub fn find_or(named: Option<&Path>, carried: Option<&Path>) -> Result<Self, Error> {
        let named = named.map(Path::to_owned).or_else(|| environment::path("BUNDLE_HELM"));
        let program = super::located("helm", named.as_deref(), carried);
        let program = program.ok_or(Error::Missing { named })?;
        let room = Room::new()?;
        let ended = room.run(&program, &["version", "--template", "{{.Version}}"].map(OsString::from))?;
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        let text = said.trim().trim_start_matches('v');
        let (Some(0), Ok(version)) = (ended.code, text.parse::<Version>()) else {
            return Err(Error::NotHelm { program, said: words(&ended) });
        };
        // A release candidate of the oldest counts as older, as semantic versioning orders them.
        if version < OLDEST {
            return Err(Error::TooOld { program, version, oldest: OLDEST });
        }
        Ok(Self { program, version, held: None })
    }

    /// From now on every Helm that changes a cluster holds `turn` for as long as it runs, even where this program is killed.
    pub fn hold(&mut self, turn: Arc<std::fs::File>) {
        self.held = Some(turn);
    }

    /// What [`Helm::hold`] was given.
    #[must_use]
    pub fn held(&self) -> Option<&std::fs::File> {
        self.held.as_deref()
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Where it is.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Everything a chart renders: hooks, tests and custom resource definitions included.
    ///
    /// # Errors
    /// [`Error::Refused`] with Helm's own message; or what kept it from running.
    pub fn template(&self, wanted: &Template<'_>) -> Result<String, Error> {
        let room = Room::new()?;
        let archive = room.path("chart.tgz");
        fs::write(&archive, wanted.archive, fs::PUBLIC)?;
        let mut arguments: Vec<OsString> = vec!["template".into(), wanted.release.into(), archive.into()];
        arguments.extend(["--include-crds", "--skip-tests=false"].map(OsString::from));
        let mut option = |name: &str, value: OsString| arguments.extend([OsString::from(name), value]);
        if let Some(namespace) = wanted.namespace {
            option("--namespace", namespace.into());
        }
        let mut names = Vec::new();
        for (number, (name, bytes)) in wanted.values.iter().enumerate() {
            let path = room.path(&format!("values-{number}.yaml"));
            fs::write(&path, bytes, fs::PUBLIC)?;
            names.push((path.display().to_string(), name.clone()));
            option("--values", path.into());
        }
        if let Some(kubernetes) = wanted.kubernetes {
            option("--kube-version", kubernetes.into());
        }
        for api in wanted.apis {
            option("--api-versions", api.into());
        }
        let ended = room.run(&self.program, &arguments)?;
        let refused = |said: String| Error::Refused {
            chart: wanted.chart.to_owned(),
            values: wanted.values.iter().map(|(name, _)| name.clone()).collect(),
            said,
        };
        if ended.code != Some(0) {
            // Its message names files by the names they have here.
            let said = names.iter().fold(words(&ended), |said, (path, name)| said.replace(path, name));
            return Err(refused(said));
        }
        String::from_utf8(ended.stdout).map_err(|error| {
            refused(format!(
                "it rendered what is not UTF-8 text from byte {} on",
                error.utf8_error().valid_up_to()
            ))
        })
    }
}

/// A folder that a run of Helm has to itself, gone afterwards.
struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("bundle-helm-").tempdir().map_err(Error::Folder)?;
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, program: &Path, arguments: &[OsString]) -> Result<Ended, Error> {
        let own = ["HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "TMPDIR"];
        let mut environment: Vec<(OsString, OsString)> =
            own.into_iter().map(|name| (name.into(), self.folder.path().into())).collect();
        environment.push(("HELM_PLUGINS".into(), self.path("no-plugins").into()));
        environment.push(("KUBECONFIG".into(), self.path("no-cluster").into()));
        // Nobody listens there: what a chart's schema wants to fetch is not fetched.
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            environment.push((proxy.into(), "http://127.0.0.1:9".into()));
        }
        if let Some(path) = environment::path("PATH") {
            environment.push(("PATH".into(), path.into()));
        }
        let run = Run {
            program,
            arguments: arguments.to_vec(),
            environment,
            folder: self.folder.path(),
            patience: Duration::from_secs(limits::TOOL_SILENCE_SECONDS),
            input: &[],
            stop: None,
            held: None,
        };
        Ok(run.run()?)
    }
}
