//! Whether what was installed has come up, and what it waits for: from the objects that the API server shows.
//!
//! No total limit is set on coming up: a node may pull 100 GB. What counts is that something moves. [`Standing::score`] grows with
//! every step that a pod or a workload makes, and a pod that falls back does not bring it beyond where it has been.

use serde::Serialize;
use serde_json::Value;

/// A workload that must come up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `Job`, `PersistentVolumeClaim`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it is a hook: there only while Helm runs it, and waited for then.
    pub hook: bool,
}

/// The kinds that are waited for.
pub const KINDS: [&str; 4] = ["Deployment", "StatefulSet", "DaemonSet", "Job"];

/// How things stand at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// What is waited for; empty when all has come up.
    pub waiting: Vec<Waiting>,
    /// How far all has come, comparable with earlier ones of the same workloads.
    pub score: u64,
    /// Whether something moves that shows in no number: an image is being pulled for the first time.
    pub pulling: bool,
    /// Hooks that are there, and whether they are done: when that changes, something moved, and in no direction that a number shows.
    pub hooks: Vec<(String, bool)>,
    /// The longest time, in seconds, that one of the waiting workloads itself allows for a step.
    pub patience: u64,
}

/// One thing that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The workload: `Deployment incidentfox-agent`.
    pub workload: String,
    /// The pod, where it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The reason in Kubernetes' word: `ImagePullBackOff`.
    pub reason: String,
    /// What Kubernetes says about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.workload)?;
        if let Some(pod) = &self.pod {
            write!(f, ", pod {pod}")?;
        }
        write!(f, ": {}", self.reason)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// Holds `wanted` against what is there: `objects` are workloads, pods and events of their namespaces.
#[must_use]
pub fn standing(wanted: &[Wanted], objects: &[Value]) -> Standing {
    let mut standing = Standing::default();
    for one in wanted {
        let found = objects.iter().find(|object| {
            text(object, "/kind") == one.kind
                && text(object, "/metadata/name") == one.name
                && text(object, "/metadata/namespace") == one.namespace
        });
        let workload = format!("{}{} {}", if one.hook { "hook " } else { "" }, one.kind, one.name);
        let Some(object) = found else {
            if one.hook {
                continue;
            }
            let reason = "it is not there".to_owned();
            standing.waiting.push(Waiting { workload, pod: None, reason, detail: String::new() });
            continue;
        };
        let (ready, score) = progress(object);
        let pods: Vec<&Value> = pods_of(object, &one.namespace, objects).collect();
        if one.hook {
            standing.hooks.push((one.name.clone(), ready));
        } else {
            standing.score += 10 * score + pods.iter().map(|pod| stage(pod)).sum::<u64>();
        }
        if ready {
            continue;
        }
        standing.patience = standing.patience.max(patience(object, &pods));
        let before = standing.waiting.len();
        for pod in pods.into_iter().filter(|pod| !is_ready(pod)) {
            standing.pulling |= first_pull(pod, objects);
            let (reason, detail) = why(pod, objects);
            let pod = Some(text(pod, "/metadata/name").to_owned());
            standing.waiting.push(Waiting { workload: workload.clone(), pod, reason, detail });
        }
        if standing.waiting.len() == before {
            let (reason, detail) = of_workload(object, objects);
            standing.waiting.push(Waiting { workload, pod: None, reason, detail });
        }
    }
    standing
}

/// What Kubernetes gives a deployment that says nothing of how long a step may take.
const USUAL_DEADLINE: u64 = 600;
/// Seconds a job may run that says nothing of how long it may take: a migration of a large database.
const JOB_SECONDS: u64 = 3600;

/// How long a workload itself allows for a step, where it says more than the usual.
fn patience(object: &Value, pods: &[&Value]) -> u64 {
    if text(object, "/kind") == "Job" {
        let runs = pods.iter().any(|pod| {
            containers(pod, "/status/containerStatuses").any(|c| c.pointer("/state/running").is_some())
        });
        let own = object.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_u64);
        return if runs { own.unwrap_or(JOB_SECONDS) } else { 0 };
    }
    Some(number(object, "/spec/progressDeadlineSeconds")).filter(|own| *own > USUAL_DEADLINE).unwrap_or(0)
}

