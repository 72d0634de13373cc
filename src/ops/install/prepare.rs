//! Finding out and deciding, without changing anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use signing::Weight;
use signing::time::Time;

use super::charts::{Absent, Chart, Ready};
use super::secrets::{self, Kept};
use super::{ChartPlan, Error, Plan, Prepared, Pull, Wish, charts, home_namespace, license, license_secret};
use crate::bundle::index::Index;
use crate::chart::rendered;
use crate::digest::Digest;
use crate::oci::{Pointer, Reference};
use crate::ops::cluster::{self, Reach};
use crate::ops::finding::{Finding, What};
use crate::ops::open::Authenticated;
use crate::ops::transfer;
use crate::plan::changes::{self, Change};
use crate::plan::installed::{FORMAT, History, Installed, Pinned, Record, SecretKey, Source, Status};
use crate::plan::mapping::Mapping;
use crate::plan::placing::{self, Kind, Placed};
use crate::plan::preflight;
use crate::plan::rights::{self, Right};
use crate::registry::{self, Client};
use crate::release::questions::Answers;
use crate::release::values::{Named, Setting};
use crate::relocate::{Entry, Known};
use crate::tools::kubectl::{self, Scope};

/// Finds out and decides; changes nothing.
///
/// # Errors
/// Whatever would keep it from being installed.
pub fn prepare(wish: &Wish<'_>, reach: &Reach, client: &Client) -> Result<Prepared, Error> {
    let index = wish.bundle.index.get();
    let release = &index.release;
    let Some(namespace) = home_namespace(index) else {
        return Err(Error::NoChart { release: format!("{} {}", release.name, release.version) });
    };
    let history = cluster::history(&reach.kubectl, &release.name, &namespace)?;
    let wanted = index.install.as_ref().and_then(|install| install.requires.as_ref()?.kubernetes.clone());
    if let Some(wanted) = wanted {
        let got = reach.kubectl.server_version()?;
        if !preflight::matches(&wanted, &got) {
            let release = format!("{} {}", release.name, release.version);
            return Err(Error::ClusterVersion { release, got, wanted });
        }
    }
    let mapping = Mapping::new(&wish.registry.place, &wish.registry.rules, wish.registry.flatten)?;
    let placed = placing::place(index, &mapping)?;
    client.ping(mapping.registry())?;
    all_there(&placed, wish.parallel, client)?;

    let judged = license::find(wish.bundle, wish.license, &license_secret(index))?;
    let mut findings = judged.findings;
    let (pull_secret, login) = match wish.pull {
        Pull::Secret(name) => (name.to_owned(), None),
        Pull::Docker => match registry::docker_config(mapping.registry())? {
            Some(login) => (format!("{}-registry", release.name), Some(login)),
            None => (String::new(), None),
        },
    };
    let setting = Setting {
        release: Named {
            name: release.name.clone(),
            version: release.version.to_string(),
            vendor: release.vendor.clone(),
        },
        registry: wish.registry.place.clone(),
        namespace: namespace.clone(),
        pull_secret: pull_secret.clone(),
    };
    let values = match &wish.opened.template {
        Some(template) => template.render(wish.answers, &setting).map_err(Error::Values)?,
        None => "{}\n".to_owned(),
    };

    let known = known(index, &placed, wish.ignored);
    let mut charts = Vec::new();
    for chart in charts_of(index, &placed, &namespace) {
        charts.push(charts::ready(&chart, &values, &known, reach, client)?);
    }
    for chart in &charts {
        for spot in &chart.left {
            let detail = format!(
                "{spot}: this may be an image; the bundle does not have it, and it was left as it is"
            );
            findings.push(Finding { weight: Weight::Warn, what: What::Unchecked { detail } });
        }
    }
    let namespaces = namespaces_of(&charts, reach)?;
    may(&namespaces, &charts, reach, wish.parallel)?;

    let (answered, made) =
        secrets::of_answers(&wish.opened.questions, wish.answers, &namespace, &reach.kubectl)?;
    let license_file = judged.file;
    let mut kept = Vec::new();
    for (name, _) in &namespaces {
        let mut all = BTreeMap::<String, Kept>::new();
        let mut keep = |at: &SecretKey, value: zeroize::Zeroizing<Vec<u8>>| {
            let secret =
                all.entry(at.secret.clone()).or_insert_with(|| Kept::new(name, &at.secret, secrets::OPAQUE));
            secret.data.insert(at.key.clone(), value);
        };
        for (at, value) in &answered {
            keep(at, value.clone());
        }
        if let Some((bytes, licensed)) = &license_file {
            keep(&licensed.at, zeroize::Zeroizing::new(bytes.clone()));
        }
        if let Some(login) = &login {
            let mut secret = Kept::new(name, &pull_secret, secrets::DOCKER.0);
            secret
                .data
                .insert(secrets::DOCKER.1.to_owned(), zeroize::Zeroizing::new(login.as_bytes().to_vec()));
            all.insert(pull_secret.clone(), secret);
        }
        kept.extend(all.into_values());
    }
    for secret in &mut kept {
        // In a namespace that is not there yet, there is nothing to compare with.
        if namespaces.iter().any(|(name, change)| *name == secret.namespace && *change == Change::Keep) {
            secret.compare(&reach.kubectl)?;
        }
    }

    let (license, licensed) =
        license_file.map_or((None, None), |(bytes, licensed)| (Some(bytes), Some(licensed)));
    let record = Record {
        format: FORMAT,
        release: release.clone(),
        revision: history.next(),
        status: Status::Working,
        action: wish.action,
        bundle: Source { index: index_digest(wish.bundle), signers: wish.opened.signers.clone() },
        namespace,
        registry: wish.registry.clone(),
        pull_secret,
        answers: printable(wish.answers),
        values: Digest::of(values.as_bytes()),
        secrets: answered.iter().map(|(at, _)| at.clone()).collect::<BTreeSet<_>>().into_iter().collect(),
        license: licensed,
        charts: charts.iter().map(|chart| chart.installed.clone()).collect(),
        images: pinned(index, &placed, &charts),
        health: index.install.as_ref().map(|install| install.health.clone()).unwrap_or_default(),
        begun: wish.license.now.and_then(Time::from_unix),
        ended: None,
        by: env!("CARGO_PKG_VERSION").to_owned(),
        back_to: None,
        note: String::new(),
    };
    let plan = decide(&record, &history, &charts, (&namespaces, &kept), judged.words)?;
    Ok(Prepared { plan, findings, record, history, charts, secrets: kept, license, made, values })
}

