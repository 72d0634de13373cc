//! What a cluster has, held against what a release needs.

use std::collections::BTreeMap;
use std::fmt;

use semver::Version;
use serde::Serialize;
use signing::Weight;

use super::{Area, Asked, Check, Load, SKEW_SECONDS, Seen, matches, without_gpus};
use crate::bundle::index::IndexRequires;
use crate::checked::ByteSize;
use crate::release::sections::Gpu;

/// What a cluster was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its version.
    pub version: Version,
    /// Where the release is installed.
    pub namespace: String,
    /// What was asked, and whether it is allowed.
    pub allowed: Asked<Vec<(Permission, bool)>>,
    /// Its nodes.
    pub nodes: Asked<Vec<Node>>,
    /// Its storage classes.
    pub storage: Asked<Vec<Class>>,
    /// Its ingress classes.
    pub ingress: Asked<Vec<Class>>,
    /// Seconds that its clock is ahead of this machine's.
    pub ahead: Asked<i64>,
    /// The storage class that will be used; `None` for the default.
    pub storage_class: Option<String>,
    /// The ingress class that will be used; `None` when that is not known.
    pub ingress_class: Option<String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Whether it is ready, and not closed to new pods.
    pub takes_pods: bool,
    /// `linux/amd64`.
    pub platform: String,
    /// Thousandths of a core, in all.
    pub cpu: u64,
    /// Bytes of memory, in all.
    pub memory: u64,
    /// Bytes for images and containers, if it tells.
    pub storage: Option<u64>,
    /// GPUs it offers.
    pub gpus: u64,
}

/// A storage class or an ingress class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Whether it is taken where none is named.
    pub default: bool,
}

/// One thing that must be allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Permission {
    /// `create`, `patch`, …
    pub verb: &'static str,
    /// The API group; empty for the core.
    pub group: &'static str,
    /// `deployments`; `services/proxy` for a subresource.
    pub resource: &'static str,
    /// Where; `None` in the whole cluster.
    pub namespace: Option<String>,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, .. } = self;
        let dot = if group.is_empty() { "" } else { "." };
        write!(f, "{verb} {resource}{dot}{group}")
    }
}

/// What this program and Helm do in `namespace` for every release, and the kinds that charts are made of.
#[must_use]
pub fn permissions(namespace: &str, exists: bool) -> Vec<Permission> {
    const OWN: [(&str, &str, &[&str]); 5] = [
        ("", "secrets", &["get", "list", "create", "update", "patch", "delete"]),
        ("", "configmaps", &["get", "list", "create", "update", "patch", "delete"]),
        ("", "pods", &["get", "list"]),
        ("", "events", &["list"]),
        ("", "services/proxy", &["get"]),
    ];
    const KINDS: [(&str, &str); 9] = [
        ("", "services"),
        ("", "serviceaccounts"),
        ("", "persistentvolumeclaims"),
        ("apps", "deployments"),
        ("apps", "statefulsets"),
        ("batch", "jobs"),
        ("networking.k8s.io", "ingresses"),
        ("networking.k8s.io", "networkpolicies"),
        ("policy", "poddisruptionbudgets"),
    ];
    let here =
        |verb, group, resource| Permission { verb, group, resource, namespace: Some(namespace.to_owned()) };
    let mut all = Vec::new();
    if !exists {
        all.push(Permission { verb: "create", group: "", resource: "namespaces", namespace: None });
    }
    for (group, resource, verbs) in OWN {
        all.extend(verbs.iter().map(|verb| here(verb, group, resource)));
    }
    for (group, resource) in KINDS {
        all.extend(["get", "list", "create", "patch", "delete"].map(|verb| here(verb, group, resource)));
    }
    all
}

pub(super) fn judge(found: &Cluster, requires: Option<&IndexRequires>, load: &Load) -> Vec<Check> {
    let mut checks = Vec::new();
    let wanted = requires.and_then(|requires| requires.kubernetes.clone());
    let old = wanted.as_ref().is_some_and(|wanted| !matches(wanted, &found.version));
    let seen = Seen::Version { got: found.version.clone(), wanted };
    checks.push(check(if old { Weight::Refuse } else { Weight::Ignore }, seen));
    checks.push(allowed(found));
    let storage = requires.is_some_and(|requires| requires.storage_class);
    checks.extend(class("storage class", &found.storage, found.storage_class.as_deref(), storage));
    let ingress = requires.is_some_and(|requires| requires.ingress);
    checks.extend(class("ingress class", &found.ingress, found.ingress_class.as_deref(), ingress));
    checks.push(match &found.ahead {
        Asked::Known(ahead) => {
            let weight = if ahead.abs() > SKEW_SECONDS { Weight::Warn } else { Weight::Ignore };
            check(weight, Seen::Clock { ahead: *ahead })
        }
        Asked::Unknown(why) => unknown(Area::Cluster, "the cluster's clock", why),
    });
    match &found.nodes {
        Asked::Known(all) => checks.extend(nodes(all, requires, load)),
        Asked::Unknown(why) => checks.push(unknown(Area::Nodes, "the nodes", why)),
    }
    checks
}

fn check(weight: Weight, seen: Seen) -> Check {
    Check { area: Area::Cluster, weight, seen }
}

fn unknown(area: Area, subject: &'static str, why: &str) -> Check {
    Check { area, weight: Weight::Warn, seen: Seen::NotAsked { subject, detail: why.to_owned() } }
}

