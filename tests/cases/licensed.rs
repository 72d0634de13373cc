//! `bundle license install` and `status` on a real cluster: the secret that the chart reads, and the verdict on it.

use serde_json::Value;

use super::cluster::Namespace;
use super::site::{REQUIRES, Site};

#[test]
fn a_licence_is_put_into_the_cluster_judged_and_renewed() {
    let site = Site::new(REQUIRES);
    let namespace = Namespace::new("licensed");
    let place = ["--namespace", namespace.name.as_str()];
    let run = |step: &str, more: &[&str]| site.run(&format!("license {step}"), &[&place, more].concat());
    let held = || {
        let path = "jsonpath={.data.license\\.jwt}";
        namespace.kubectl(&["get", "secret", "demo-license", "--ignore-not-found", "--output", path])
    };
    // None there, none here.
    run("status", &[]).says(1, &["there is no licence in the cluster", "bundle license install"]);
    run("install", &[]).says(1, &["there is no licence in licenses/", "--license FILE"]);
    // What is refused changes nothing.
    for (reason, text, words) in [
        ("past its grace", site.license("acme", -31), "its grace ended"),
        ("of another customer", site.license("globex", 90), "it is the licence of globex, not of acme"),
        ("altered", site.license("acme", 90).replace('.', "A."), "refused"),
    ] {
        site.put_license("acme.lic", &text);
        run("install", &[]).says(1, &[words, "the cluster was not changed"]);
        assert_eq!(held(), "", "{reason}");
    }
    site.put_license("acme.lic", &site.license("acme", 5));
    run("install", &[])
        .says(0, &["6 days left", "secret demo-license in namespace", "was made", "renewed licence"]);
    let first = held();
    run("install", &[]).says(0, &["nothing was changed"]);
    let status = run("status", &["--json"]);
    let report: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(
        (report["ok"].as_bool(), report["claims"]["customer"].as_str()),
        (Some(true), Some("acme")),
        "{report}"
    );
    run("status", &["--customer", "globex"]).says(1, &["not of globex"]);
    // A renewed one, from a file of its own.
    let renewed = site.stage.path("renewed.lic");
    std::fs::write(&renewed, site.license("acme", 300)).unwrap();
    run("install", &["--license", renewed.to_str().unwrap(), "--customer", "acme"])
        .says(0, &["301 days left", "was changed"]);
    assert_ne!(held(), first);
    run("status", &[]).says(0, &["301 days left", "OK"]);
    // Two beside the bundle, and a namespace that is not there.
    std::fs::write(site.bundle.join("licenses/globex.lic"), site.license("globex", 90)).unwrap();
    run("install", &[]).says(2, &["several licences", "--customer ID"]);
    site.run("license install", &["--customer", "acme", "--namespace", "nowhere"])
        .says(1, &["there is no namespace nowhere"]);
}