fn decide(
    record: &Record,
    history: &History,
    charts: &[Ready],
    (namespaces, secrets): (&[(String, Change)], &[Kept]),
    license: String,
) -> Result<Plan, Error> {
    let mut plans = Vec::new();
    for chart in charts {
        let before = chart.standing.as_ref().map_or("", |standing| standing.manifest.as_str());
        let shown = || format!("{} {}", chart.installed.name, chart.installed.version);
        let mut objects = changes::between(before, &chart.text)
            .map_err(|source| Error::Freeze { chart: shown(), source: source.into() })?;
        for object in objects.iter_mut().filter(|object| chart.defines(object)) {
            object.change = Change::Create;
        }
        let there = chart.standing.as_ref().map(|standing| standing.status.clone());
        plans.push(ChartPlan { chart: chart.installed.clone(), there, objects });
    }
    let addresses: BTreeSet<String> =
        charts.iter().flat_map(|chart| rendered::addresses(&chart.text)).collect();
    Ok(Plan {
        revision: record.revision,
        action: record.action,
        unchanged: is_same(record, history, charts)
            && secrets.iter().all(|secret| secret.change == Change::Keep),
        namespaces: namespaces.to_vec(),
        secrets: secrets.iter().map(Kept::shown).collect(),
        charts: plans,
        license,
        addresses: addresses.into_iter().collect(),
    })
}

