//! `bundle preflight` on a real cluster: what is fine passes, and each thing that is not is named with what to do.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use xtask::cluster::{self as clusters, Extent};
use xtask::registry::{Action, Config, Rule, Server};

use super::cluster::{self, Namespace};
use super::peers::registry::{Kind, Peer};
use super::program::{Outcome, tool};
use super::site::{REQUIRES, Site};

fn good() -> Site {
    let site = Site::new(REQUIRES);
    site.put_license("acme.lic", &site.license("acme", 200));
    site
}

/// The checks of a report that are not fine: `refuse class-missing`.
fn found(outcome: &Outcome) -> Vec<String> {
    let report: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:#?}"));
    let checks = report["checks"].as_array().unwrap();
    let bad = checks.iter().filter(|check| check["weight"] != "ignore");
    bad.map(|check| {
        assert!(check["remedy"].is_string(), "{check} has no remedy");
        format!("{} {}", check["weight"].as_str().unwrap(), check["what"].as_str().unwrap())
    })
    .collect()
}

#[test]
fn nothing_is_in_the_way_and_nothing_is_left() {
    let site = good();
    let registry = Server::start(Config::default()).unwrap();
    let place = format!("{}/mirror", registry.host());
    let namespace = Namespace::new("preflight");
    let before =
        namespace.kubectl(&["get", "all,configmaps,secrets,persistentvolumeclaims", "--output", "name"]);
    let more = ["--registry", &place, "--namespace", &namespace.name];
    let outcome = site.run("preflight", &more);
    outcome.says(
        0,
        &[
            "demo 1.2.0, by Demo",
            "valid until",
            "answers and accepts who we are",
            "a throw-away blob of 8.00 MiB was taken",
            "uploads in pieces are taken",
            "Kubernetes 1.33.5; the release needs >=1.24",
            "this user may do what an installation does",
            "storage class standard is there",
            "ingress class nginx is there",
            "clock and this machine's agree",
            "1 of 1 take pods",
            "OK: nothing is in the way",
        ],
    );
    let outcome = site.run("preflight", &[&more[..], &["--json"]].concat());
    assert_eq!((outcome.code, found(&outcome)), (Some(0), vec![]));
    let after =
        namespace.kubectl(&["get", "all,configmaps,secrets,persistentvolumeclaims", "--output", "name"]);
    assert_eq!(before, after);
    let lines = registry.stats().request_lines();
    assert!(lines.iter().any(|line| line.starts_with("DELETE")), "{lines:?}");
    assert_eq!(registry.open_uploads(), 0);
    assert!(registry.repositories().iter().all(|name| registry.tags(name).is_empty()));
}

#[test]
fn what_a_registry_does_not_do_is_named() {
    let site = good();
    let deep = || Rule::new(Action::Status(404, vec![])).method("POST").path("mirror/acme/team");
    type Case<'a> = (&'a str, Vec<Rule>, &'a [&'a str], &'a [&'a str]);
    let cases: [Case<'_>; 6] = [
        (
            "it is full",
            vec![Rule::new(Action::Status(507, vec![])).method("POST")],
            &["refuse upload-refused"],
            &["make room in the registry", "have the quota of"],
        ),
        (
            "it lets nobody push",
            vec![Rule::new(Action::Status(403, vec![])).method("POST")],
            &["refuse upload-refused"],
            &["ask whoever runs the registry for the right to push"],
        ),
        ("names are too deep", vec![deep()], &["refuse path-too-deep"], &["--flatten"]),
        (
            "its proxy has a limit",
            vec![Rule::new(Action::TooLarge(1 << 20))],
            &["refuse upload-refused"],
            &["client_max_body_size"],
        ),
        (
            "it takes no pieces",
            vec![Rule::new(Action::Status(405, vec![])).method("PATCH")],
            &["warn upload-refused"],
            &["let the registry, or the proxy before it, take PATCH"],
        ),
        (
            "it deletes nothing",
            vec![Rule::new(Action::Status(405, vec![])).method("DELETE").path("/blobs/sha256")],
            &["warn probe-kept"],
            &["garbage collection removes it"],
        ),
    ];
    for (reason, rules, wanted, words) in cases {
        let registry = Server::start(Config::default()).unwrap();
        for rule in rules {
            registry.faults().add(rule);
        }
        let place = format!("{}/mirror", registry.host());
        let outcome = site.run("preflight", &["--registry", &place, "--json"]);
        assert_eq!(found(&outcome), wanted, "{reason}: {outcome:#?}");
        outcome.says(i32::from(wanted[0].starts_with("refuse")), words);
    }
    // One that is not there, and one that does not know us.
    let outcome = site.run("preflight", &["--registry", "127.0.0.1:1/mirror", "--json"]);
    assert_eq!(found(&outcome), ["refuse registry-fault"]);
    outcome.says(1, &["look at name, port, network and proxy"]);
    let closed = Peer::start(Kind::Htpasswd);
    let place = format!("{}/mirror", closed.host());
    let outcome = site.run("preflight", &["--registry", &place, "--json"]);
    assert_eq!(found(&outcome), ["refuse registry-fault"]);
    outcome.says(1, &["docker login"]);
    // One whose disk really is full.
    let small = Peer::start(Kind::Plain);
    fs::create_dir_all(small.storage()).unwrap();
    tool(Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(small.storage()));
    let place = format!("{}/mirror", small.host());
    let outcome = site.run("preflight", &["--registry", &place, "--json"]);
    tool(Command::new("umount").arg("--lazy").arg(small.storage()));
    assert_eq!(found(&outcome), ["refuse upload-refused"], "{outcome:#?}");
    outcome.says(1, &["whether its disk is full"]);
    // The usual one.
    let usual = Peer::start(Kind::Plain);
    let place = format!("{}/mirror", usual.host());
    let outcome = site.run("preflight", &["--registry", &place, "--json"]);
    assert_eq!(found(&outcome), Vec::<String>::new(), "{outcome:#?}");
}

