//! kubectl, driven as a program: found, and made to ask or change one cluster.
//!
//! It acts for the user, with the user's own kubeconfig and environment, since a kubeconfig may name programs that log in. What it reads
//! is JSON; what it says when it fails is sorted into kinds by the words of the API server's own reasons. It decides nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use semver::Version;
use serde_json::Value;

use super::process::{Ended, ProcessError, Run};
use super::words;
use crate::limits;
use crate::sys::environment;

/// The oldest kubectl that is driven: the first whose server-side apply and `get --raw` are as used here for clusters of today.
pub const OLDEST: Version = Version::new(1, 22, 0);

/// Which cluster, as kubectl's own options say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The kubeconfig; `None` for what `KUBECONFIG` or the home folder has.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; `None` for its current one.
    pub context: Option<String>,
}

impl Cluster {
    /// The options, with the name that `context` goes by: kubectl's `--context`, Helm's `--kube-context`.
    pub(super) fn options(&self, context: &str) -> Vec<OsString> {
        let mut options = Vec::new();
        if let Some(path) = &self.kubeconfig {
            // Programs may run elsewhere.
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            options.extend([OsString::from("--kubeconfig"), path.into()]);
        }
        if let Some(name) = &self.context {
            options.extend([OsString::from(context), name.into()]);
        }
        options
    }
}

/// A kubectl that can be driven, and the cluster it is pointed at.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    version: Version,
    cluster: Cluster,
    room: Arc<tempfile::TempDir>,
}

/// Where objects are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// In this namespace.
    Namespace(&'a str),
    /// In all namespaces; or the kind has none.
    Cluster,
}

/// Why kubectl gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("there is no kubectl{}", named.as_deref().map_or_else(|| " on the search path, and none for this machine in the bundle".to_owned(), |path| format!(" at {}", path.display())))]
    Missing {
        /// Where it was said to be.
        named: Option<PathBuf>,
    },
    /// It is too old.
    #[error("{program} is kubectl {version}; {OLDEST} and later are driven", program = program.display())]
    TooOld {
        /// Which.
        program: PathBuf,
        /// Its version.
        version: Version,
    },
    /// It does not answer like kubectl.
    #[error("{program} does not answer like kubectl: {said}", program = program.display())]
    NotKubectl {
        /// Which.
        program: PathBuf,
        /// What it said.
        said: String,
    },
    /// It could not be run to its end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// There is no place for its files.
    #[error("no temporary folder can be made: {0}")]
    Folder(std::io::Error),
    /// No cluster answers, or none is configured.
    #[error("{what}: no cluster answers: {said}")]
    NoCluster {
        /// What was wanted.
        what: String,
        /// kubectl's words.
        said: String,
    },
    /// The cluster does not know who is asking.
    #[error("{what}: the cluster does not accept this kubeconfig's credentials: {said}")]
    Unauthorized {
        /// What was wanted.
        what: String,
        /// kubectl's words.
        said: String,
    },
    /// The cluster does not let this user do that.
    #[error("{what}: forbidden: {said}")]
    Forbidden {
        /// What was wanted.
        what: String,
        /// kubectl's words.
        said: String,
    },
    /// It is not there.
    #[error("{what}: not found: {said}")]
    NotFound {
        /// What was wanted.
        what: String,
        /// kubectl's words.
        said: String,
    },
    /// Somebody else changed it, or owns it.
    #[error("{what}: in conflict: {said}")]
    Conflict {
        /// What was wanted.
        what: String,
        /// kubectl's words.
        said: String,
    },
    /// Anything else.
    #[error("{what}: {said}")]
    Other {
        /// What was wanted.
        what: String,
        /// kubectl's words.
        said: String,
    },
    /// It answers with what is no JSON.
    #[error("{what}: the answer is not JSON: {why}")]
    Json {
        /// What was wanted.
        what: String,
        /// Where it breaks.
        why: String,
    },
}

