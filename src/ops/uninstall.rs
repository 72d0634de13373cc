//! `bundle uninstall`: takes a release away, and leaves its data unless that is asked for.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::chart::rendered;
use crate::ops::cluster::{self, Reach};
use crate::ops::install::Error;
use crate::ops::install::act::{self, Fault};
use crate::ops::install::wait::Patience;
use crate::plan::installed::{History, Installed, Record, SecretKey, Status};
use crate::progress::Event;
use crate::tools::helm::release::Target;
use crate::tools::kubectl::Scope;

/// Whether data goes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Volume claims, the passwords to what is in them, and the namespace stay.
    Keep,
    /// Volume claims and passwords go; the namespace stays.
    Delete,
    /// The namespaces go with all that is in them.
    DeleteNamespaces,
}

/// What will be taken away, and what stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The release and its version.
    pub release: String,
    /// Charts, in the order in which they go.
    pub charts: Vec<Installed>,
    /// Objects of them.
    pub objects: Vec<String>,
    /// Secrets that go.
    pub secrets: Vec<String>,
    /// Volume claims that go.
    pub claims: Vec<String>,
    /// Namespaces that go.
    pub namespaces: Vec<String>,
    /// What stays.
    pub kept: Vec<String>,
    /// Volume claims that a chart itself declares, which Helm would delete though data is to stay.
    pub in_charts: Vec<String>,
    #[serde(skip)]
    record: Option<Record>,
}

/// Decides.
///
/// # Errors
/// What keeps the cluster from being asked.
pub fn plan(history: &History, data: Data, reach: &Reach) -> Result<Plan, Error> {
    let Some(record) = history.last().cloned() else {
        return Err(Error::Cluster(cluster::Error::NotInstalled(
            "nothing that this program installed is there".to_owned(),
        )));
    };
    let mut charts: Vec<Installed> = Vec::new();
    // What any remembered revision had may still be there.
    for chart in history.records().iter().rev().flat_map(|record| record.charts.iter().rev()) {
        if !charts.iter().any(|known| known.release == chart.release && known.namespace == chart.namespace) {
            charts.push(chart.clone());
        }
    }
    let (mut objects, mut in_charts) = (Vec::new(), Vec::new());
    for chart in &charts {
        let target =
            Target { cluster: reach.kubectl.cluster(), release: &chart.release, namespace: &chart.namespace };
        let Some(standing) = reach.helm.standing(&target)? else { continue };
        let all = rendered::objects(&standing.manifest)
            .map_err(|source| Error::Freeze { chart: chart.name.clone(), source: source.into() })?;
        for object in all.iter().filter(|object| object.hook.is_none()) {
            let name = format!("{} {}", object.kind, object.name);
            let kept = object.text.contains("helm.sh/resource-policy");
            if object.kind == "PersistentVolumeClaim" && !kept {
                in_charts.push(name.clone());
            }
            objects.push(name);
        }
    }
    let namespaces: BTreeSet<String> =
        charts.iter().map(|chart| chart.namespace.clone()).chain([record.namespace.clone()]).collect();
    let mut claims = Vec::new();
    for namespace in &namespaces {
        for claim in reach.kubectl.list("persistentvolumeclaims", "", Scope::Namespace(namespace))? {
            let name =
                claim.pointer("/metadata/name").and_then(serde_json::Value::as_str).unwrap_or_default();
            claims.push(format!("{namespace}/{name}"));
        }
    }
    let own: BTreeSet<String> = record.license.iter().map(|license| license.at.secret.clone()).collect();
    let pull = format!("{}-registry", record.release.name);
    let own: BTreeSet<String> = own.into_iter().chain((record.pull_secret == pull).then_some(pull)).collect();
    let answers: BTreeSet<String> =
        record.secrets.iter().map(|SecretKey { secret, .. }| secret.clone()).collect();
    let mut plan = Plan {
        release: format!("{} {}", record.release.name, record.release.version),
        charts,
        objects,
        secrets: own.iter().filter(|name| !answers.contains(*name)).cloned().collect(),
        claims: vec![],
        namespaces: vec![],
        kept: vec![],
        in_charts,
        record: Some(record),
    };
    let of = |what: &str, all: &[String]| all.iter().map(|name| format!("{what} {name}")).collect::<Vec<_>>();
    let answers: Vec<String> = answers.into_iter().collect();
    let namespaces: Vec<String> = namespaces.into_iter().collect();
    match data {
        Data::Keep => {
            plan.kept =
                [of("volume claim", &claims), of("secret", &answers), of("namespace", &namespaces)].concat();
        }
        Data::Delete => {
            plan.secrets.extend(answers);
            plan.claims = claims;
            plan.kept = of("namespace", &namespaces);
        }
        Data::DeleteNamespaces => {
            plan.secrets.extend(answers);
            plan.claims = claims;
            plan.namespaces = namespaces;
        }
    }
    if data != Data::Keep {
        plan.in_charts.clear();
    }
    Ok(plan)
}

/// Carries it out; what was done is remembered until nothing is left, so that the same command goes on.
///
/// # Errors
/// What could not be done.
pub fn uninstall(
    plan: &Plan,
    history: &History,
    reach: &Reach,
    patience: &Patience<'_>,
) -> Result<(), Fault> {
    by_steps(plan, history, reach, patience).map_err(|fault| *fault)
}

fn by_steps(plan: &Plan, history: &History, reach: &Reach, patience: &Patience<'_>) -> act::Done<()> {
    let Some(record) = &plan.record else { return Ok(()) };
    let kubectl = &reach.kubectl;
    cluster::save(kubectl, &Record { status: Status::Uninstalling, ..record.clone() })?;
    for chart in &plan.charts {
        let text = format!("chart {} {}: helm uninstall {}", chart.name, chart.version, chart.release);
        patience.observer.event(Event::Note { text: &text });
        let target =
            Target { cluster: kubectl.cluster(), release: &chart.release, namespace: &chart.namespace };
        act::watched(&[], reach, patience, &|end| reach.helm.uninstall(&target, end))?;
    }
    let namespaces: BTreeSet<&str> =
        plan.charts.iter().map(|chart| chart.namespace.as_str()).chain([record.namespace.as_str()]).collect();
    for namespace in &namespaces {
        for secret in &plan.secrets {
            kubectl.delete("secret", secret, Scope::Namespace(namespace))?;
        }
    }
    for claim in &plan.claims {
        if let Some((namespace, name)) = claim.split_once('/') {
            kubectl.delete("persistentvolumeclaim", name, Scope::Namespace(namespace))?;
        }
    }
    // The latest last: while it is there, so is what is left to do.
    for record in history.records() {
        cluster::forget(kubectl, record)?;
    }
    for namespace in &plan.namespaces {
        kubectl.delete("namespace", namespace, Scope::Cluster)?;
    }
    Ok(())
}
