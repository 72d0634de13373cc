//! The table of what can be wrong on the customer's side, and what each weighs.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::release::sections::Gpu;

fn node(name: &str) -> Node {
    Node {
        name: name.into(),
        takes_pods: true,
        platform: "linux/amd64".into(),
        cpu: 4000,
        memory: 8 << 30,
        storage: Some(100 << 30),
        gpus: 0,
    }
}

fn requires() -> IndexRequires {
    IndexRequires {
        cpu_per_node: Some(4),
        gpu: Gpu::Optional,
        ingress: true,
        kubernetes: Some(">=1.24".parse().unwrap()),
        memory_per_node: Some(8 << 30),
        postgres: Some(">=13".parse().unwrap()),
        storage_class: true,
    }
}

fn class(name: &str, default: bool) -> Class {
    Class { name: name.into(), default }
}

/// What an installation finds on a day without trouble.
fn good(requires: &IndexRequires) -> Facts<'_> {
    let probe = |style| Probe {
        repository: "r.acme/fox/a/b".into(),
        style,
        bytes: 8 << 20,
        digest: "sha256:0".into(),
        taken: Ok(()),
        removed: Ok(()),
    };
    let allowed = permissions("fox", true).into_iter().map(|permission| (permission, true)).collect();
    Facts {
        requires: Some(requires),
        load: Load {
            largest: 1 << 20,
            images: 1 << 30,
            platforms: vec!["linux/amd64".into()],
            models: vec![],
        },
        registry: Some(Registry {
            place: "r.acme/fox".into(),
            answers: Ok(()),
            probes: vec![probe(Style::Whole), probe(Style::Pieces)],
        }),
        cluster: Ok(Cluster {
            version: Version::new(1, 33, 5),
            namespace: "fox".into(),
            allowed: Asked::Known(allowed),
            nodes: Asked::Known(vec![node("a"), node("b")]),
            storage: Asked::Known(vec![class("fast", false), class("standard", true)]),
            ingress: Asked::Known(vec![class("nginx", false)]),
            ahead: Asked::Known(0),
            storage_class: None,
            ingress_class: None,
        }),
        postgres: Some(Postgres { at: "db:5432".into(), answers: Ok(Some(Version::new(16, 1, 0))) }),
        disks: vec![("/tmp".into(), 2, 1)],
    }
}

/// The names of what does not pass, with their weights: `R:no-nodes`.
fn names(checks: &[Check]) -> Vec<String> {
    let bad = checks.iter().filter(|check| check.weight != Weight::Ignore);
    bad.map(|check| {
        let mark = if check.weight == Weight::Refuse { 'R' } else { 'W' };
        format!("{mark}:{}", serde_json::to_value(&check.seen).unwrap()["what"].as_str().unwrap())
    })
    .collect()
}