/// Whether a workload has come up, and how far it is.
fn progress(object: &Value) -> (bool, u64) {
    let spec = |key: &str| object.pointer(&format!("/spec/{key}")).and_then(Value::as_u64);
    let status = |key: &str| number(object, &format!("/status/{key}"));
    let seen = status("observedGeneration") >= number(object, "/metadata/generation");
    match text(object, "/kind") {
        "Deployment" => {
            let wanted = spec("replicas").unwrap_or(1);
            let (updated, available) = (status("updatedReplicas"), status("availableReplicas"));
            let ready = updated >= wanted && available >= wanted && status("replicas") <= wanted;
            (seen && ready, u64::from(seen) + updated.min(wanted) + available.min(wanted))
        }
        "StatefulSet" => {
            let wanted = spec("replicas").unwrap_or(1);
            let by_hand = text(object, "/spec/updateStrategy/type") == "OnDelete";
            // A new set says nothing of updated replicas until its revisions differ.
            let same = text(object, "/status/currentRevision") == text(object, "/status/updateRevision");
            let updated = if by_hand || same { wanted } else { status("updatedReplicas") };
            let ready = status("readyReplicas");
            (
                seen && updated >= wanted && ready >= wanted,
                u64::from(seen) + updated.min(wanted) + ready.min(wanted),
            )
        }
        "DaemonSet" => {
            let wanted = status("desiredNumberScheduled");
            let by_hand = text(object, "/spec/updateStrategy/type") == "OnDelete";
            let updated = if by_hand { wanted } else { status("updatedNumberScheduled") };
            let ready = status("numberAvailable");
            (
                seen && updated >= wanted && ready >= wanted,
                u64::from(seen) + updated.min(wanted) + ready.min(wanted),
            )
        }
        "Job" => {
            let done = condition(object, "Complete").is_some_and(|c| text(c, "/status") == "True");
            (done, status("succeeded") + u64::from(done))
        }
        _ => (true, 0),
    }
}

/// The pods that a workload's selector chooses.
pub(super) fn pods_of<'o>(
    workload: &'o Value,
    namespace: &'o str,
    objects: &'o [Value],
) -> impl Iterator<Item = &'o Value> {
    let labels = workload.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let labels = labels.filter(|labels| !labels.is_empty());
    objects.iter().filter(move |object| {
        text(object, "/kind") == "Pod"
            && text(object, "/metadata/namespace") == namespace
            && object.pointer("/metadata/deletionTimestamp").is_none()
            && labels.is_some_and(|labels| {
                labels.iter().all(|(key, value)| {
                    object.pointer("/metadata/labels").and_then(|l| l.get(key)) == Some(value)
                })
            })
    })
}

/// How far a pod is: scheduled, prepared, started, ready.
fn stage(pod: &Value) -> u64 {
    let holds = |kind: &str| u64::from(condition(pod, kind).is_some_and(|c| text(c, "/status") == "True"));
    let started = containers(pod, "/status/containerStatuses")
        .filter(|c| c.pointer("/state/running").is_some())
        .count();
    let prepared = containers(pod, "/status/initContainerStatuses")
        .filter(|c| number(c, "/state/terminated/exitCode") == 0 && c.pointer("/state/terminated").is_some())
        .count();
    holds("PodScheduled") + holds("Initialized") + 2 * holds("Ready") + (started + prepared) as u64
}

fn is_ready(pod: &Value) -> bool {
    text(pod, "/status/phase") == "Succeeded"
        || condition(pod, "Ready").is_some_and(|c| text(c, "/status") == "True")
}

/// Why a pod is not ready.
fn why(pod: &Value, objects: &[Value]) -> (String, String) {
    let said = event(pod, objects)
        .map(|event| crate::text::printable(text(event, "/message"), 400))
        .unwrap_or_default();
    if let Some(condition) = condition(pod, "PodScheduled").filter(|c| text(c, "/status") == "False") {
        return (
            word(condition, "/reason", "Pending"),
            crate::text::printable(text(condition, "/message"), 400),
        );
    }
    let all =
        containers(pod, "/status/initContainerStatuses").chain(containers(pod, "/status/containerStatuses"));
    for container in all {
        let name = text(container, "/name");
        if let Some(waiting) = container.pointer("/state/waiting") {
            let reason = word(waiting, "/reason", "waiting");
            // What every container says that waits for another.
            if matches!(reason.as_str(), "PodInitializing" | "ContainerCreating") {
                continue;
            }
            let mut detail = crate::text::printable(text(waiting, "/message"), 400);
            if let Some(last) = container.pointer("/lastState/terminated") {
                let (code, restarts) = (number(last, "/exitCode"), number(container, "/restartCount"));
                detail = format!("container {name} ended with exit code {code}, {restarts} restarts");
                let said = crate::text::printable(text(last, "/message"), 300);
                if !said.is_empty() {
                    detail = format!("{detail}: {said}");
                }
            } else if detail.is_empty() || reason == "ImagePullBackOff" {
                // The back-off hides what the pull said; the event still has it.
                detail = pull_fault(pod, objects).unwrap_or(detail);
            }
            return (reason, detail);
        }
        if let Some(ended) =
            container.pointer("/state/terminated").filter(|ended| number(ended, "/exitCode") != 0)
        {
            let code = number(ended, "/exitCode");
            return (
                word(ended, "/reason", "Error"),
                format!("container {name} ended with exit code {code}"),
            );
        }
        if container.pointer("/state/running").is_some() && container.get("ready") != Some(&Value::Bool(true))
        {
            return (
                "not ready".to_owned(),
                if said.is_empty() { format!("container {name} runs") } else { said },
            );
        }
    }
    (word(pod, "/status/reason", word(pod, "/status/phase", "Pending").as_str()), said)
}