/// The word of each kind of refusal that kubectl says before the server's own words, or its own where it reached none.
const REASONS: [(&str, Sort); 23] = [
    ("connect: connection refused", Sort::NoCluster),
    ("Unable to connect to the server", Sort::NoCluster),
    ("The connection to the server", Sort::NoCluster),
    ("couldn't get current server API group list", Sort::NoCluster),
    ("no configuration has been provided", Sort::NoCluster),
    ("error loading config file", Sort::NoCluster),
    ("does not exist in the kubeconfig", Sort::NoCluster),
    ("was not found for specified context", Sort::NoCluster),
    ("context was not found", Sort::NoCluster),
    ("error: context \"", Sort::NoCluster),
    (": no such file or directory", Sort::NoCluster),
    ("context deadline exceeded", Sort::NoCluster),
    ("(Forbidden)", Sort::Forbidden),
    ("(Unauthorized)", Sort::Unauthorized),
    ("You must be logged in to the server", Sort::Unauthorized),
    ("the server has asked for the client to provide credentials", Sort::Unauthorized),
    ("(NotFound)", Sort::NotFound),
    ("the server doesn't have a resource type", Sort::NotFound),
    ("the server could not find the requested resource", Sort::NotFound),
    ("(Conflict)", Sort::Conflict),
    ("(AlreadyExists)", Sort::Conflict),
    ("Apply failed with", Sort::Conflict),
    ("(ServiceUnavailable)", Sort::Other),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    NoCluster,
    Unauthorized,
    Forbidden,
    NotFound,
    Conflict,
    Other,
}

/// The kind of a failure, by kubectl's words; the first word of the table that occurs decides.
fn sort(said: &str) -> Sort {
    REASONS.iter().find(|(words, _)| said.contains(words)).map_or(Sort::Other, |(_, sort)| *sort)
}

/// Whether a program that uses Kubernetes' own client says that no cluster answers.
pub(super) fn is_no_cluster(said: &str) -> bool {
    sort(said) == Sort::NoCluster
}

impl Error {
    fn of(what: &str, said: String) -> Self {
        let what = what.to_owned();
        match sort(&said) {
            Sort::NoCluster => Self::NoCluster { what, said },
            Sort::Unauthorized => Self::Unauthorized { what, said },
            Sort::Forbidden => Self::Forbidden { what, said },
            Sort::NotFound => Self::NotFound { what, said },
            Sort::Conflict => Self::Conflict { what, said },
            Sort::Other => Self::Other { what, said },
        }
    }
}

impl Kubectl {
    /// The kubectl that `BUNDLE_KUBECTL` names, else the first on the search path, else `carried`, which the bundle brought.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::TooOld`], [`Error::NotKubectl`].
    pub fn find(carried: Option<&Path>, cluster: Cluster) -> Result<Self, Error> {
        let named = environment::path("BUNDLE_KUBECTL");
        let program = super::located("kubectl", named.as_deref(), carried).ok_or(Error::Missing { named })?;
        let room = tempfile::Builder::new().prefix("bundle-kubectl-").tempdir().map_err(Error::Folder)?;
        let mut found = Self {
            program,
            version: Version::new(0, 0, 0),
            cluster: Cluster::default(),
            room: Arc::new(room),
        };
        let ended = found.run(&["version", "--client", "--output=json"], &[])?;
        let said: Option<Value> = serde_json::from_slice(&ended.stdout).ok();
        let version = said.as_ref().and_then(|said| said.pointer("/clientVersion/gitVersion")?.as_str());
        let Some(version) = version.and_then(version_of) else {
            return Err(Error::NotKubectl { program: found.program, said: words(&ended) });
        };
        if version < OLDEST {
            return Err(Error::TooOld { program: found.program, version });
        }
        (found.version, found.cluster) = (version, cluster);
        Ok(found)
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

    /// The cluster it is pointed at.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The version of the cluster.
    ///
    /// # Errors
    /// [`Error::NoCluster`] and the other kinds.
    pub fn server_version(&self) -> Result<Version, Error> {
        let what = "the version of the cluster";
        let answer = json(what, &self.raw("/version")?)?;
        answer
            .get("gitVersion")
            .and_then(Value::as_str)
            .and_then(version_of)
            .ok_or_else(|| Error::Json { what: what.to_owned(), why: "it has no gitVersion".to_owned() })
    }

    /// One object; `None` when it, or its kind, is not there.
    ///
    /// # Errors
    /// Whatever else keeps it from being seen.
    pub fn get(&self, kind: &str, name: &str, scope: Scope<'_>) -> Result<Option<Value>, Error> {
        let what = format!("get {kind} {name}");
        let arguments = scoped(&["get", kind, name, "--output=json"], scope, false);
        match self.asked(&what, &arguments, &[]) {
            Err(Error::NotFound { .. }) => Ok(None),
            other => json(&what, &other?).map(Some),
        }
    }

    /// All objects of one kind, or of several joined by commas, that carry `labels` (`a=b,c=d`; empty for all).
    ///
    /// # Errors
    /// Whatever keeps them from being seen; a kind that the cluster does not have is [`Error::NotFound`].
    pub fn list(&self, kinds: &str, labels: &str, scope: Scope<'_>) -> Result<Vec<Value>, Error> {
        let what = format!("list {kinds}");
        let mut arguments = scoped(&["get", kinds, "--output=json"], scope, true);
        if !labels.is_empty() {
            arguments.push(format!("--selector={labels}"));
        }
        let mut answer = json(&what, &self.asked(&what, &arguments, &[])?)?;
        match answer.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(Error::Json { what, why: "it is not a list".to_owned() }),
        }
    }

