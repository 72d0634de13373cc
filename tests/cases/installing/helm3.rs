//! The same by Helm 3.

use super::shop::Shop;
use super::upgrading::{Cut, command, pairs, statuses};
use crate::cases::program::Outcome;

const ANSWERS: &str = "host: shop.example.com\ngreeting: good day\n";

#[test]
fn helm_3_installs_upgrades_goes_back_and_takes_away() {
    let shop = Shop::new("helm3");
    let helm = xtask::tools::helm3().unwrap();
    let run =
        |mut command: std::process::Command| Outcome::of(command.env("BUNDLE_HELM", &helm).output().unwrap());
    run(shop.installing(ANSWERS, &["--allow-downgrade"])).says(0, &["installed, as revision 1", "healthy"]);
    run(shop.installing(ANSWERS, &["--allow-downgrade"])).says(0, &["nothing was changed"]);
    let release = "upgrade: {from: \">=1.0.0, <1.1.0\"}\n";
    let cut = |version, edits| Cut { version, release, install: "", edits, build: "" }.deliver(&shop);
    let broken = cut("1.0.1", &[("crash: {{ answers.crash }}", "crash: true")]);
    run(command(&shop, &broken, &[])).says(3, &["The whole release is back at revision 1"]);
    let next = cut("1.0.2", &[("greeting: {{ answers.greeting }}", "greeting: farewell")]);
    run(command(&shop, &next, &[])).says(0, &["installed, as revision 2", "healthy"]);
    assert!(shop.pods().contains("farewell"), "{}", shop.pods());
    let place = ["--namespace", &shop.namespace.name];
    let also = |line: &[&str]| run(shop.command(&[line, &place].concat()));
    also(&["rollback", "--yes", "--wait", "25"]).says(0, &["as revision 3"]);
    assert!(shop.pods().contains("good day"), "{}", shop.pods());
    assert_eq!(
        statuses(&shop),
        pairs(&[("1.0.0", "superseded"), ("1.0.2", "superseded"), ("1.0.0", "deployed")])
    );
    also(&["status"]).says(0, &["what runs is what was signed"]);
    also(&["uninstall", "--yes"]).says(0, &["is gone"]);
    let left = shop.namespace.kubectl(&["get", "deployments,secrets", "--output", "name"]);
    assert!(!left.contains("deployment") && !left.contains("helm"), "{left}");
}
