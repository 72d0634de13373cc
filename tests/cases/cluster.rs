//! The real Kubernetes that cases share, and a namespace for each; what it must be able to do before anything is installed on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use xtask::cluster::{self, Site};
use xtask::images::standin;
use xtask::registry::{Config, Server};

use super::program::tool;

/// The kubeconfig of the administrator of the shared cluster, which is started by the first who asks. `cargo xtask test` ends it.
pub(crate) fn shared() -> &'static Path {
    static UP: OnceLock<PathBuf> = OnceLock::new();
    UP.get_or_init(|| cluster::up(&Site::shared().unwrap(), &|_| {}).unwrap())
}

/// A namespace of one case, deleted with everything in it when dropped.
pub(crate) struct Namespace {
    pub(crate) name: String,
    created: bool,
}

impl Namespace {
    /// Makes one.
    pub(crate) fn new(case: &str) -> Self {
        let mut namespace = Self::unmade(case);
        namespace.kubectl(&["create", "namespace", &namespace.name]);
        namespace.created = true;
        namespace
    }

    /// A name nobody has; what is tested makes the namespace.
    pub(crate) fn unmade(case: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("{case}-{}-{count}", std::process::id()), created: false }
    }

    /// kubectl as the administrator, in this namespace.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(xtask::tools::kubectl().unwrap());
        // It remembers kinds below the home folder; the cluster's own goes away with it.
        command.env_clear().env("KUBECONFIG", shared()).env("HOME", shared().parent().unwrap());
        command.args(["--namespace", &self.name]).args(arguments);
        command
    }

    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        String::from_utf8(tool(&mut self.command(arguments))).unwrap()
    }

    /// Applies objects, as JSON.
    #[track_caller]
    pub(crate) fn apply(&self, objects: &serde_json::Value) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), objects.to_string()).unwrap();
        self.kubectl(&["apply", "--filename", file.path().to_str().unwrap()]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ =
            self.command(&["delete", "namespace", &self.name, "--ignore-not-found", "--wait=false"]).output();
    }
}

#[test]
fn the_node_pulls_runs_and_stores() {
    let folder = tempfile::tempdir().unwrap();
    let program = std::fs::read(standin::program(folder.path()).unwrap()).unwrap();
    let registry = Server::start(Config::default()).unwrap();
    let image = standin::image("acme/agent:v1", &["linux/amd64", "linux/arm64"], &program).unwrap();
    image.graph.put(&registry, &image.repository, &image.tag).unwrap();
    let namespace = Namespace::new("node");
    let pulled = format!("{}/acme/agent@{}", registry.host(), image.graph.root().digest);
    namespace.apply(&json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
         "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "agent"},
         "spec": {"selector": {"app": "agent"}, "ports": [{"port": 80, "targetPort": 8080}]}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agent", "labels": {"app": "agent"}},
         "spec": {
            "containers": [{
                "name": "agent", "image": pulled, "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1},
            }],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
         }},
    ]}));
    namespace.kubectl(&["wait", "--for=condition=Ready", "pod/agent", "--timeout=90s"]);
    // Not by the Service's address: the API server asks the pod behind it.
    let health = format!("/api/v1/namespaces/{}/services/agent:80/proxy/health", namespace.name);
    assert!(namespace.kubectl(&["get", "--raw", &health]).contains("\"healthy\""));
    assert!(namespace.kubectl(&["logs", "agent"]).contains("agent stands in"));
    assert!(registry.host().starts_with("127.0.0.1"));
}
