//! What is looked at, one thing after another, each redacted and packed at once.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::pack::Pack;
use super::{Error, Missing, page};
use crate::limits;
use crate::plan::redact::Redactor;
use crate::tools::kubectl::{self, Kubectl, Scope};

/// Kinds that are looked at in each namespace, each into a file of its name. A kind that the cluster does not have is passed over.
const KINDS: [&str; 13] = [
    "pods",
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "jobs",
    "cronjobs",
    "services",
    "ingresses",
    "persistentvolumeclaims",
    "configmaps",
    "networkpolicies",
    "horizontalpodautoscalers",
];
/// Kinds of the cluster as a whole.
const CLUSTER_KINDS: [&str; 4] = ["nodes", "storageclasses", "ingressclasses", "persistentvolumes"];

/// What was found so far.
pub(super) struct Collected {
    pub(super) redactor: Redactor,
    pub(super) missing: Vec<Missing>,
    pub(super) pods: Vec<page::Pod>,
    pub(super) warnings: Vec<page::Warning>,
}

impl Collected {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor, missing: vec![], pods: vec![], warnings: vec![] }
    }

    /// Secrets first, so that their values are known wherever they turn up later.
    pub(super) fn everything(
        &mut self,
        kubectl: &Kubectl,
        namespaces: &[String],
        pack: &mut Pack,
    ) -> Result<(), Error> {
        let mut releases = Vec::new();
        for namespace in namespaces {
            releases.extend(self.secrets(kubectl, namespace, pack)?);
        }
        let version = kubectl.ask("the versions", &["version", "--output=json"]);
        if let Some(text) = self.had("the versions", version) {
            self.put_text("cluster/version.json", &text, pack)?;
        }
        for kind in CLUSTER_KINDS {
            let found = kubectl.list(kind, "", Scope::Cluster);
            self.list(&format!("cluster/{kind}.json"), kind, found, pack)?;
        }
        let usage = kubectl.ask("what the nodes use", &["top", "nodes"]);
        if let Some(text) = self.had("what the nodes use", usage) {
            self.put_text("cluster/usage.txt", &text, pack)?;
        }
        for (namespace, name, release) in releases {
            self.release(&namespace, &name, release, pack)?;
        }
        for namespace in namespaces {
            self.namespace(kubectl, namespace, pack)?;
        }
        Ok(())
    }

    /// Reads the secrets of a namespace: their names are kept, their values known. Gives Helm's releases, which it keeps as secrets.
    fn secrets(
        &mut self,
        kubectl: &Kubectl,
        namespace: &str,
        pack: &mut Pack,
    ) -> Result<Vec<(String, String, Value)>, Error> {
        let what =
            format!("secrets of {namespace}, so their values are not known and may stand in other files");
        let Some(all) = self.had(&what, kubectl.list("secrets", "", Scope::Namespace(namespace))) else {
            return Ok(vec![]);
        };
        let (mut names, mut releases) = (Vec::new(), Vec::new());
        for secret in &all {
            let name = secret.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let kind = secret["type"].as_str().unwrap_or_default();
            let data = secret["data"].as_object();
            let keys: Vec<&String> = data.into_iter().flat_map(serde_json::Map::keys).collect();
            names.push(json!({"name": name, "type": kind, "keys": keys}));
            if kind == "helm.sh/release.v1" {
                releases
                    .extend(release(secret).map(|release| (namespace.to_owned(), name.to_owned(), release)));
                continue;
            }
            for value in data.into_iter().flat_map(serde_json::Map::values).filter_map(Value::as_str) {
                // As it stands in the object, and as programs see it.
                self.redactor.know(value);
                if let Some(text) =
                    STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok())
                {
                    self.redactor.know(&text);
                    know_parts(&mut self.redactor, &serde_json::from_str(&text).unwrap_or(Value::Null));
                }
            }
        }
        let text = format!("{:#}\n", Value::Array(names));
        // Names and keys alone: nothing in it is to be taken out.
        pack.add(&format!("namespaces/{namespace}/secrets.json"), text.as_bytes())?;
        Ok(releases)
    }

    /// One revision of a Helm release: the values it was given, what it rendered, how it stands.
    fn release(
        &mut self,
        namespace: &str,
        name: &str,
        mut release: Value,
        pack: &mut Pack,
    ) -> Result<(), Error> {
        let name = name.trim_start_matches("sh.helm.release.v1.");
        let folder = format!("namespaces/{namespace}/helm/{name}");
        let manifest = release["manifest"].take();
        self.put_text(
            &format!("{folder}.manifest.yaml"),
            manifest.as_str().unwrap_or_default().as_bytes(),
            pack,
        )?;
        let about = json!({
            "name": release["name"], "version": release["version"], "info": release["info"],
            "chart": release.pointer("/chart/metadata"), "values": release["config"],
        });
        self.put_json(&format!("{folder}.json"), about, pack)
    }

    fn namespace(&mut self, kubectl: &Kubectl, namespace: &str, pack: &mut Pack) -> Result<(), Error> {
        let scope = Scope::Namespace(namespace);
        let mut pods = Vec::new();
        for kind in KINDS {
            let found = kubectl.list(kind, "", scope);
            if kind == "pods" {
                pods.extend(found.iter().flatten().cloned());
            }
            self.list(&format!("namespaces/{namespace}/{kind}.json"), kind, found, pack)?;
        }
        let events = kubectl.list("events", "", scope);
        for event in events.iter().flatten().filter(|event| event["type"] == "Warning") {
            let text = |at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
            let message = self.redactor.text(&text("/message"));
            let object =
                format!("{}/{}", text("/involvedObject/kind").to_lowercase(), text("/involvedObject/name"));
            let times = event["count"].as_u64().unwrap_or(1);
            self.warnings.push(page::Warning { object, reason: text("/reason"), message, times });
        }
        self.list(&format!("namespaces/{namespace}/events.json"), "events", events, pack)?;
        let what = format!("what the pods of {namespace} use");
        let usage = kubectl.ask(&what, &["top", "pods", "--containers", "--namespace", namespace]);
        if let Some(text) = self.had(&what, usage) {
            self.put_text(&format!("namespaces/{namespace}/usage.txt"), &text, pack)?;
        }
        if pods.len() > limits::DIAGNOSE_PODS {
            let why =
                format!("there are {}; those of the first {} are taken", pods.len(), limits::DIAGNOSE_PODS);
            self.missing.push(Missing { what: format!("logs of all pods of {namespace}"), why });
        }
        for pod in pods.iter().take(limits::DIAGNOSE_PODS) {
            self.pod(kubectl, (namespace, pod), pack)?;
        }
        Ok(())
    }

    fn pod(
        &mut self,
        kubectl: &Kubectl,
        (namespace, pod): (&str, &Value),
        pack: &mut Pack,
    ) -> Result<(), Error> {
        let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let mut told = page::Pod::of(namespace, name, pod);
        for (container, restarts) in containers(pod) {
            for previous in [false, true] {
                if previous && restarts == 0 {
                    continue;
                }
                let suffix = if previous { ".previous" } else { "" };
                let path = format!("namespaces/{namespace}/logs/{name}/{container}{suffix}.log");
                let (lines, bytes) = (
                    format!("--tail={}", limits::DIAGNOSE_LOG_LINES),
                    format!("--limit-bytes={}", limits::DIAGNOSE_LOG_BYTES),
                );
                let mut words = vec![
                    "logs",
                    name,
                    "--namespace",
                    namespace,
                    "--container",
                    &container,
                    &lines,
                    &bytes,
                    "--timestamps",
                ];
                words.extend(previous.then_some("--previous"));
                let what = format!("the log of {namespace}/{name}/{container}{suffix}");
                if let Some(text) = self.had(&what, kubectl.ask(&what, &words)) {
                    self.put_text(&path, &text, pack)?;
                    told.logs.push(path);
                }
            }
        }
        self.pods.push(told);
        Ok(())
    }

    fn list(
        &mut self,
        path: &str,
        kind: &str,
        found: Result<Vec<Value>, kubectl::Error>,
        pack: &mut Pack,
    ) -> Result<(), Error> {
        if matches!(found, Err(kubectl::Error::NotFound { .. })) {
            return Ok(());
        }
        match self.had(kind, found) {
            Some(all) => self.put_json(path, Value::Array(all), pack),
            None => Ok(()),
        }
    }

    /// What was had; else it is noted that it was not.
    fn had<T>(&mut self, what: &str, found: Result<T, kubectl::Error>) -> Option<T> {
        found
            .map_err(|error| {
                let why = self.redactor.text(&error.to_string());
                self.missing.push(Missing { what: what.to_owned(), why });
            })
            .ok()
    }

    fn put_text(&mut self, path: &str, text: &[u8], pack: &mut Pack) -> Result<(), Error> {
        self.redactor.begin(path);
        let text = self.redactor.text(&String::from_utf8_lossy(text));
        Ok(pack.add(path, text.as_bytes())?)
    }

    pub(super) fn put_json(&mut self, path: &str, mut value: Value, pack: &mut Pack) -> Result<(), Error> {
        self.redactor.begin(path);
        self.redactor.json(&mut value);
        Ok(pack.add(path, format!("{value:#}\n").as_bytes())?)
    }

    /// The list of what was taken out, and the page that leads to everything.
    pub(super) fn finish(&mut self, about: &page::About<'_>, pack: &mut Pack) -> Result<(), Error> {
        let taken = self.redactor.taken();
        let list = json!({"taken_out": taken, "not_had": self.missing, "left_in": about.kept});
        pack.add("redactions.json", format!("{list:#}\n").as_bytes())?;
        let page = page::page(about, self, (&taken, pack.files()));
        Ok(pack.add("index.html", page.as_bytes())?)
    }
}

