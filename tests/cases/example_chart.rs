//! The worked example's chart: under both Helms, for every values file and ingress class, against every Kubernetes it is for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bundle::release::Release;
use serde_json::Value;
use xtask::kubernetes::{MINORS, Schemas};
use xtask::tools;

use super::program::tool;

/// The vendor's folder.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/incidentfox")
}

const CHART: &str = "chart/incidentfox-enterprise";
const INGRESSES: [&str; 3] = ["nginx", "traefik", "haproxy"];
/// Every set of values that the release and its documents name.
const VALUES: [&[&str]; 5] = [
    &[],
    &["values.airgapped.yaml"],
    &["values.production.yaml"],
    &["values.airgapped.yaml", "values.production.yaml"],
    &["examples/values-connected.yaml"],
];

fn helms() -> [PathBuf; 2] {
    [tools::helm3().unwrap(), tools::helm4().unwrap()]
}

/// Helm in the vendor's folder, with nothing of the machine's own configuration.
fn helm(program: &Path, verb: &[&str], values: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", "/nonexistent").current_dir(folder()).args(verb);
    for file in values {
        command.args(["--values", file]);
    }
    command
}

fn template(program: &Path, minor: u32, values: &[&str], settings: &[&str]) -> Output {
    let version = format!("1.{minor}.0");
    let verb = ["template", "incidentfox", CHART, "--namespace", "incidentfox", "--kube-version", &version];
    let mut command = helm(program, &verb, values);
    for setting in settings {
        command.args(["--set", setting]);
    }
    command.output().unwrap()
}

/// What it renders, document by document.
fn rendered(program: &Path, minor: u32, values: &[&str], settings: &[&str]) -> Vec<Value> {
    let output = template(program, minor, values, settings);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "1.{minor} {values:?} {settings:?}: {said}");
    documents(std::str::from_utf8(&output.stdout).unwrap())
}

/// The documents of a stream of manifests, without empty ones.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let mut all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    all.retain(|document| !document.is_null());
    all
}

/// Every string of a document, with its path.
fn strings(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((at.to_owned(), text.clone())),
        Value::Array(list) => list.iter().for_each(|inner| strings(inner, at, found)),
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| strings(inner, &format!("{at}.{key}"), found));
        }
        _ => {}
    }
}

#[test]
fn it_lints_strictly_under_both_helms_for_every_values_file_and_ingress() {
    for program in helms() {
        for values in VALUES {
            for class in INGRESSES {
                let set = format!("ingress.className={class}");
                tool(&mut helm(&program, &["lint", "--strict", CHART, "--set", &set], values));
            }
        }
    }
}

#[test]
fn both_helms_render_the_same_and_kubernetes_1_24_to_1_34_know_every_field() {
    let [three, four] = helms();
    let schemas: Vec<(u32, Schemas)> = MINORS.map(|minor| (minor, Schemas::of(minor).unwrap())).collect();
    // Rendering asks for the cluster's version in one place, how the model gets in; image volumes came with 1.31.
    for (source, first) in [("llm.model.source=copy", 24), ("llm.model.source=image", 31)] {
        for values in VALUES {
            for class in INGRESSES {
                let set = format!("ingress.className={class}");
                let manifests = rendered(&four, first, values, &[&set, source]);
                assert!(manifests.len() > 20, "{}", manifests.len());
                assert_eq!(manifests, rendered(&three, first, values, &[&set, source]));
                for (minor, schemas) in schemas.iter().filter(|(minor, _)| *minor >= first) {
                    let problems: Vec<String> = manifests.iter().flat_map(|m| schemas.check(m)).collect();
                    assert!(problems.is_empty(), "1.{minor} {values:?} {set} {source}: {problems:#?}");
                }
            }
        }
    }
}

/// The images that a rendering runs or mounts.
fn images(manifests: &[Value]) -> BTreeSet<String> {
    let mut found = Vec::new();
    manifests.iter().for_each(|manifest| strings(manifest, "", &mut found));
    let is_image = |at: &str| at.ends_with(".image") || at.ends_with(".image.reference");
    found.into_iter().filter(|(at, _)| is_image(at)).map(|(_, text)| text).collect()
}

#[test]
fn no_image_is_outside_the_release_and_each_of_the_release_is_used() {
    let text = std::fs::read(folder().join("release.yaml")).unwrap();
    let release = Release::parse(&text, "release.yaml").unwrap();
    let mut declared: BTreeSet<String> =
        release.images.iter().map(|image| image.value.reference.to_string()).collect();
    for model in &release.models {
        declared.insert(format!("docker.io/models/{}:{}", model.value.name, release.version));
    }
    let program = tools::helm4().unwrap();
    let mut used = BTreeSet::new();
    for values in VALUES {
        used.extend(images(&rendered(&program, 35, values, &[])));
    }
    assert_eq!(used, declared);
    // One value moves them all, as `bundle load` does.
    let moved = rendered(&program, 35, VALUES[1], &["global.imageRegistry=harbor.acme.internal/mirror"]);
    for image in images(&moved) {
        assert!(image.starts_with("harbor.acme.internal/mirror/"), "{image}");
        assert!(declared.contains(&image.replace("harbor.acme.internal/mirror", "docker.io")), "{image}");
    }
}

