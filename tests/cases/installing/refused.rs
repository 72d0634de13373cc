//! What is refused before anything is changed, and what fails on the way: what happened, in which state things are, what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::shop::{Otherwise, Shop};
use crate::cases::{cluster, site};

const ANSWERS: &str = "host: shop.example.com\n";

/// A kubeconfig for a user of the shared cluster who may do nothing.
fn nobody(shop: &Shop) -> String {
    let whole = fs::read_to_string(cluster::shared()).unwrap();
    let token = shop.namespace.kubectl(&["--namespace", "default", "create", "token", "default"]);
    let mut config: serde_json::Value = serde_json::from_str(
        &String::from_utf8(
            shop.namespace.command(&["config", "view", "--raw", "--output=json"]).output().unwrap().stdout,
        )
        .unwrap(),
    )
    .unwrap();
    assert!(!whole.is_empty());
    config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
    let path = shop.home.path().join("nobody.json");
    fs::write(&path, config.to_string()).unwrap();
    path.display().to_string()
}

#[test]
fn before_anything_is_changed_each_fault_is_named_with_what_to_do() {
    let shop = Shop::otherwise("refused", &Otherwise { licensed: true, ..Otherwise::default() });
    let home = shop.home.path();

    // Answers: with file, line and key.
    for (answers, words) in [
        (
            "host: shop.example.com\ngreting: hi\n",
            &["answers.yaml:2:", "greting", "there is \"greeting\""][..],
        ),
        ("host: shop.example.com\nreplicas: many\n", &["answers.yaml:2:", "replicas"]),
        ("replicas: 2\n", &["host", "Name under which it is reached"]),
        ("host: [a\n", &["answers.yaml:"]),
    ] {
        shop.install(answers, &[]).says(2, words);
    }

    // The licence.
    shop.license("other-corp", "2099-01-01", &home.join("other.lic"));
    let other = home.join("other.lic").display().to_string();
    shop.install(ANSWERS, &["--license", &other, "--customer", "acme"])
        .says(1, &["the licence of other-corp, not of acme", "nothing was changed"]);
    let taken = shop.folder.join("licenses/acme.lic");
    let kept = fs::read(&taken).unwrap();
    fs::remove_file(&taken).unwrap();
    shop.install(ANSWERS, &[]).says(1, &["the release needs one"]);
    fs::write(&taken, b"nonsense").unwrap();
    shop.install(ANSWERS, &[]).says(1, &["it is not a licence"]);
    fs::write(&taken, kept).unwrap();

    // The programs and the cluster.
    let outcome =
        |command: &mut std::process::Command| crate::cases::program::Outcome::of(command.output().unwrap());
    outcome(shop.installing(ANSWERS, &[]).env("BUNDLE_HELM", "/no/helm"))
        .says(3, &["there is no helm at /no/helm", "hint:"]);
    outcome(shop.installing(ANSWERS, &[]).env("BUNDLE_KUBECTL", "/no/kubectl"))
        .says(3, &["there is no kubectl at /no/kubectl", "hint:"]);
    let old = home.join("old-helm");
    fs::write(&old, "#!/bin/sh\necho v3.9.0\n").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
    outcome(shop.installing(ANSWERS, &[]).env("BUNDLE_HELM", &old))
        .says(3, &["is Helm 3.9.0; 3.13.0 and later are driven"]);
    let nowhere = home.join("nowhere.yaml");
    fs::write(
        &nowhere,
        "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}]\ncontexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n",
    )
    .unwrap();
    let nowhere = nowhere.display().to_string();
    shop.install(ANSWERS, &["--kubeconfig", &nowhere])
        .says(3, &["no cluster answers", "--kubeconfig", "Nothing was changed"]);
    shop.install(ANSWERS, &["--context", "nonsense"]).says(3, &["no cluster answers", "nonsense"]);
    let nobody = nobody(&shop);
    shop.install(ANSWERS, &["--kubeconfig", &nobody]).says(1, &["forbidden", "hint:"]);

    // Nobody to ask, and the registry.
    let folder = shop.folder.display().to_string();
    shop.run(&["install", &folder, "--trust", "trust.json", "--registry", &shop.place])
        .says(2, &["nobody can be asked", "--answers FILE"]);
    let elsewhere = format!("{}/nothing", shop.registry.host());
    let line =
        ["install", &folder, "--trust", "trust.json", "--registry", &elsewhere, "--answers", "answers.yaml"];
    fs::write(home.join("answers.yaml"), ANSWERS).unwrap();
    shop.run(&line).says(
        1,
        &[
            "docker.io/acme/agent:v1 is not in the registry",
            "charts/shop:1.0.0 is not in the registry",
            "bundle load",
        ],
    );

    let there = shop.namespace.command(&["get", "namespace", &shop.namespace.name]).output().unwrap();
    assert!(!there.status.success(), "nothing was changed by any of these");
}

#[test]
fn what_does_not_come_up_is_said_and_left_or_brought_back() {
    let shop = Shop::new("stalled");
    let crashing = "host: shop.example.com\ncrash: true\n";
    let failed = shop.install(crashing, &["--wait", "8"]);
    failed.says(
        3,
        &[
            "Deployment shop-agent, pod shop-agent-",
            "no-such-program",
            "half installed",
            "run the same command again",
            "bundle uninstall",
        ],
    );
    assert_eq!(shop.record(1)["status"], "failed");

    // With better answers the same command goes on.
    shop.install(ANSWERS, &[]).says(0, &["installed, as revision 1"]);
    assert_eq!(shop.record(1)["status"], "deployed");

    // Where something ran, that is what runs again.
    let failed = shop.install("host: shop.example.com\ncrash: true\ngreeting: bad\n", &["--wait", "8"]);
    failed.says(3, &["revision 1", "back at revision 1"]);
    assert_eq!(
        (&shop.record(1)["status"], &shop.record(2)["status"]),
        (&"deployed".into(), &"failed".into())
    );
    assert!(shop.pods().contains(" hello"), "{}", shop.pods());
    let again = shop.install(ANSWERS, &[]);
    again.says(0, &["nothing was changed"]);
}

#[test]
fn a_licence_past_its_grace_and_a_cluster_that_is_too_old_are_refused() {
    let needs = "  requires: {kubernetes: \">=1.99\"}\n";
    let shop =
        Shop::otherwise("too-old", &Otherwise { licensed: true, install: needs, ..Otherwise::default() });
    shop.install(ANSWERS, &[]).says(
        1,
        &[
            "the cluster runs Kubernetes 1.33.",
            "shop 1.0.0 needs >=1.99",
            "nothing was changed",
            "Update the cluster",
        ],
    );

    let shop = Shop::otherwise("expired", &Otherwise { licensed: true, ..Otherwise::default() });
    let home = shop.home.path();
    for (name, days) in [("old", -31), ("grace", -5)] {
        let text = site::license(&home.join("license.key"), "acme", days, &["airgapped"]);
        fs::write(home.join(format!("{name}.lic")), text).unwrap();
    }
    let with = |name: &str, more: &[&str]| {
        let file = home.join(format!("{name}.lic")).display().to_string();
        shop.install(ANSWERS, &[&["--license", file.as_str()][..], more].concat())
    };
    with("old", &[]).says(1, &["its grace ended", "nothing was changed", "ask the vendor for a renewed"]);
    let there = shop.namespace.command(&["get", "namespace", &shop.namespace.name]).output().unwrap();
    assert!(!there.status.success(), "nothing was changed");
    with("grace", &["--dry-run"]).says(0, &["warning", "expired"]);
}