#[test]
fn a_licence_is_judged_as_an_installation_would() {
    let site = good();
    type Case<'a> = (&'a str, &'a str, String, i32, &'a [&'a str], &'a str);
    let cases: [Case<'_>; 6] = [
        (
            "about to expire",
            "acme.lic",
            site.license("acme", 5),
            0,
            &["warn warning"],
            "ask the vendor for a renewed licence",
        ),
        (
            "in its grace",
            "acme.lic",
            site.license("acme", -5),
            0,
            &["warn grace"],
            "ask the vendor for a renewed licence",
        ),
        ("past its grace", "acme.lic", site.license("acme", -31), 1, &["refuse expired"], "its grace ended"),
        (
            "of another customer",
            "acme.lic",
            site.license("globex", 90),
            1,
            &["refuse other-customer"],
            "it is the licence of globex, not of acme",
        ),
        ("damaged", "acme.lic", "no licence".to_owned(), 1, &["refuse malformed"], "it is not a licence"),
        ("none", "acme.txt", String::new(), 1, &["refuse none"], "the release needs one"),
    ];
    for (reason, file, text, code, wanted, words) in cases {
        site.put_license(file, &text);
        let outcome = site.run("preflight", &["--json"]);
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let bad = checks.iter().filter(|check| check["area"] == "licence" && check["weight"] != "ignore");
        let bad: Vec<String> = bad
            .map(|check| format!("{} {}", check["weight"].as_str().unwrap(), check["name"].as_str().unwrap()))
            .collect();
        assert_eq!(bad, wanted, "{reason}: {outcome:#?}");
        outcome.says(code, &[words]);
    }
}

