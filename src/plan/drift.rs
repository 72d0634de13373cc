//! What runs and should not: containers of the release's pods whose image is not one of the signed ones.

use serde::Serialize;
use serde_json::Value;

use super::installed::Pinned;
use super::waiting::{self, Wanted};

/// A container that runs something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The workload: `Deployment shop-agent`.
    pub workload: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// What it runs.
    pub image: String,
}

/// Holds the pods of `wanted` against the images that were signed. An image that is named by a signed digest is what was signed: the node
/// checked its bytes.
#[must_use]
pub fn drift(wanted: &[Wanted], objects: &[Value], images: &[Pinned]) -> Vec<Drift> {
    let text = |value: &Value, place: &str| {
        value.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let signed = |image: &str| {
        image
            .rsplit_once('@')
            .is_some_and(|(_, digest)| images.iter().any(|pinned| pinned.digest.to_string() == digest))
    };
    let mut all = Vec::new();
    for one in wanted {
        let workload = objects.iter().find(|object| {
            text(object, "/kind") == one.kind
                && text(object, "/metadata/name") == one.name
                && text(object, "/metadata/namespace") == one.namespace
        });
        let Some(workload) = workload else { continue };
        for pod in waiting::pods_of(workload, &one.namespace, objects) {
            for list in ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"] {
                for container in pod.pointer(list).and_then(Value::as_array).into_iter().flatten() {
                    let image = text(container, "/image");
                    if !signed(&image) {
                        all.push(Drift {
                            workload: format!("{} {}", one.kind, one.name),
                            pod: text(pod, "/metadata/name"),
                            container: text(container, "/name"),
                            image: crate::text::printable(&image, 300),
                        });
                    }
                }
            }
        }
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::digest::Digest;

    #[test]
    fn only_signed_digests_are_no_drift() {
        let digest = Digest::of(b"image");
        let images = [Pinned { to: "r.acme/agent:v1".parse().unwrap(), digest, original: None }];
        let wanted =
            [Wanted { kind: "Deployment".into(), namespace: "n".into(), name: "web".into(), hook: false }];
        let workload = json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "n"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}}});
        for (image, seen) in [
            (format!("r.acme/agent:v1@{digest}"), 0),
            ("r.acme/agent:v1".to_owned(), 1),
            (format!("r.acme/agent:v1@{}", Digest::of(b"other")), 1),
        ] {
            let pod = json!({"kind": "Pod", "metadata": {"name": "web-1", "namespace": "n", "labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": image}]}});
            let stranger = json!({"kind": "Pod", "metadata": {"name": "x", "namespace": "n", "labels": {"app": "other"}},
                "spec": {"containers": [{"name": "main", "image": "anything"}]}});
            assert_eq!(drift(&wanted, &[workload.clone(), pod, stranger], &images).len(), seen, "{image}");
        }
    }
}
