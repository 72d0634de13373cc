//! Charts on the way from the customer's registry to what Helm installs: fetched by digest, rendered with what is in the cluster, relocated,
//! and frozen. A reference that would point outside the mapping stops everything before anything is created.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Error;
use crate::chart::{Metadata, archive, oci as chart_oci, rendered};
use crate::digest::{Blob, Digest, Hasher};
use crate::limits;
use crate::oci::{Descriptor, Manifest, Pointer, Reference};
use crate::ops::cluster::Reach;
use crate::plan::changes::ObjectChange;
use crate::plan::installed::Installed;
use crate::plan::waiting::{KINDS, Wanted};
use crate::registry::Client;
use crate::relocate::{self, Known, Spot};
use crate::store::{self, Pieces as _};
use crate::tools::helm::release::{Rendering, Standing, Target, Why};
use crate::tools::helm::{self, Template};

/// A chart that can be installed.
#[derive(Debug, Clone)]
pub struct Ready {
    /// As the record says it.
    pub installed: Installed,
    /// The frozen chart's archive.
    pub archive: Vec<u8>,
    /// What it renders, relocated.
    pub text: String,
    /// What is there of it.
    pub standing: Option<Standing>,
    /// What looks like a reference, is not known, and was left.
    pub left: Vec<Spot>,
    /// What must come up.
    pub wanted: Vec<Wanted>,
    /// What Helm runs before and after.
    pub hooks: Vec<Wanted>,
    /// Definitions of its folders `crds/` that the cluster does not have.
    pub definitions: Vec<Definition>,
}

impl Ready {
    /// Whether `object` is one of the definitions that are to be created.
    #[must_use]
    pub fn defines(&self, object: &ObjectChange) -> bool {
        object.kind == "CustomResourceDefinition" && self.lacks(&object.name)
    }

    /// Whether the definition called so is to be created.
    #[must_use]
    pub fn lacks(&self, name: &str) -> bool {
        self.definitions.iter().any(|one| one.name == name)
    }
}

/// A definition of custom resources that is to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// One chart and where it is.
#[derive(Debug, Clone, Serialize)]
pub struct Chart {
    /// As the record says it.
    pub installed: Installed,
    /// Where its manifest is in the customer's registry.
    pub at: Reference,
}

/// Makes one chart ready.
///
/// # Errors
/// When it cannot be fetched, rendered, or relocated.
pub fn ready(
    chart: &Chart,
    values: &str,
    known: &Known,
    reach: &Reach,
    client: &Client,
) -> Result<Ready, Error> {
    let Installed { name, version, release, namespace, .. } = &chart.installed;
    let shown = format!("{name} {version}");
    let vendor = fetch(chart, client)?;
    let metadata: Metadata =
        archive::read(&vendor).map_err(|source| Error::Archive { chart: shown.clone(), source })?.metadata;
    let cluster = reach.kubectl.cluster();
    let target = Target { cluster, release, namespace };
    let standing = reach.helm.standing(&target)?;
    let upgrade = standing.is_some();
    let rendering = Rendering { chart: &shown, archive: &vendor, values, upgrade, definitions: true };
    let text = match reach.helm.render(&target, &rendering) {
        // Its own definitions are not there yet: what it renders without asking the cluster for objects is what there is to install.
        Err(helm::Error::Failed { why: Why::NoKind, .. }) => offline(&rendering, &chart.installed, reach)?,
        // Definitions that are there already, of a release that is gone or of another: Helm would not take them over when it renders, and
        // passes over them when it installs.
        Err(helm::Error::Failed { why: Why::Owned, .. }) => {
            let rest = reach.helm.render(&target, &Rendering { definitions: false, ..rendering })?;
            let whole = offline(&rendering, &chart.installed, reach)?;
            let first =
                objects(&whole, &shown)?.into_iter().filter(rendered::Object::is_first).map(first_text);
            first.chain([rest]).collect()
        }
        rendered => rendered?,
    };
    let relocated = relocate::relocate(&text, known)
        .map_err(|source| Error::Relocate { chart: shown.clone(), source })?;
    let text = relocated.text;
    let (archive, wanted, hooks, definitions) = {
        let objects = objects(&text, &shown)?;
        let archive = rendered::freeze(&objects, &metadata)
            .map_err(|source| Error::Freeze { chart: shown.clone(), source: source.into() })?;
        let (wanted, hooks) = (workloads(&objects, namespace, false), workloads(&objects, namespace, true));
        (archive, wanted, hooks, lacking(&objects, reach)?)
    };
    let (installed, left) = (chart.installed.clone(), relocated.left);
    Ok(Ready { installed, archive, text, standing, left, wanted, hooks, definitions })
}

