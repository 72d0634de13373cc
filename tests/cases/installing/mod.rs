//! `bundle install` on a real cluster, whose node pulls from the registry that was loaded.

mod asked;
mod definitions;
mod helm3;
mod killed;
mod operators;
mod refused;
pub(crate) mod shop;
mod stopped;
mod upgrading;

use serde_json::Value;

use shop::{Otherwise, Shop};

#[test]
fn it_is_planned_installed_remembered_and_installed_again_without_a_change() {
    let shop = Shop::otherwise("install", &Otherwise { licensed: true, ..Otherwise::default() });
    let answers = "host: shop.example.com\n";

    // Planned: nothing is there afterwards.
    let plan = shop.install(answers, &["--dry-run"]);
    plan.says(
        0,
        &["create  Namespace", "Deployment", "shop-agent", "nothing was changed", "valid until 2099-01-01"],
    );
    let there = shop.namespace.command(&["get", "namespace", &shop.namespace.name]).output().unwrap();
    assert!(!there.status.success());

    let report = shop.home.path().join("report");
    let done = shop.install(answers, &["--report", report.to_str().unwrap()]);
    done.says(
        0,
        &[
            "installed, as revision 1",
            "Reach it at https://shop.example.com",
            "Password of the first administrator: ",
            "shown once",
        ],
    );
    let digest = format!("{}/acme/agent:v1@sha256:", shop.place);
    assert!(shop.pods().starts_with(&digest), "{}", shop.pods());
    let record = shop.record(1);
    assert_eq!((&record["status"], &record["release"]["version"]), (&"deployed".into(), &"1.0.0".into()));
    assert_eq!(
        (&record["answers"]["greeting"], &record["license"]["customer"]),
        (&"hello".into(), &"acme".into())
    );
    let secret = |name: &str| {
        shop.namespace.kubectl(&["get", "secret", name, "--output", "jsonpath={.data.password}"])
    };
    let (admin, database) = (secret("shop-admin"), secret("shop-database"));
    assert!(!admin.is_empty() && !database.is_empty());

    // The report holds what it should and no secret, in either form.
    let page = std::fs::read_to_string(report.with_extension("html")).unwrap().replace("&#x2f;", "/");
    let json: Value = serde_json::from_slice(&std::fs::read(report.with_extension("json")).unwrap()).unwrap();
    assert_eq!((&json["ok"], &json["health"][0]["ok"]), (&true.into(), &true.into()));
    let password =
        done.stderr.split("first administrator: ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert_eq!(password.len(), 20);
    for text in [&page, &json.to_string(), &done.stdout] {
        assert!(!text.contains(password) && !text.contains(&admin) && !text.contains(&database));
    }
    for wanted in ["Installed and healthy", "shop 1.0.0", "https://shop.example.com", "sha256:", "acme"] {
        assert!(page.contains(wanted), "{wanted}");
    }

    // Again: nothing changes, and what was made stays.
    let again = shop.install(answers, &[]);
    again.says(0, &["nothing was changed"]);
    assert!(!again.stderr.contains("shown once"), "{again:?}");
    assert_eq!((secret("shop-admin"), secret("shop-database")), (admin, database));
    assert_eq!(shop.record(1)["charts"][0]["revision"], 1);

    // Other answers: the difference is shown, and it is another revision.
    let other = "host: shop.example.com\ngreeting: good day\n";
    shop.install(other, &["--dry-run"]).says(0, &["+ data: {greeting: \"good day\"", "change  Deployment"]);
    shop.install(other, &[]).says(0, &["installed, as revision 2"]);
    assert!(shop.pods().contains("good day"), "{}", shop.pods());
    assert_eq!(
        (&shop.record(1)["status"], &shop.record(2)["status"]),
        (&"superseded".into(), &"deployed".into())
    );
}

#[test]
fn what_is_installed_is_shown_brought_back_and_taken_away_with_its_data_kept() {
    let shop = Shop::new("installed");
    let place = ["--namespace", &shop.namespace.name];
    let run = |line: &[&str]| shop.run(&[line, &place[..]].concat());
    run(&["status"]).says(2, &["nothing that this program installed", "hint:"]);
    shop.install("host: shop.example.com\n", &[]).says(0, &[]);
    shop.install("host: shop.example.com\ngreeting: good day\n", &[]).says(0, &["revision 2"]);
    run(&["status"]).says(0, &["shop 1.0.0, by Acme", "what runs is what was signed", "superseded"]);

    run(&["rollback", "--dry-run"]).says(0, &["to revision 1"]);
    run(&["rollback", "--wait", "25"]).says(0, &["to revision 1", "as revision 3"]);
    assert!(shop.pods().contains(" hello"), "{}", shop.pods());
    assert_eq!(
        (&shop.record(3)["action"], &shop.record(3)["status"]),
        (&"rollback".into(), &"deployed".into())
    );
    run(&["status"]).says(0, &["what runs is what was signed"]);

    // By its tag it is whatever the registry has there.
    let image = format!("agent={}/acme/agent:v1", shop.place);
    shop.namespace.kubectl(&["set", "image", "deployment/shop-agent", &image]);
    shop.namespace.kubectl(&["rollout", "status", "deployment/shop-agent", "--timeout=60s"]);
    run(&["status"]).says(1, &["drift", "container agent runs", "DRIFT"]);

    run(&["uninstall", "--dry-run"])
        .says(0, &["goes", "Deployment shop-agent", "stays", "secret shop-database"]);
    run(&["uninstall"]).says(2, &["nobody can be asked", "--yes"]);
    run(&["uninstall", "--yes", "--wait", "25"])
        .says(0, &["shop 1.0.0 is gone", "stays  secret shop-database"]);
    let left = shop.namespace.kubectl(&["get", "deployments,configmaps,secrets", "--output", "name"]);
    assert!(
        left.contains("secret/shop-database")
            && !left.contains("deployment")
            && !left.contains("bundle.shop"),
        "{left}"
    );
    run(&["status"]).says(2, &["nothing that this program installed"]);
}
