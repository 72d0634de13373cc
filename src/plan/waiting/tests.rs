//! What is waited for, step by step, and how far it is.

use serde_json::json;

use super::*;

fn wanted() -> Vec<Wanted> {
    vec![Wanted { kind: "Deployment".into(), namespace: "n".into(), name: "web".into(), hook: false }]
}

fn deployment(updated: u64, available: u64) -> Value {
    json!({
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "n", "generation": 2},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "progressDeadlineSeconds": 900},
        "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": updated, "availableReplicas": available},
    })
}

fn pod(status: &Value) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "n", "uid": "u", "labels": {"app": "web", "more": "x"}},
        "status": status,
    })
}

fn event(kind: &str, reason: &str, message: &str, count: u64) -> Value {
    json!({
        "kind": "Event", "type": kind, "reason": reason, "message": message, "count": count,
        "involvedObject": {"kind": "Pod", "name": "web-1", "uid": "u"}, "lastTimestamp": "2026-01-01T00:00:00Z",
    })
}

#[test]
fn reasons_are_kubernetes_own() {
    let unschedulable = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}]});
    let waiting = |reason: &str, message: &str| {
        json!({"phase": "Pending", "containerStatuses": [
        {"name": "main", "state": {"waiting": {"reason": reason, "message": message}}}]})
    };
    let crashing = json!({"phase": "Running", "containerStatuses": [{"name": "main", "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
        "lastState": {"terminated": {"exitCode": 7}}}]});
    let unready = json!({"phase": "Running", "containerStatuses": [{"name": "main", "ready": false, "state": {"running": {}}}]});
    for (status, events, reason, detail) in [
        (&unschedulable, vec![], "Unschedulable", "Insufficient cpu"),
        (
            &waiting("ImagePullBackOff", "Back-off pulling image"),
            vec![event("Warning", "Failed", "Failed to pull image \"r/x\": not found", 2)],
            "ImagePullBackOff",
            "Failed to pull image \"r/x\": not found",
        ),
        (
            &waiting("CreateContainerConfigError", "secret \"s\" not found"),
            vec![],
            "CreateContainerConfigError",
            "secret \"s\" not found",
        ),
        (&crashing, vec![], "CrashLoopBackOff", "container main ended with exit code 7, 3 restarts"),
        (
            &unready,
            vec![event("Warning", "Unhealthy", "Readiness probe failed: 503", 4)],
            "not ready",
            "Readiness probe failed: 503",
        ),
        (
            &json!({"phase": "Pending"}),
            vec![event("Warning", "FailedMount", "secret \"tls\" not found", 1)],
            "Pending",
            "secret \"tls\" not found",
        ),
    ] {
        let mut objects = vec![deployment(1, 0), pod(status)];
        objects.extend(events);
        let standing = standing(&wanted(), &objects);
        assert_eq!(standing.waiting.len(), 1, "{standing:?}");
        let one = &standing.waiting[0];
        assert_eq!((one.workload.as_str(), one.pod.as_deref()), ("Deployment web", Some("web-1")));
        assert_eq!(one.reason, reason);
        assert!(one.detail.contains(detail), "{one}");
        assert_eq!(standing.patience, 900);
    }
}

#[test]
fn what_is_up_is_not_waited_for_and_what_is_not_there_is() {
    assert_eq!(standing(&wanted(), &[deployment(2, 2)]).waiting, []);
    let missing = standing(&wanted(), &[]);
    assert_eq!(missing.waiting[0].to_string(), "Deployment web: it is not there");
    let mut unseen = deployment(2, 2);
    unseen["metadata"]["generation"] = json!(3);
    assert_eq!(standing(&wanted(), &[unseen]).waiting.len(), 1, "the controller has not seen it yet");
    let mut refused = deployment(0, 0);
    refused["status"]["conditions"] = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]);
    assert_eq!(
        standing(&wanted(), &[refused]).waiting[0].to_string(),
        "Deployment web: FailedCreate: exceeded quota"
    );
}

#[test]
fn the_score_grows_with_each_step_and_a_pull_counts_once() {
    let scheduled = json!({"conditions": [{"type": "PodScheduled", "status": "True"}]});
    let running = json!({"conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Initialized", "status": "True"}],
        "containerStatuses": [{"name": "a", "state": {"running": {}}}]});
    let steps = [
        vec![deployment(0, 0)],
        vec![deployment(0, 0), pod(&scheduled)],
        vec![deployment(0, 0), pod(&running)],
        vec![deployment(1, 0), pod(&running)],
        vec![deployment(1, 1), pod(&running)],
    ];
    let scores: Vec<u64> = steps.iter().map(|objects| standing(&wanted(), objects).score).collect();
    assert!(scores.is_sorted_by(|a, b| a < b), "{scores:?}");

    let pulling = event("Normal", "Pulling", "Pulling image", 1);
    let pulled = event("Normal", "Pulled", "Successfully pulled", 1);
    let failed = event("Warning", "Failed", "Failed to pull", 1);
    for (events, moves) in [
        (vec![pulling.clone()], true),
        (vec![pulling.clone(), pulled], false),
        (vec![pulling, failed], false),
        (vec![], false),
    ] {
        let mut objects = vec![deployment(0, 0), pod(&scheduled)];
        objects.extend(events.clone());
        assert_eq!(standing(&wanted(), &objects).pulling, moves, "{events:?}");
    }
}

#[test]
fn a_hook_is_waited_for_while_it_is_there() {
    let hook = Wanted { kind: "Job".into(), namespace: "n".into(), name: "migrate".into(), hook: true };
    let all = [&[hook][..], &wanted()].concat();
    let job = |status: Value| {
        json!({"kind": "Job", "metadata": {"name": "migrate", "namespace": "n"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}}, "status": status})
    };
    let running =
        pod(&json!({"phase": "Running", "containerStatuses": [{"name": "main", "state": {"running": {}}}]}));
    let seen = standing(&all, &[job(json!({})), running]);
    assert_eq!(seen.waiting[0].workload, "hook Job migrate");
    assert_eq!(seen.waiting[0].pod.as_deref(), Some("web-1"));
    assert_eq!((seen.score, seen.patience), (0, JOB_SECONDS), "a migration takes its time");
    assert_eq!(seen.hooks, [("migrate".to_owned(), false)]);
    let done = json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]});
    let seen = standing(&all, &[job(done)]);
    assert_eq!((seen.waiting.len(), seen.hooks[0].1), (1, true));
    let gone = standing(&all, &[]);
    assert_eq!((gone.waiting.len(), gone.hooks.len()), (1, 0), "only what stays is missed");
}