/// A definition as Helm would have rendered it.
fn first_text(object: rendered::Object<'_>) -> String {
    let source = object.source.unwrap_or_default();
    format!("---\n# Source: {source}\n---\n{}\n", object.text)
}

/// The definitions that are created before all else, and are not there.
fn lacking(objects: &[rendered::Object<'_>], reach: &Reach) -> Result<Vec<Definition>, Error> {
    let mut first: Vec<Definition> = objects
        .iter()
        .filter(|object| object.is_first())
        .map(|object| Definition { name: object.name.clone(), text: object.text.to_owned() })
        .collect();
    if first.is_empty() {
        return Ok(first);
    }
    let mut arguments = vec!["get", KIND, "--ignore-not-found", "--output=name"];
    arguments.extend(first.iter().map(|one| one.name.as_str()));
    let said = reach.kubectl.ask("list the definitions of resources", &arguments)?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let there: BTreeSet<&str> =
        said.lines().filter_map(|line| Some(line.split_once('/')?.1.trim())).collect();
    first.retain(|definition| !there.contains(definition.name.as_str()));
    Ok(first)
}

/// Creates definitions and waits until the cluster takes objects of theirs, as Helm does with those of a chart.
///
/// # Errors
/// The server's own words for what it refuses.
pub fn define(definitions: &[Definition], reach: &Reach) -> Result<(), Error> {
    if definitions.is_empty() {
        return Ok(());
    }
    let all: String = definitions.iter().map(|one| format!("---\n{}\n", one.text)).collect();
    reach.kubectl.apply("definitions of resources", all.as_bytes(), None, false)?;
    let names = || definitions.iter().map(|one| one.name.as_str());
    let (begun, what) = (Instant::now(), "wait for definitions of resources");
    let get: Vec<&str> = ["get", KIND, "--output=json"].into_iter().chain(names()).collect();
    // kubectl waits for a condition only where there are some already, and gives up where there are none yet.
    while !have_conditions(&reach.kubectl.ask(what, &get)?) && begun.elapsed() < SETTLED {
        std::thread::sleep(Duration::from_millis(100));
    }
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", KIND];
    let wait: Vec<&str> = wait.into_iter().chain(names()).collect();
    reach.kubectl.ask(what, &wait)?;
    Ok(())
}

/// How long a cluster may take to say the first thing about definitions that it was given.
const SETTLED: Duration = Duration::from_secs(60);

/// Whether all objects of what `get` printed, one or a list, have conditions.
fn have_conditions(printed: &[u8]) -> bool {
    let Ok(printed) = serde_json::from_slice::<serde_json::Value>(printed) else { return false };
    let one = std::slice::from_ref(&printed);
    let all = printed["items"].as_array().map_or(one, Vec::as_slice);
    all.iter().all(|object| object["status"]["conditions"].as_array().is_some_and(|some| !some.is_empty()))
}

/// Of definitions, as kubectl takes it.
const KIND: &str = "customresourcedefinitions.apiextensions.k8s.io";

fn objects<'t>(text: &'t str, chart: &str) -> Result<Vec<rendered::Object<'t>>, Error> {
    rendered::objects(text).map_err(|source| Error::Freeze { chart: chart.to_owned(), source: source.into() })
}

/// The workloads of manifests that must come up; hooks are Helm's to wait for.
///
/// # Errors
/// Where they are not YAML.
pub fn wanted(text: &str, namespace: &str) -> Result<Vec<Wanted>, Error> {
    Ok(workloads(&objects(text, "that is installed")?, namespace, false))
}