/// Every text of a JSON value: a login to a registry is kept as JSON.
fn know_parts(redactor: &mut Redactor, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if !matches!(name.as_str(), "username" | "email") => {
                        redactor.know(text);
                    }
                    field => know_parts(redactor, field),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|item| know_parts(redactor, item)),
        _ => {}
    }
}

/// A release as Helm keeps it: JSON, in gzip, in base64, in the base64 of every secret.
fn release(secret: &Value) -> Option<Value> {
    let once = STANDARD.decode(secret.pointer("/data/release")?.as_str()?).ok()?;
    let packed = STANDARD.decode(once).ok()?;
    let mut text = Vec::new();
    GzDecoder::new(packed.as_slice()).take(limits::RENDERED_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The containers of a pod that began, and how often each began again.
fn containers(pod: &Value) -> Vec<(String, u64)> {
    ["/status/initContainerStatuses", "/status/containerStatuses"]
        .iter()
        .filter_map(|at| pod.pointer(at)?.as_array())
        .flatten()
        .filter(|status| {
            status["state"].get("waiting").is_none() || status["restartCount"].as_u64().unwrap_or(0) > 0
        })
        .filter_map(|status| {
            Some((status["name"].as_str()?.to_owned(), status["restartCount"].as_u64().unwrap_or(0)))
        })
        .collect()
}
