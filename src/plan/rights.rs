//! What an installation must be allowed to do, from the objects that it will create.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::chart::rendered::Object;

/// One thing that must be allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Right {
    /// `create`, `patch`, …
    pub verb: &'static str,
    /// `deployment.apps`, as kubectl takes it; `services/proxy` for a subresource.
    pub resource: String,
    /// Where; `None` in the whole cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Kinds of Kubernetes itself that are in no namespace.
const CLUSTER_WIDE: [&str; 17] = [
    "APIService",
    "ClusterRole",
    "ClusterRoleBinding",
    "CSIDriver",
    "CustomResourceDefinition",
    "FlowSchema",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingWebhookConfiguration",
];

/// What is needed in `namespace` for `objects`, to which belongs what Helm and this program keep there.
#[must_use]
pub fn needed(namespace: &str, objects: &[Object<'_>]) -> BTreeSet<Right> {
    let mut all = BTreeSet::new();
    let mut need = |verbs: &[&'static str], resource: &str, namespace: Option<&str>| {
        for verb in verbs {
            let (resource, namespace) = (resource.to_owned(), namespace.map(ToOwned::to_owned));
            all.insert(Right { verb, resource, namespace });
        }
    };
    let own = Some(namespace);
    need(&["get", "list", "create", "patch", "update", "delete"], "secrets", own);
    need(&["get", "list", "create", "patch", "delete"], "configmaps", own);
    need(&["get", "list"], "pods", own);
    need(&["list"], "events", own);
    need(&["get"], "services/proxy", own);
    for object in objects {
        let cluster_wide = CLUSTER_WIDE.contains(&object.kind.as_str());
        let place = if cluster_wide { None } else { Some(object.namespace.as_deref().unwrap_or(namespace)) };
        need(&["get", "create", "patch"], &object.resource(), place);
    }
    all
}

/// Groups and versions that the objects are of, and that the cluster need not know yet because the objects define them.
#[must_use]
pub fn is_known(object: &Object<'_>, versions: &[&str]) -> bool {
    versions.contains(&object.api.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::chart::rendered::objects;

    #[test]
    fn rights_follow_from_the_objects() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: b}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: c, namespace: other}\n";
        let all = needed("n", &objects(text).unwrap());
        for (verb, resource, namespace) in [
            ("create", "deployment.apps", Some("n")),
            ("patch", "clusterrole.rbac.authorization.k8s.io", None),
            ("create", "service", Some("other")),
            ("create", "secrets", Some("n")),
        ] {
            let right = Right { verb, resource: resource.into(), namespace: namespace.map(Into::into) };
            assert!(all.contains(&right), "{right:?} in {all:?}");
        }
    }
}