fn allowed(found: &Cluster) -> Check {
    let namespace = found.namespace.clone();
    match &found.allowed {
        Asked::Unknown(why) => unknown(Area::Cluster, "what this user may do", why),
        Asked::Known(all) => {
            let missing: Vec<Permission> = all
                .iter()
                .filter(|(_, allowed)| !allowed)
                .map(|(permission, _)| permission.clone())
                .collect();
            if missing.is_empty() {
                check(Weight::Ignore, Seen::Allowed { namespace, count: all.len() })
            } else {
                check(Weight::Refuse, Seen::Forbidden { namespace, missing })
            }
        }
    }
}

/// A named class must be there whether or not the release says that it needs one.
fn class(kind: &'static str, found: &Asked<Vec<Class>>, named: Option<&str>, needed: bool) -> Option<Check> {
    if named.is_none() && !needed {
        return None;
    }
    let all = match found {
        Asked::Known(all) => all,
        Asked::Unknown(why) => return Some(unknown(Area::Cluster, kind, why)),
    };
    // Where no class is named, volumes take the default; of ingress classes it is only known that one is needed.
    let chosen = match named {
        Some(name) => all.iter().find(|class| class.name == name),
        None if kind == "ingress class" => all.iter().find(|class| class.default).or(all.first()),
        None => all.iter().find(|class| class.default),
    };
    Some(match chosen {
        Some(class) => check(Weight::Ignore, Seen::ClassThere { kind, name: class.name.clone() }),
        None => {
            let there = all.iter().map(|class| class.name.clone()).collect();
            check(Weight::Refuse, Seen::ClassMissing { kind, name: named.map(ToOwned::to_owned), there })
        }
    })
}

fn nodes(all: &[Node], requires: Option<&IndexRequires>, load: &Load) -> Vec<Check> {
    let check = |weight, seen| Check { area: Area::Nodes, weight, seen };
    let usable: Vec<&Node> = all.iter().filter(|node| node.takes_pods).collect();
    if usable.is_empty() {
        return vec![check(Weight::Refuse, Seen::NoNodes { all: all.len() })];
    }
    let mut checks = vec![check(Weight::Ignore, Seen::Nodes { ready: usable.len(), all: all.len() })];
    let cpu = requires.and_then(|requires| requires.cpu_per_node);
    if let Some(cores) = cpu {
        let shown = |millis: u64| format!("{}.{:02} cores", millis / 1000, millis % 1000 / 10);
        let wanted = u64::from(cores) * 1000;
        checks.push(size(&usable, ("CPU", wanted, |node| node.cpu), (shown, wanted)));
    }
    if let Some(bytes) = requires.and_then(|requires| requires.memory_per_node) {
        // A machine of 8 GiB has less for the system: firmware and kernel take their part before it is counted.
        let least = bytes / 10 * 9;
        let shown = |bytes: u64| ByteSize(bytes).to_string();
        checks.push(size(&usable, ("memory", least, |node| node.memory), (shown, bytes)));
    }
    checks.extend(platforms(&usable, load));
    let gpu = requires.map_or(Gpu::None, |requires| requires.gpu);
    let with: Vec<&&Node> = usable.iter().filter(|node| node.gpus > 0).collect();
    if with.is_empty() {
        let weight = without_gpus(gpu, &load.models);
        checks.extend(weight.map(|weight| check(weight, Seen::NoGpus { models: load.models.clone() })));
    } else if gpu != Gpu::None {
        let count = with.iter().map(|node| node.gpus).sum();
        checks.push(check(Weight::Ignore, Seen::Gpus { count, nodes: with.len() }));
    }
    let full = usable.iter().filter(|node| node.storage.is_some_and(|bytes| bytes < load.images));
    let names: Vec<String> = full.map(|node| node.name.clone()).collect();
    let weight = if names.is_empty() { Weight::Ignore } else { Weight::Warn };
    if usable.iter().any(|node| node.storage.is_some()) {
        checks.push(check(weight, Seen::NodeDisk { names, bytes: load.images }));
    }
    checks
}

/// Nodes that have less than `least` of something. Pods need not go to every node, so only a cluster without a single one is refused.
fn size(
    usable: &[&Node],
    (resource, least, of): (&'static str, u64, fn(&Node) -> u64),
    (shown, wanted): (fn(u64) -> String, u64),
) -> Check {
    let small: Vec<&&Node> = usable.iter().filter(|node| of(node) < least).collect();
    let wanted = shown(wanted);
    if small.is_empty() {
        return Check {
            area: Area::Nodes,
            weight: Weight::Ignore,
            seen: Seen::LargeNodes { resource, wanted },
        };
    }
    let enough = usable.len() - small.len();
    let seen = Seen::SmallNodes {
        names: small.iter().map(|node| node.name.clone()).collect(),
        enough,
        resource,
        most: shown(small.iter().map(|node| of(node)).max().unwrap_or(0)),
        wanted,
    };
    Check { area: Area::Nodes, weight: if enough == 0 { Weight::Refuse } else { Weight::Warn }, seen }
}

fn platforms(usable: &[&Node], load: &Load) -> Vec<Check> {
    if load.platforms.is_empty() {
        return vec![];
    }
    let mut others = BTreeMap::<&str, Vec<String>>::new();
    for node in usable.iter().filter(|node| !load.platforms.contains(&node.platform)) {
        others.entry(&node.platform).or_default().push(node.name.clone());
    }
    let some_fit = others.values().map(Vec::len).sum::<usize>() < usable.len();
    let weight = if some_fit { Weight::Warn } else { Weight::Refuse };
    let one = |(platform, names): (&str, Vec<String>)| Check {
        area: Area::Nodes,
        weight,
        seen: Seen::OtherPlatform { names, platform: platform.to_owned(), carried: load.platforms.clone() },
    };
    others.into_iter().map(one).collect()
}