    /// What the API server answers at `path`, as it is: `/version`, `/readyz`, or a service by its proxy.
    ///
    /// # Errors
    /// As [`Kubectl::get`], and [`Error::NotFound`].
    pub fn raw(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.asked(&format!("get {path}"), &["get".to_owned(), "--raw".to_owned(), path.to_owned()], &[])
    }

    /// Applies `manifests` (YAML or JSON) on the server's side, as the field manager `bundle`; with `dry_run` the server only checks.
    ///
    /// Fields that another manager owns are taken over: what is applied here is named for this program.
    ///
    /// # Errors
    /// The server's own words for what it refuses.
    pub fn apply(
        &self,
        what: &str,
        manifests: &[u8],
        namespace: Option<&str>,
        dry_run: bool,
    ) -> Result<(), Error> {
        let mut arguments: Vec<String> =
            ["apply", "--server-side", "--force-conflicts", "--field-manager=bundle", "--filename=-"]
                .map(ToOwned::to_owned)
                .into();
        arguments.extend(namespace.map(|namespace| format!("--namespace={namespace}")));
        if dry_run {
            arguments.push("--dry-run=server".to_owned());
        }
        self.asked(&format!("apply {what}"), &arguments, manifests).map(drop)
    }

    /// Creates objects (a JSON list, or one) and gives them as the server answers: a review has its verdict then. With `dry_run` the
    /// server only says what would be there.
    ///
    /// # Errors
    /// The server's own words for what it refuses.
    pub fn create(&self, what: &str, manifests: &Value, dry_run: bool) -> Result<Vec<Value>, Error> {
        let mut arguments = ["create", "--output=json", "--filename=-"].map(ToOwned::to_owned).to_vec();
        if dry_run {
            arguments.push("--dry-run=server".to_owned());
        }
        let answer = self.asked(what, &arguments, manifests.to_string().as_bytes())?;
        let all: Result<Vec<Value>, serde_json::Error> =
            serde_json::Deserializer::from_slice(&answer).into_iter().collect();
        all.map_err(|error| Error::Json { what: what.to_owned(), why: error.to_string() })
    }

