//! Charts on the way from the customer's registry to what Helm installs: fetched by digest, rendered with what is in the cluster, relocated,
//! and frozen. A reference that would point outside the mapping stops everything before anything is created.

use serde::Serialize;

use super::Error;
use crate::chart::{Metadata, archive, oci as chart_oci, rendered};
use crate::digest::{Blob, Digest, Hasher};
use crate::limits;
use crate::oci::{Descriptor, Manifest, Pointer, Reference};
use crate::ops::cluster::Reach;
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
    let rendering = Rendering { chart: &shown, archive: &vendor, values, upgrade: standing.is_some() };
    let text = match reach.helm.render(&target, &rendering) {
        // Its own definitions are not there yet: what it renders without asking the cluster for objects is what there is to install.
        Err(helm::Error::Failed { why: Why::NoKind, .. }) => offline(&rendering, &chart.installed, reach)?,
        rendered => rendered?,
    };
    let relocated = relocate::relocate(&text, known)
        .map_err(|source| Error::Relocate { chart: shown.clone(), source })?;
    let text = relocated.text;
    let archive = rendered::freeze(&text, &metadata)
        .map_err(|source| Error::Freeze { chart: shown.clone(), source })?;
    let wanted = wanted(&text, namespace)?;
    Ok(Ready { installed: chart.installed.clone(), archive, text, standing, left: relocated.left, wanted })
}

/// The workloads of manifests that must come up; hooks are Helm's to wait for.
///
/// # Errors
/// Where they are not YAML.
pub fn wanted(text: &str, namespace: &str) -> Result<Vec<Wanted>, Error> {
    let objects = rendered::objects(text)
        .map_err(|source| Error::Freeze { chart: "that is installed".to_owned(), source: source.into() })?;
    let workloads =
        objects.iter().filter(|object| object.hook.is_none() && KINDS.contains(&object.kind.as_str()));
    let wanted = workloads.map(|object| Wanted {
        kind: object.kind.clone(),
        namespace: object.namespace.clone().unwrap_or_else(|| namespace.to_owned()),
        name: object.name.clone(),
    });
    Ok(wanted.collect())
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