/// What a workload without a pod waits for.
fn of_workload(object: &Value, objects: &[Value]) -> (String, String) {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    for condition in conditions {
        let bad = matches!(
            (text(condition, "/type"), text(condition, "/status")),
            ("ReplicaFailure" | "Failed", "True") | ("Progressing", "False")
        );
        if bad {
            let detail = crate::text::printable(text(condition, "/message"), 400);
            return (word(condition, "/reason", "failed"), detail);
        }
    }
    match event(object, objects) {
        Some(event) => {
            (word(event, "/reason", "waiting"), crate::text::printable(text(event, "/message"), 400))
        }
        None => ("not all replicas are there yet".to_owned(), String::new()),
    }
}

/// The latest warning about an object.
fn event<'o>(about: &Value, objects: &'o [Value]) -> Option<&'o Value> {
    events(about, objects).filter(|event| text(event, "/type") == "Warning").max_by_key(|event| when(event))
}

fn pull_fault(pod: &Value, objects: &[Value]) -> Option<String> {
    let failed = events(pod, objects)
        .filter(|event| text(event, "/reason") == "Failed" && text(event, "/message").contains("pull"))
        .max_by_key(|event| when(event))?;
    Some(crate::text::printable(text(failed, "/message"), 400))
}

/// Whether an image of this pod is being pulled, and none of its pulls was given up before.
fn first_pull(pod: &Value, objects: &[Value]) -> bool {
    let of =
        |reason: &'static str| events(pod, objects).filter(move |event| text(event, "/reason") == reason);
    let failed = of("Failed").chain(of("BackOff")).next().is_some();
    let begun: u64 = of("Pulling").map(|event| number(event, "/count").max(1)).sum();
    let ended: u64 = of("Pulled").map(|event| number(event, "/count").max(1)).sum();
    !failed && begun > ended
}

fn events<'o>(about: &Value, objects: &'o [Value]) -> impl Iterator<Item = &'o Value> {
    let (kind, name) = (text(about, "/kind").to_owned(), text(about, "/metadata/name").to_owned());
    let uid = text(about, "/metadata/uid").to_owned();
    objects.iter().filter(move |object| {
        text(object, "/kind") == "Event"
            && text(object, "/involvedObject/kind") == kind
            && text(object, "/involvedObject/name") == name
            && (uid.is_empty() || text(object, "/involvedObject/uid") == uid)
    })
}

/// RFC 3339 in UTC sorts as text.
fn when(event: &Value) -> &str {
    ["/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
        .into_iter()
        .map(|place| text(event, place))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

fn condition<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    let all = object.pointer("/status/conditions").and_then(Value::as_array)?;
    all.iter().find(|condition| text(condition, "/type") == kind)
}

fn containers<'o>(pod: &'o Value, place: &str) -> impl Iterator<Item = &'o Value> {
    pod.pointer(place).and_then(Value::as_array).into_iter().flatten()
}

fn text<'o>(object: &'o Value, place: &str) -> &'o str {
    object.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

fn number(object: &Value, place: &str) -> u64 {
    object.pointer(place).and_then(Value::as_u64).unwrap_or(0)
}

fn word(object: &Value, place: &str, default: &str) -> String {
    match text(object, place) {
        "" => default.to_owned(),
        text => crate::text::printable(text, 80),
    }
}

#[cfg(test)]
#[path = "waiting/tests.rs"]
mod tests;