/// Whether the revision that runs was made of the same, and is as Helm left it. By what went in, not by what comes out: charts may make
/// something new each time they are rendered.
fn is_same(record: &Record, history: &History, charts: &[Ready]) -> bool {
    // After a change that failed, the revision before it runs again where it was brought back: Helm's own revisions tell.
    let ended = history.last().filter(|last| matches!(last.status, Status::Deployed | Status::Failed));
    let Some(there) = ended.and_then(|_| history.deployed()) else { return false };
    let same_charts =
        there.charts.len() == charts.len()
            && there.charts.iter().zip(charts).all(|(there, chart)| {
                chart.standing.as_ref().is_some_and(|standing| {
                    standing.status == "deployed" && standing.revision == there.revision
                }) && Installed { revision: 0, ..there.clone() } == chart.installed
            });
    let license = |record: &Record| record.license.as_ref().map(|license| license.file);
    same_charts
        && charts.iter().all(|chart| chart.definitions.is_empty())
        && there.bundle.index == record.bundle.index
        && there.values == record.values
        && there.registry == record.registry
        && there.pull_secret == record.pull_secret
        && license(there) == license(record)
}

fn printable(answers: &Answers) -> BTreeMap<String, serde_json::Value> {
    let value = |answer| serde_json::to_value(answer).unwrap_or_default();
    answers.printable().into_iter().map(|(name, answer)| (name.to_owned(), value(answer))).collect()
}

/// The digest of the index, as the signed list has it.
fn index_digest(bundle: &Authenticated) -> Digest {
    let listed = bundle.sums.iter().find(|(path, _)| path.as_str() == crate::bundle::names::INDEX);
    listed.map_or_else(|| Digest::of(b""), |(_, digest)| *digest)
}

/// What relocation knows: images, and models, which charts may name like images.
fn known(index: &Index, placed: &[Placed], ignored: &[Reference]) -> Known {
    let originals: BTreeMap<String, Option<Digest>> =
        index.images.iter().map(|image| (image.reference.to_string(), image.original_digest)).collect();
    let entry = |placed: &Placed| {
        let from: Reference = placed.from.parse().ok()?;
        let original = originals.get(&placed.from).copied().flatten();
        let known = matches!(placed.kind, Kind::Image | Kind::Model);
        known.then(|| Entry { from, digest: Some(placed.root), original, to: Some(placed.to.clone()) })
    };
    Known::new(placed.iter().filter_map(entry).collect(), ignored.to_vec())
}

fn charts_of(index: &Index, placed: &[Placed], namespace: &str) -> Vec<Chart> {
    let at =
        |digest: Digest| placed.iter().find(|placed| placed.kind == Kind::Chart && placed.root == digest);
    let chart = |chart: &crate::bundle::index::IndexChart| {
        let installed = Installed {
            name: chart.name.clone(),
            version: chart.version.clone(),
            digest: chart.digest,
            release: chart.release.clone().unwrap_or_else(|| chart.name.clone()),
            namespace: chart.namespace.clone().unwrap_or_else(|| namespace.to_owned()),
            revision: 0,
        };
        Some(Chart { installed, at: at(chart.digest)?.to.clone() })
    };
    index.charts.iter().filter_map(chart).collect()
}

/// The images that the charts run, which after relocation they name by digest.
fn pinned(index: &Index, placed: &[Placed], charts: &[Ready]) -> Vec<Pinned> {
    let runs = |placed: &&Placed| {
        let digest = placed.root.to_string();
        placed.kind != Kind::Chart && charts.iter().any(|chart| chart.text.contains(&digest))
    };
    let original = |placed: &Placed| {
        index.images.iter().find(|image| image.reference.to_string() == placed.from)?.original_digest
    };
    placed
        .iter()
        .filter(runs)
        .map(|placed| Pinned { to: placed.to.clone(), digest: placed.root, original: original(placed) })
        .collect()
}

