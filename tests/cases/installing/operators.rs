//! A chart as operators have them: definitions, a resource of its own that names an image, a webhook, hooks, an image in a variable. It is
//! installed from the customer's registry, and nobody edited it.

use super::shop::{Otherwise, Shop};

const ANSWERS: &str = "host: shop.example.com\n";

const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: {spec: {type: object, properties: {image: {type: string}, size: {type: integer}}}}
";

const OPERATOR: &str = r#"apiVersion: GROUP/v1
kind: Widget
metadata: {name: first}
spec: {image: "docker.io/acme/worker:v1", size: 2}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: "widgets-{{ .Release.Namespace }}"}
webhooks:
  - name: widgets.GROUP
    failurePolicy: Ignore
    sideEffects: None
    timeoutSeconds: 1
    admissionReviewVersions: [v1]
    clientConfig: {service: {name: shop-agent, namespace: "{{ .Release.Namespace }}", port: 8080, path: /validate}}
    rules: [{apiGroups: [GROUP], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [widgets]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop-operator}
spec:
  selector: {matchLabels: {app: shop-operator}}
  template:
    metadata: {labels: {app: shop-operator}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: operator
          image: docker.io/acme/operator:v1
          env: [{name: RELATED_IMAGE_WORKER, value: "docker.io/acme/worker:v1"}]
          args: ["--worker-image=docker.io/acme/worker:v1"]
{{- range $when := list "pre-install" "post-install" }}
---
apiVersion: batch/v1
kind: Job
metadata: {name: "hook-{{ $when }}", annotations: {helm.sh/hook: "{{ $when }}"}}
spec:
  template:
    metadata: {labels: {hook: "{{ $when }}"}}
    spec:
      restartPolicy: Never
      containers: [{name: hook, image: "docker.io/acme/postgres:v1", command: [/bin/sh, -c, "pg_dump it"]}]
{{- end }}
"#;

#[test]
fn definitions_resources_webhooks_and_hooks_come_relocated_and_unedited() {
    // Definitions are the whole cluster's.
    let group = format!("g{}.acme.example", std::process::id());
    let named = |text: &str| text.replace("GROUP", &group);
    let shop = Shop::otherwise(
        "operator",
        &Otherwise {
            images: vec!["acme/operator:v1", "acme/worker:v1", "acme/postgres:v1"],
            files: vec![("crds/widgets.yaml", named(DEFINITION))],
            templates: vec![("operator.yaml", named(OPERATOR))],
            ..Otherwise::default()
        },
    );
    let plan = shop.install(ANSWERS, &["--dry-run"]);
    plan.says(
        0,
        &["CustomResourceDefinition", "Widget", "ValidatingWebhookConfiguration", "hook-pre-install"],
    );
    shop.install(ANSWERS, &[]).says(0, &["installed, as revision 1", "healthy"]);

    let get = |what: &[&str], path: &str| {
        let output = format!("jsonpath={path}");
        shop.namespace.kubectl(&[&["get"], what, &["--output", &output]].concat())
    };
    let worker = format!("{}/acme/worker:v1@sha256:", shop.place);
    let image = get(&["widgets", "first"], "{.spec.image}");
    assert!(image.starts_with(&worker), "{image}");
    let container = "{.spec.template.spec.containers[0]";
    let variable = get(&["deployment", "shop-operator"], &format!("{container}.env[0].value}}"));
    let argument = get(&["deployment", "shop-operator"], &format!("{container}.args[0]}}"));
    assert_eq!((variable.as_str(), argument), (image.as_str(), format!("--worker-image={image}")));
    let webhook = format!("widgets-{}", shop.namespace.name);
    assert_eq!(get(&["validatingwebhookconfiguration", &webhook], "{.webhooks[0].failurePolicy}"), "Ignore");

    // Every pod, those of hooks too, is of the customer's registry.
    let pods = get(
        &["pods"],
        "{range .items[*]}{.metadata.labels.hook} {.status.phase} {.spec.containers[0].image}{\"\\n\"}{end}",
    );
    assert!(pods.lines().all(|line| line.contains(&format!(" {}/acme/", shop.place))), "{pods}");
    for hook in ["pre-install", "post-install"] {
        let wanted = format!("{hook} Succeeded {}/acme/postgres:v1@sha256:", shop.place);
        assert!(pods.lines().any(|line| line.starts_with(&wanted)), "{hook}: {pods}");
    }
    // What an operator would do with the resource.
    shop.namespace.kubectl(&["run", "worker", "--image", &image, "--grace-period=1"]);
    shop.namespace.kubectl(&["wait", "--for=condition=Ready", "pod/worker", "--timeout=60s"]);

    shop.install(ANSWERS, &[]).says(0, &["nothing was changed"]);
    shop.run(&["status", "--namespace", &shop.namespace.name]).says(0, &["what runs is what was signed"]);
    shop.run(&["uninstall", "--namespace", &shop.namespace.name, "--yes"]).says(0, &["is gone"]);
    shop.namespace.kubectl(&["delete", "customresourcedefinition", &format!("widgets.{group}")]);
}