/// Those that are, or are not, hooks.
fn workloads(objects: &[rendered::Object<'_>], namespace: &str, hook: bool) -> Vec<Wanted> {
    let workloads = objects
        .iter()
        .filter(|object| object.hook.is_some() == hook && KINDS.contains(&object.kind.as_str()));
    let wanted = workloads.map(|object| Wanted {
        kind: object.kind.clone(),
        namespace: object.namespace.clone().unwrap_or_else(|| namespace.to_owned()),
        name: object.name.clone(),
        hook,
    });
    wanted.collect()
}

fn offline(rendering: &Rendering<'_>, installed: &Installed, reach: &Reach) -> Result<String, Error> {
    let kubernetes = reach.kubectl.server_version()?.to_string();
    let said = reach.kubectl.ask("list the versions of the API", &["api-versions"])?;
    let apis: Vec<String> =
        String::from_utf8_lossy(&said).split_whitespace().map(ToOwned::to_owned).collect();
    let values = [("the values made of the answers".to_owned(), rendering.values.as_bytes().to_vec())];
    Ok(reach.helm.template(&Template {
        chart: rendering.chart,
        archive: rendering.archive,
        release: &installed.release,
        namespace: Some(&installed.namespace),
        values: &values,
        kubernetes: Some(&kubernetes),
        apis: &apis,
    })?)
}

/// The archive of a chart out of the customer's registry; every byte follows from the digest that the bundle's index has.
fn fetch(chart: &Chart, client: &Client) -> Result<Vec<u8>, Error> {
    let repository = chart.at.repository();
    let Installed { name, version, digest, .. } = &chart.installed;
    let malformed = |why: String| Error::ChartInRegistry { at: chart.at.to_string(), why };
    let raw = client.manifest(repository, &Pointer::Digest(*digest)).map_err(|error| match error {
        crate::registry::Error::NotFound { .. } => Error::NotLoaded(vec![Absent {
            what: format!("chart {name} {version}"),
            at: chart.at.to_string(),
        }]),
        error => error.into(),
    })?;
    let (manifest, _) =
        Manifest::parse(&raw.bytes, Some(raw.media_type.as_str()).filter(|kind| !kind.is_empty()))
            .map_err(|e| malformed(e.to_string()))?;
    let (_, Descriptor { digest, size, .. }) =
        chart_oci::parts(&manifest).map_err(|error| malformed(error.to_string()))?;
    let blob = Blob { digest: *digest, size: *size };
    if blob.size > limits::CHART_BYTES {
        return Err(malformed(format!(
            "it has {} bytes; at most {} are read",
            blob.size,
            limits::CHART_BYTES
        )));
    }
    let mut pieces = client.open_blob(repository, &blob, 0)?;
    let (mut bytes, mut hasher) = (Vec::new(), Hasher::new());
    while let Some(piece) = pieces.next().map_err(|error: store::Error| malformed(error.to_string()))? {
        hasher.update(&piece);
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > blob.size {
            break;
        }
    }
    let got: Digest = hasher.finish();
    if got != blob.digest {
        return Err(malformed(format!("its archive is not {}", blob.digest)));
    }
    Ok(bytes)
}

/// Something of the bundle that the registry does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Absent {
    /// What, as the vendor names it.
    pub what: String,
    /// Where it should be.
    pub at: String,
}

#[cfg(test)]
mod tests {
    use super::have_conditions;

    #[test]
    fn a_definition_that_the_cluster_said_nothing_of_yet_is_known() {
        for (printed, all) in [
            (r#"{"status":{"conditions":[{"type":"Established"}]}}"#, true),
            (r#"{"items":[{"status":{"conditions":[{}]}},{"status":{"conditions":[{}]}}]}"#, true),
            (r#"{"items":[{"status":{"conditions":[{}]}},{"status":{"conditions":null}}]}"#, false),
            (r#"{"status":{"conditions":null}}"#, false),
            (r#"{"status":{}}"#, false),
            ("", false),
        ] {
            assert_eq!(have_conditions(printed.as_bytes()), all, "{printed}");
        }
    }
}