#[test]
fn a_cluster_that_does_not_fit_is_refused_thing_by_thing() {
    let site = good();
    let without = |names: &[&str]| {
        let mut all = vec!["warn registry-not-named".to_owned()];
        all.extend(names.iter().map(|name| (*name).to_owned()));
        all
    };
    let cases: [(&str, &[&str], &[&str], &str); 5] = [
        (
            "another ingress class",
            &["--ingress-class", "traefik"],
            &["refuse class-missing"],
            "there is no ingress class traefik; there are nginx",
        ),
        (
            "another storage class",
            &["--storage-class", "fast"],
            &["refuse class-missing"],
            "there is no storage class fast",
        ),
        (
            "a context that is not there",
            &["--context", "other"],
            &["refuse no-cluster"],
            "kubectl cluster-info",
        ),
        ("no such kubeconfig", &["--kubeconfig", "/nowhere"], &["refuse no-cluster"], "look at KUBECONFIG"),
        ("no database there", &["--postgres", "127.0.0.1:1"], &["refuse no-postgres"], "refused"),
    ];
    for (reason, more, wanted, words) in cases {
        let outcome = site.run("preflight", &[more, &["--json"]].concat());
        assert_eq!(found(&outcome), without(wanted), "{reason}: {outcome:#?}");
        outcome.says(1, &[words]);
    }
    // What the release asks for and no cluster of today has.
    let asks = Site::new("kubernetes: \">=1.99\", cpu-per-node: 900, memory-per-node: 900TiB, gpu: required");
    asks.put_license("acme.lic", &asks.license("acme", 200));
    let outcome = asks.run("preflight", &["--json"]);
    let wanted = ["refuse version", "refuse small-nodes", "refuse small-nodes", "refuse no-gpus"];
    assert_eq!(found(&outcome), without(&wanted), "{outcome:#?}");
    outcome.says(1, &["Kubernetes 1.33.5; the release needs >=1.99"]);
    // No cluster answers at the address.
    let kubeconfig = fs::read_to_string(cluster::shared()).unwrap();
    let dead = asks.stage.path("dead.kubeconfig");
    let begin = kubeconfig.find("https://127.0.0.1:").unwrap();
    let port: String = kubeconfig[begin + 18..].chars().take_while(char::is_ascii_digit).collect();
    fs::write(&dead, kubeconfig.replace(&port, "1")).unwrap();
    let outcome = Outcome::of(site.command("preflight", &["--json"], &dead).output().unwrap());
    assert_eq!(found(&outcome), without(&["refuse no-cluster"]));
    outcome.says(1, &["no cluster answers"]);
    // Neither the machine nor the bundle has a kubectl.
    let mut command = site.command("preflight", &["--json"], cluster::shared());
    command.env_remove("BUNDLE_KUBECTL").env("PATH", "/nowhere");
    let outcome = Outcome::of(command.output().unwrap());
    assert_eq!(found(&outcome), without(&["refuse no-cluster"]));
    outcome.says(1, &["there is no kubectl", "install kubectl 1.22"]);
}

#[test]
fn a_user_who_may_little_learns_what_is_missing() {
    let site = good();
    let namespace = Namespace::new("rights");
    let kubeconfig = user(&site, &namespace);
    let run = |more: &[&str]| {
        let more = [&["--namespace", &namespace.name, "--json"], more].concat();
        Outcome::of(site.command("preflight", &more, &kubeconfig).output().unwrap())
    };
    let outcome = run(&[]);
    // What cannot be seen is not taken for absent.
    let wanted = [
        "warn registry-not-named",
        "refuse forbidden",
        "warn not-asked",
        "warn not-asked",
        "warn not-asked",
        "warn not-asked",
    ];
    assert_eq!(found(&outcome), wanted, "{outcome:#?}");
    outcome.says(1, &["create deployments.apps", "get services/proxy", "kubectl create rolebinding"]);
    // The role that the remedy names is enough.
    namespace.kubectl(&[
        "create",
        "rolebinding",
        "all",
        "--clusterrole=admin",
        &format!("--serviceaccount={}:little", namespace.name),
    ]);
    let outcome = run(&[]);
    assert!(!found(&outcome).contains(&"refuse forbidden".to_owned()), "{outcome:#?}");
    outcome.says(0, &["this user may do what an installation does"]);
}

/// The kubeconfig of a service account that may nothing.
fn user(site: &Site, namespace: &Namespace) -> PathBuf {
    namespace.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "little"}}));
    let token = namespace.kubectl(&["create", "token", "little"]);
    let mut config: Value = serde_json::from_slice(&fs::read(cluster::shared()).unwrap()).unwrap();
    config["users"][0]["user"] = json!({"token": token.trim()});
    let path = site.stage.path("little.kubeconfig");
    fs::write(&path, config.to_string()).unwrap();
    path
}

#[test]
fn an_empty_cluster_has_no_nodes_and_no_classes() {
    let site = good();
    let folder = tempfile::tempdir().unwrap();
    let empty = clusters::Site::at(folder.path().join("cluster"), "bundle-empty", Extent::ControlPlane);
    let kubeconfig = clusters::up(&empty, &|_| {}).unwrap();
    let outcome = Outcome::of(site.command("preflight", &["--json"], &kubeconfig).output().unwrap());
    clusters::down(&empty, &|_| {}).unwrap();
    let wanted =
        ["warn registry-not-named", "refuse class-missing", "refuse class-missing", "refuse no-nodes"];
    assert_eq!(found(&outcome), wanted, "{outcome:#?}");
    outcome.says(
        1,
        &["there is no default storage class, and no other", "there is no ingress class, and no other"],
    );
    // Nothing of it is left, and it is no error that there is none.
    assert!(!folder.path().join("cluster").exists());
    clusters::down(&empty, &|_| {}).unwrap();
}