#[test]
fn every_fault_is_seen_and_weighs_what_it_should() {
    type Break = fn(&mut Facts<'_>);
    fn cluster<'a>(facts: &'a mut Facts<'_>) -> &'a mut Cluster {
        facts.cluster.as_mut().unwrap()
    }
    fn nodes(facts: &mut Facts<'_>, each: fn(&mut Node)) {
        let Asked::Known(all) = &mut cluster(facts).nodes else { return };
        all.iter_mut().for_each(each);
    }
    fn probes<'a>(facts: &'a mut Facts<'_>) -> &'a mut Vec<Probe> {
        &mut facts.registry.as_mut().unwrap().probes
    }
    let cases: [(&str, Break, &[&str]); 31] = [
        ("nothing is wrong", |_| {}, &[]),
        ("no registry was named", |f| f.registry = None, &["W:registry-not-named"]),
        (
            "the registry does not answer",
            |f| f.registry.as_mut().unwrap().answers = Err((Fault::Unreachable, "x".into())),
            &["R:registry-fault"],
        ),
        (
            "it takes nothing",
            |f| {
                probes(f).truncate(1);
                probes(f)[0].taken = Err((Fault::Denied, "x".into()));
            },
            &["R:upload-refused"],
        ),
        (
            "it takes nothing under any name",
            |f| {
                let deep = Probe { taken: Err((Fault::Denied, "x".into())), ..probes(f)[0].clone() };
                *probes(f) = vec![deep.clone(), Probe { repository: "r.acme/fox/a".into(), ..deep }];
            },
            &["R:upload-refused"],
        ),
        (
            "it takes shallow names alone",
            |f| {
                let deep = Probe { taken: Err((Fault::NotFound, "x".into())), ..probes(f)[0].clone() };
                let shallow = Probe { repository: "r.acme/fox/a".into(), ..probes(f)[0].clone() };
                *probes(f) = vec![deep, shallow];
            },
            &["R:path-too-deep"],
        ),
        (
            "it takes no pieces",
            |f| probes(f)[1].taken = Err((Fault::Other, "x".into())),
            &["W:upload-refused"],
        ),
        ("it lets nobody delete", |f| probes(f)[0].removed = Err("405".into()), &["W:probe-kept"]),
        ("there is no kubectl", |f| f.cluster = Err((Fault::Program, "x".into())), &["R:no-cluster"]),
        ("the cluster is too old", |f| cluster(f).version = Version::new(1, 23, 17), &["R:version"]),
        ("a vendor's own version is no older", |f| cluster(f).version = "1.24.0-gke.1".parse().unwrap(), &[]),
        (
            "one verb is forbidden",
            |f| {
                let Asked::Known(all) = &mut cluster(f).allowed else { return };
                all[0].1 = false;
            },
            &["R:forbidden"],
        ),
        ("rights cannot be asked", |f| cluster(f).allowed = Asked::Unknown("x".into()), &["W:not-asked"]),
        (
            "no default storage class",
            |f| cluster(f).storage = Asked::Known(vec![class("fast", false)]),
            &["R:class-missing"],
        ),
        (
            "no default, and one that is there is named",
            |f| {
                cluster(f).storage = Asked::Known(vec![class("fast", false)]);
                cluster(f).storage_class = Some("fast".into());
            },
            &[],
        ),
        (
            "another storage class is named",
            |f| cluster(f).storage_class = Some("slow".into()),
            &["R:class-missing"],
        ),
        (
            "storage classes cannot be seen",
            |f| cluster(f).storage = Asked::Unknown("x".into()),
            &["W:not-asked"],
        ),
        ("no ingress class", |f| cluster(f).ingress = Asked::Known(vec![]), &["R:class-missing"]),
        (
            "the wrong ingress class",
            |f| cluster(f).ingress_class = Some("traefik".into()),
            &["R:class-missing"],
        ),
        ("clocks at the limit", |f| cluster(f).ahead = Asked::Known(SKEW_SECONDS), &[]),
        ("clocks past it", |f| cluster(f).ahead = Asked::Known(-SKEW_SECONDS - 1), &["W:clock"]),
        ("no nodes", |f| cluster(f).nodes = Asked::Known(vec![]), &["R:no-nodes"]),
        ("no node takes pods", |f| nodes(f, |node| node.takes_pods = false), &["R:no-nodes"]),
        ("nodes cannot be seen", |f| cluster(f).nodes = Asked::Unknown("x".into()), &["W:not-asked"]),
        (
            "one node is small",
            |f| nodes(f, |node| node.cpu = if node.name == "a" { 3999 } else { 4000 }),
            &["W:small-nodes"],
        ),
        ("all are", |f| nodes(f, |node| node.cpu = 2000), &["R:small-nodes"]),
        ("what the kernel keeps of 8 GiB", |f| nodes(f, |node| node.memory = 8_100_000_000), &[]),
        (
            "nodes of another kind",
            |f| nodes(f, |node| node.platform = "linux/arm64".into()),
            &["R:other-platform"],
        ),
        ("a model and no GPU", |f| f.load.models = vec!["llama".into()], &["W:no-gpus"]),
        (
            "an old database",
            |f| f.postgres.as_mut().unwrap().answers = Ok(Some(Version::new(12, 9, 0))),
            &["R:postgres"],
        ),
        ("a full disk", |f| f.disks = vec![("/tmp".into(), 1, 2)], &["R:disk"]),
    ];
    let requires = requires();
    for (reason, breaks, wanted) in cases {
        let mut facts = good(&requires);
        breaks(&mut facts);
        let checks = judge(&facts);
        assert_eq!(names(&checks), wanted, "{reason}");
        assert_eq!(refused(&checks), wanted.iter().any(|name| name.starts_with('R')), "{reason}");
    }
}

#[test]
fn a_model_that_needs_a_gpu_is_refused_without_one() {
    let requires = IndexRequires { gpu: Gpu::Required, ..requires() };
    assert_eq!(names(&judge(&good(&requires))), ["R:no-gpus"]);
    let requires = IndexRequires { gpu: Gpu::None, ..requires };
    assert_eq!(names(&judge(&good(&requires))), Vec::<String>::new());
}

#[test]
fn a_release_that_asks_for_nothing_is_not_refused_for_classes_and_sizes() {
    let asks = requires();
    let mut facts = good(&asks);
    facts.requires = None;
    let cluster = facts.cluster.as_mut().unwrap();
    (cluster.storage, cluster.ingress) = (Asked::Known(vec![]), Asked::Known(vec![]));
    cluster.nodes = Asked::Known(vec![Node { cpu: 1, memory: 1, storage: Some(2 << 30), ..node("a") }]);
    assert_eq!(names(&judge(&facts)), Vec::<String>::new());
}
