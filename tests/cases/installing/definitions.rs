//! Charts that bring definitions (CRDs) and objects of the kinds they define.

use xtask::images::Seed;

use super::shop::{Otherwise, Shop};

/// Text that no compression makes small.
fn noise(name: &str, length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    Seed::of(name).bytes(length).iter().map(|byte| char::from(LETTERS[usize::from(byte & 63)])).collect()
}

/// Two definitions in one file of a chart inside, behind comments, as tools generate them.
fn definitions(group: &str, size: usize) -> String {
    let one = |kind: &str| {
        let plural = format!("{}s", kind.to_lowercase());
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: {plural}.{group}\nspec:\n  group: {group}\n  \
             scope: Namespaced\n  names: {{kind: {kind}, listKind: {kind}List, plural: {plural}, singular: {}}}\n  versions:\n    - name: v1\n      \
             served: true\n      storage: true\n      schema:\n        openAPIV3Schema:\n          type: object\n          description: \"{}\"\n          \
             x-kubernetes-preserve-unknown-fields: true\n",
            kind.to_lowercase(),
            noise(kind, size),
        )
    };
    format!("# Made by a tool; do not edit.\n---\n{}---\n{}", one("Backup"), one("Restore"))
}

#[test]
fn definitions_come_before_the_objects_of_their_kinds_and_stay() {
    let group = format!("c{}.example.com", std::process::id());
    let object = format!(
        "apiVersion: {group}/v1\nkind: Restore\nmetadata: {{name: first}}\nspec: {{image: \"docker.io/acme/agent:v1\"}}\n"
    );
    let otherwise = Otherwise {
        templates: vec![("restore.yaml", object)],
        files: vec![
            ("charts/crds/Chart.yaml", "apiVersion: v2\nname: crds\nversion: 1.0.0\n".to_owned()),
            // Together more than a Helm release can hold, were it kept there.
            ("charts/crds/crds/all.yaml", definitions(&group, 600_000)),
        ],
        ..Otherwise::default()
    };
    let shop = Shop::otherwise("definitions", &otherwise);
    let answers = "host: shop.example.com\n";
    let place = ["--namespace", &shop.namespace.name];
    let names = ["backups", "restores"].map(|plural| format!("{plural}.{group}"));

    let create = |name: &str| format!("create  CustomResourceDefinition  {name}");
    let plan = shop.install(answers, &["--dry-run"]);
    plan.says(0, &[&create(&names[0]), &create(&names[1]), "Restore"]);
    shop.install(answers, &[]).says(0, &["installed, as revision 1"]);
    let image =
        |kind: &str| shop.namespace.kubectl(&["get", kind, "first", "--output", "jsonpath={.spec.image}"]);
    assert!(image(&names[1]).starts_with(&format!("{}/acme/agent:v1@sha256:", shop.place)));
    shop.install(answers, &[]).says(0, &["nothing was changed"]);

    // They stay when the release goes, as Helm has it, and stand in nobody's way afterwards.
    shop.run(&[&["uninstall", "--yes"], &place[..]].concat()).says(0, &["OK"]);
    let plan = shop.install(answers, &["--dry-run"]);
    plan.says(0, &[&format!("keep    CustomResourceDefinition  {}", names[0]), "create  Deployment"]);
    shop.install(answers, &[]).says(0, &["installed"]);
    assert!(image(&names[1]).contains("@sha256:"));

    // One that somebody deleted comes again, with the same answers.
    shop.namespace.kubectl(&["delete", "customresourcedefinition", &names[0]]);
    shop.install(answers, &[]).says(0, &["installed, as revision"]);
    for name in &names {
        shop.namespace.kubectl(&["delete", "customresourcedefinition", name]);
    }
}