/// Asks the registry for every image, chart and model by digest.
fn all_there(placed: &[Placed], parallel: usize, client: &Client) -> Result<(), Error> {
    let absent: Mutex<Vec<(usize, Result<Absent, registry::Error>)>> = Mutex::default();
    transfer::in_parallel(placed.len(), parallel, &AtomicBool::new(false), &|item| {
        let placed = &placed[item];
        let answer = match client.head_manifest(placed.to.repository(), &Pointer::Digest(placed.root)) {
            Ok(Some(_)) => return,
            Ok(None) => Ok(Absent { what: placed.from.clone(), at: placed.to.to_string() }),
            Err(error) => Err(error),
        };
        if let Ok(mut absent) = absent.lock() {
            absent.push((item, answer));
        }
    });
    let mut absent = absent.into_inner().unwrap_or_default();
    absent.sort_by_key(|(item, _)| *item);
    let absent: Result<Vec<Absent>, registry::Error> = absent.into_iter().map(|(_, answer)| answer).collect();
    let absent = absent?;
    if absent.is_empty() { Ok(()) } else { Err(Error::NotLoaded(absent)) }
}

fn namespaces_of(charts: &[Ready], reach: &Reach) -> Result<Vec<(String, Change)>, Error> {
    let mut all: Vec<(String, Change)> = Vec::new();
    for chart in charts {
        let name = &chart.installed.namespace;
        if all.iter().any(|(known, _)| known == name) {
            continue;
        }
        let there = reach.kubectl.get("namespace", name, Scope::Cluster);
        let change = match there {
            Ok(None) => Change::Create,
            // Who may not see namespaces was given one.
            Ok(Some(_)) | Err(kubectl::Error::Forbidden { .. }) => Change::Keep,
            Err(error) => return Err(error.into()),
        };
        all.push((name.clone(), change));
    }
    Ok(all)
}

/// Asks whether all that is needed is allowed.
fn may(
    namespaces: &[(String, Change)],
    charts: &[Ready],
    reach: &Reach,
    parallel: usize,
) -> Result<(), Error> {
    let said = reach.kubectl.ask("list the versions of the API", &["api-versions"])?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let versions: Vec<&str> = said.split_whitespace().collect();
    let mut needed = BTreeSet::new();
    for chart in charts {
        let objects = rendered::objects(&chart.text)
            .map_err(|source| Error::Freeze { chart: chart.installed.name.clone(), source: source.into() })?;
        // What the release itself defines, nobody can be asked about yet; definitions that are there are left as they are.
        let objects: Vec<_> = objects
            .into_iter()
            .filter(|object| rights::is_known(object, &versions))
            .filter(|object| !object.is_first() || chart.lacks(&object.name))
            .collect();
        needed.extend(rights::needed(&chart.installed.namespace, &objects));
    }
    if namespaces.iter().any(|(_, change)| *change == Change::Create) {
        needed.insert(Right { verb: "create", resource: "namespaces".to_owned(), namespace: None });
    }
    let needed: Vec<Right> = needed.into_iter().collect();
    let denied: Mutex<Vec<(usize, Result<(), kubectl::Error>)>> = Mutex::default();
    transfer::in_parallel(needed.len(), parallel, &AtomicBool::new(false), &|item| {
        let right = &needed[item];
        let scope = right.namespace.as_deref().map_or(Scope::Cluster, Scope::Namespace);
        let answer = match reach.kubectl.can_i(right.verb, &right.resource, scope) {
            Ok(true) => return,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Ok(mut denied) = denied.lock() {
            denied.push((item, answer));
        }
    });
    let mut denied = denied.into_inner().unwrap_or_default();
    denied.sort_by_key(|(item, _)| *item);
    let mut missing = Vec::new();
    for (item, answer) in denied {
        answer?;
        missing.push(needed[item].clone());
    }
    if missing.is_empty() { Ok(()) } else { Err(Error::Rights(missing)) }
}
