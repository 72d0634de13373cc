//! The cluster, asked through kubectl. Reads, and asks the server what it would say: nothing is created.

use serde_json::{Value, json};
use signing::time::Time;

use super::Request;
use crate::ops::open::Authenticated;
use crate::plan::preflight::quantity::{millis, whole};
use crate::plan::preflight::{Asked, Class, Cluster, Fault, Node, Permission, permissions};
use crate::sys::clock;
use crate::tools::kubectl::{Error, Kubectl, Scope};

/// What the cluster is; else what keeps it from being asked.
pub(super) fn facts(bundle: &Authenticated, request: &Request<'_>) -> Result<Cluster, (Fault, String)> {
    let kubectl = find(bundle, request).map_err(|error| told(&error))?;
    let version = kubectl.server_version().map_err(|error| told(&error))?;
    let charts = &bundle.index.get().charts;
    let namespace = request.namespace.or(charts.iter().find_map(|chart| chart.namespace.as_deref()));
    let namespace = namespace.unwrap_or("default").to_owned();
    // A user of one namespace alone may not look at it, and it is there.
    let exists = !matches!(kubectl.get("namespace", &namespace, Scope::Cluster), Ok(None));
    Ok(Cluster {
        version,
        allowed: asked(allowed(&kubectl, permissions(&namespace, exists))),
        nodes: asked(kubectl.list("nodes", "", Scope::Cluster).map(|all| all.iter().map(node).collect())),
        storage: classes(
            &kubectl,
            "storageclasses.storage.k8s.io",
            "storageclass.kubernetes.io/is-default-class",
        ),
        ingress: classes(
            &kubectl,
            "ingressclasses.networking.k8s.io",
            "ingressclass.kubernetes.io/is-default-class",
        ),
        ahead: ahead(&kubectl, if exists { &namespace } else { "default" }),
        namespace,
        storage_class: request.storage_class.map(ToOwned::to_owned),
        ingress_class: request.ingress_class.map(ToOwned::to_owned),
    })
}

/// kubectl on this machine, else the bundle's own, whose bytes are checked before it is run.
fn find(bundle: &Authenticated, request: &Request<'_>) -> Result<Kubectl, Error> {
    match Kubectl::find(None, request.cluster.clone()) {
        Err(Error::Missing { named: None }) => {}
        found => return found,
    }
    // What is not the file that was signed is not there; the bundle's own state is told elsewhere.
    let carried = crate::ops::cluster::tool(bundle, "kubectl").ok().flatten();
    Kubectl::find(carried.as_deref(), request.cluster.clone())
}

/// The kind of a fault, for advice, and its words.
#[must_use]
pub fn told(error: &Error) -> (Fault, String) {
    let fault = match error {
        Error::Missing { .. } | Error::TooOld { .. } | Error::NotKubectl { .. } => Fault::Program,
        Error::NoCluster { .. } => Fault::Unreachable,
        Error::Unauthorized { .. } => Fault::Unauthorized,
        Error::Forbidden { .. } => Fault::Denied,
        _ => Fault::Other,
    };
    (fault, error.to_string())
}

fn asked<T>(answer: Result<T, Error>) -> Asked<T> {
    answer.map_or_else(|error| Asked::Unknown(error.to_string()), Asked::Known)
}

/// All in one request each, in one run of kubectl.
fn allowed(kubectl: &Kubectl, wanted: Vec<Permission>) -> Result<Vec<(Permission, bool)>, Error> {
    let reviews: Vec<Value> = wanted
        .iter()
        .map(|permission| {
            let (resource, sub) = permission.resource.split_once('/').unwrap_or((permission.resource, ""));
            json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {
                    "verb": permission.verb,
                    "group": permission.group,
                    "resource": resource,
                    "subresource": sub,
                    "namespace": permission.namespace.as_deref().unwrap_or(""),
                }},
            })
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": reviews});
    let what = "ask what is allowed";
    let answers = kubectl.create(what, &list, false)?;
    if answers.len() != wanted.len() {
        let why = format!("{} answers to {} questions", answers.len(), wanted.len());
        return Err(Error::Json { what: what.to_owned(), why });
    }
    let verdicts =
        answers.iter().map(|answer| answer.pointer("/status/allowed").and_then(Value::as_bool) == Some(true));
    Ok(wanted.into_iter().zip(verdicts).collect())
}

fn classes(kubectl: &Kubectl, kind: &str, mark: &str) -> Asked<Vec<Class>> {
    let class = |object: &Value| Class {
        name: text(object, "/metadata/name"),
        default: object.pointer("/metadata/annotations").and_then(|all| all.get(mark)?.as_str())
            == Some("true"),
    };
    asked(kubectl.list(kind, "", Scope::Cluster).map(|all| all.iter().map(class).collect()))
}

fn text(object: &Value, at: &str) -> String {
    let text = object.pointer(at).and_then(Value::as_str).unwrap_or_default();
    crate::text::printable(text, 253)
}

fn node(object: &Value) -> Node {
    let capacity = |name: &str| object.pointer("/status/capacity").and_then(|all| all.get(name)?.as_str());
    let ready = object.pointer("/status/conditions").and_then(Value::as_array).is_some_and(|all| {
        all.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    });
    let closed = object.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true);
    // A node that repels what does not ask for it takes no pods of a release that knows nothing of it.
    let repels = object.pointer("/spec/taints").and_then(Value::as_array).is_some_and(|all| {
        all.iter().any(|taint| taint["effect"] == "NoSchedule" || taint["effect"] == "NoExecute")
    });
    let offered = object.pointer("/status/allocatable").and_then(Value::as_object);
    let gpus = offered.into_iter().flatten().filter(|(name, _)| name.ends_with("/gpu"));
    let gpus: u64 = gpus.filter_map(|(_, count)| whole(count.as_str()?)).sum();
    Node {
        name: text(object, "/metadata/name"),
        // GPU nodes are often closed to all but those who want a GPU.
        takes_pods: ready && !closed && (!repels || gpus > 0),
        platform: format!(
            "{}/{}",
            text(object, "/status/nodeInfo/operatingSystem"),
            text(object, "/status/nodeInfo/architecture")
        ),
        cpu: capacity("cpu").and_then(millis).unwrap_or(0),
        memory: capacity("memory").and_then(whole).unwrap_or(0),
        storage: capacity("ephemeral-storage").and_then(whole),
        gpus,
    }
}

/// How far the clocks are apart: the server dates an object that it is only asked about.
fn ahead(kubectl: &Kubectl, namespace: &str) -> Asked<i64> {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "bundle-preflight-", "namespace": namespace},
    });
    let Some(before) = clock::now() else {
        return Asked::Unknown("this machine's clock is not set".to_owned());
    };
    let answer = match kubectl.create("ask the cluster for its time", &object, true) {
        Ok(answer) => answer,
        Err(error) => return Asked::Unknown(error.to_string()),
    };
    let after = clock::now().unwrap_or(before);
    let time = answer.first().map(|object| text(object, "/metadata/creationTimestamp")).unwrap_or_default();
    match time.parse::<Time>() {
        // Whole seconds: what lies between the question and its answer is no difference.
        Ok(time) if time.unix() < before => Asked::Known(time.unix() - before),
        Ok(time) => Asked::Known((time.unix() - after).max(0)),
        Err(_) => Asked::Unknown(format!("it answers \"{time}\"")),
    }
}