#[test]
fn every_pod_keeps_to_the_restricted_standard() {
    let program = tools::helm4().unwrap();
    for values in VALUES {
        for manifest in rendered(&program, 34, values, &[]) {
            let pod = &manifest["spec"]["template"]["spec"];
            if pod.is_null() {
                continue;
            }
            let name = &manifest["metadata"]["name"];
            assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            let lists = [&pod["containers"], &pod["initContainers"]];
            for container in lists.iter().filter_map(|list| list.as_array()).flatten() {
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(security["capabilities"]["drop"][0], "ALL", "{name}");
                assert!(container["resources"]["requests"]["memory"].is_string(), "{name}");
                assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
            }
            for container in pod["containers"].as_array().unwrap() {
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    assert!(container[probe].is_object(), "{name} has no {probe}");
                }
            }
            for volume in pod["volumes"].as_array().unwrap() {
                assert!(volume["hostPath"].is_null(), "{name}");
            }
        }
    }
}

#[test]
fn an_air_gapped_rendering_names_nothing_outside() {
    let program = tools::helm4().unwrap();
    let settings = ["global.imageRegistry=harbor.acme.internal"];
    for manifest in rendered(&program, 35, &["values.airgapped.yaml"], &settings) {
        let mut found = Vec::new();
        strings(&manifest, "", &mut found);
        for (at, text) in found {
            for outside in ["docker.io", "incidentfox.ai", "openai.com", "huggingface"] {
                // A label's and a path's own name, and documentation, are no calls.
                let named = text.contains(outside) && !text.starts_with("/tmp/");
                assert!(!named, "{}{at}: {text}", manifest["metadata"]["name"]);
            }
        }
    }
}

#[test]
fn vllm_serves_a_local_path_and_is_told_to_stay_offline() {
    let program = tools::helm4().unwrap();
    let vllm = |minor: u32, settings: &[&str]| {
        let manifests = rendered(&program, minor, &["values.airgapped.yaml"], settings);
        let mut sets = manifests.into_iter().filter(|m| m["metadata"]["name"] == "incidentfox-vllm");
        sets.find(|m| m["kind"] == "StatefulSet").unwrap()["spec"].clone()
    };
    let spec = vllm(35, &[]);
    let container = &spec["template"]["spec"]["containers"][0];
    let arguments = container["args"].as_array().unwrap();
    assert!(arguments.contains(&"--model=/models/llama-3-70b-instruct".into()));
    for variable in
        ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS", "VLLM_DO_NOT_TRACK", "DO_NOT_TRACK"]
    {
        let set =
            container["env"].as_array().unwrap().iter().any(|e| e["name"] == variable && e["value"] == "1");
        assert!(set, "{variable}");
    }
    assert_eq!(container["resources"]["limits"]["nvidia.com/gpu"], 4);
    let volume = &spec["template"]["spec"]["volumes"][0];
    assert_eq!(volume["image"]["reference"], "docker.io/models/llama-3-70b-instruct:1.2.0");
    assert!(spec["template"]["spec"]["initContainers"].is_null());
    // A cluster whose image volumes are off gets a copy.
    let spec = vllm(34, &[]);
    assert_eq!(spec["template"]["spec"]["initContainers"][0]["name"], "copy-model");
    assert_eq!(spec["volumeClaimTemplates"][0]["metadata"]["name"], "model");
    let spec = vllm(30, &["llm.model.source=claim", "llm.model.claim.name=weights"]);
    assert_eq!(spec["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "weights");
}

#[test]
fn values_that_cannot_work_are_refused_by_name() {
    let cases: [(&str, &[&str], &[&str], &str); 8] = [
        ("a typo", &[], &["servics.agent.replicas=3"], "servics"),
        ("a typo below global", &[], &["global.licence.useFile=true"], "licence"),
        ("a text for a number", &[], &["services.agent.replicas=many"], "replicas"),
        ("an image with a registry of its own", &[], &["services.agent.image=quay.io/X:1"], "image"),
        ("an unknown source", &["values.airgapped.yaml"], &["llm.model.source=hub"], "source"),
        ("no database", &[], &["postgres.enabled=false"], "there is no database"),
        ("a claim without a name", &["values.airgapped.yaml"], &["llm.model.source=claim"], "claim.name"),
        (
            "image volumes before there were any",
            &["values.airgapped.yaml"],
            &["llm.model.source=image"],
            "1.31",
        ),
    ];
    for program in helms() {
        for (reason, values, settings, said) in cases {
            let output = template(&program, 30, values, settings);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{reason} was taken");
            assert!(text.contains(said), "{reason}: {text}");
        }
    }
}

#[test]
fn the_longest_release_name_still_makes_names_of_a_label() {
    let program = tools::helm4().unwrap();
    let name = "a".repeat(53);
    let verb = ["template", &name, CHART, "--kube-version", "1.35.0"];
    let text = tool(&mut helm(&program, &verb, &["values.airgapped.yaml"]));
    for manifest in documents(std::str::from_utf8(&text).unwrap()) {
        assert!(
            manifest["metadata"]["name"].as_str().unwrap().len() <= 63,
            "{}",
            manifest["metadata"]["name"]
        );
    }
}