    /// Asks for one object to be deleted, and does not wait until it is gone. One that is not there is no error.
    ///
    /// # Errors
    /// Whatever keeps it from being deleted.
    pub fn delete(&self, kind: &str, name: &str, scope: Scope<'_>) -> Result<(), Error> {
        let arguments = scoped(&["delete", kind, name, "--ignore-not-found", "--wait=false"], scope, false);
        match self.asked(&format!("delete {kind} {name}"), &arguments, &[]) {
            Err(Error::NotFound { .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Whether this user may do `verb` to `resource` (`deployments.apps`, `services/proxy`), or to the one named.
    ///
    /// # Errors
    /// When the cluster cannot be asked that; a no is not an error.
    pub fn can_i(&self, verb: &str, resource: &str, scope: Scope<'_>) -> Result<bool, Error> {
        // `resource/subresource` would be read as a name.
        let (resource, sub) = resource.split_once('/').map_or((resource, None), |(r, s)| (r, Some(s)));
        let mut arguments = scoped(&["auth", "can-i", verb, resource], scope, false);
        arguments.extend(sub.map(|sub| format!("--subresource={sub}")));
        let what = format!("ask whether {verb} {resource} is allowed");
        let ended = self.run(&arguments, &[])?;
        // A no ends with 1 and says it on stdout.
        match (ended.code, String::from_utf8_lossy(&ended.stdout).split_whitespace().next()) {
            (Some(0), Some("yes")) => Ok(true),
            (Some(1), Some("no")) => Ok(false),
            _ => Err(Error::of(&what, words(&ended))),
        }
    }

    /// Whatever else kubectl can do: its stdout.
    ///
    /// # Errors
    /// By kind; `what` is how the message calls it.
    pub fn ask(&self, what: &str, arguments: &[&str]) -> Result<Vec<u8>, Error> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self.asked(what, &arguments, &[])
    }

    fn asked(&self, what: &str, arguments: &[String], input: &[u8]) -> Result<Vec<u8>, Error> {
        let ended = self.run(arguments, input)?;
        match ended.code {
            Some(0) => Ok(ended.stdout),
            _ => Err(Error::of(what, words(&ended))),
        }
    }

    fn run<A: AsRef<str>>(&self, arguments: &[A], input: &[u8]) -> Result<Ended, Error> {
        let mut all = self.cluster.options("--context");
        // What it remembers of a cluster's kinds may be ten minutes old; ours is as old as this run.
        all.push(format!("--cache-dir={}", self.room.path().display()).into());
        // A server that takes a request and never answers must not hold a change window; watches are not used.
        // A raw request would carry it as a part of its address, and a service behind a proxy would be asked for another one.
        if !arguments.iter().any(|argument| argument.as_ref() == "--raw") {
            all.push(format!("--request-timeout={}s", limits::CLUSTER_ANSWER_SECONDS).into());
        }
        all.extend(arguments.iter().map(|argument| OsString::from(argument.as_ref())));
        let here = Path::new(".");
        let run = Run {
            program: &self.program,
            arguments: all,
            environment: environment::all(),
            folder: here,
            patience: Duration::from_secs(limits::TOOL_SILENCE_SECONDS),
            input,
            stop: None,
            held: None,
        };
        Ok(run.run()?)
    }
}

fn scoped(arguments: &[&str], scope: Scope<'_>, many: bool) -> Vec<String> {
    let mut all: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    match scope {
        Scope::Namespace(namespace) => all.push(format!("--namespace={namespace}")),
        Scope::Cluster if many => all.push("--all-namespaces".to_owned()),
        Scope::Cluster => {}
    }
    all
}

fn json(what: &str, bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::Json { what: what.to_owned(), why: error.to_string() })
}

/// `v1.33.5`, `v1.29.3-gke.1282001`, `v1.30.2+k3s1`: what vendors append is no older than what it is appended to.
#[must_use]
pub fn version_of(text: &str) -> Option<Version> {
    let text = text.trim().trim_start_matches('v');
    let end = text.find(['-', '+']).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_sorted_by_the_servers_reason() {
        for (said, wanted) in [
            (
                "Error from server (Forbidden): pods is forbidden: User \"x\" cannot list resource \"pods\"",
                Sort::Forbidden,
            ),
            ("Error from server (NotFound): pods \"x\" not found", Sort::NotFound),
            ("error: the server doesn't have a resource type \"gateways\"", Sort::NotFound),
            (
                "The connection to the server localhost:8080 was refused - did you specify the right host or port?",
                Sort::NoCluster,
            ),
            ("Unable to connect to the server: dial tcp: lookup k8s.acme: no such host", Sort::NoCluster),
            ("error: context \"x\" does not exist in the kubeconfig", Sort::NoCluster),
            ("error: context \"x\" does not exist", Sort::NoCluster),
            ("error: stat /x: no such file or directory", Sort::NoCluster),
            ("error: You must be logged in to the server (Unauthorized)", Sort::Unauthorized),
            ("Error from server (AlreadyExists): namespaces \"x\" already exists", Sort::Conflict),
            ("error: Apply failed with 1 conflict: conflict with \"helm\"", Sort::Conflict),
            ("The Deployment \"x\" is invalid: spec.replicas: Invalid value: -1", Sort::Other),
        ] {
            assert_eq!(sort(said), wanted, "{said}");
        }
    }

    #[test]
    fn versions_of_vendors_are_read() {
        for (text, wanted) in [
            ("v1.33.5", Some(Version::new(1, 33, 5))),
            ("v1.29.3-gke.1282001", Some(Version::new(1, 29, 3))),
            ("v1.30.2+k3s1", Some(Version::new(1, 30, 2))),
            ("1.x", None),
        ] {
            assert_eq!(version_of(text), wanted, "{text}");
        }
    }
}
