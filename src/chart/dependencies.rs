//! `Chart.lock`: whether the charts that a chart needs are the ones it was locked with.
//!
//! Helm itself compares the digest only when it fetches dependencies (`helm dependency build`), and installs whatever lies in `charts/`.
//! What is delivered is compared here, once and for all.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::gojson;
use super::metadata::{Dependency, Metadata, MetadataError, Text, or_default, without_mark};
use crate::digest::Digest;
use crate::release::yaml::{self, Hand};
use crate::text;

/// A `Chart.lock` or `requirements.lock`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DependencyLock {
    #[serde(default)]
    digest: Text,
    /// The dependencies, each with one version.
    #[serde(default, deserialize_with = "or_default")]
    pub dependencies: Option<Vec<Dependency>>,
}

/// One way in which a chart's dependencies are not what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DependencyFault {
    /// A chart it needs is not in `charts/`.
    #[error("{chart}: it needs the chart {name} {version}, and charts/ does not hold it")]
    Missing {
        /// The chart that needs it.
        chart: String,
        /// Which.
        name: String,
        /// In which version.
        version: String,
    },
    /// `Chart.yaml` asks for charts that the lock does not list, or the other way round.
    #[error("{chart}: Chart.yaml and its lock list different dependencies: {name} is in only one of them")]
    Listed {
        /// The chart.
        chart: String,
        /// Which dependency.
        name: String,
    },
    /// The chart in `charts/` is not of the locked version.
    #[error("{chart}: its lock has {name} {locked}, and charts/ holds {}", found.join(", "))]
    Version {
        /// The chart.
        chart: String,
        /// Which dependency.
        name: String,
        /// The version in the lock.
        locked: String,
        /// The versions in `charts/`.
        found: Vec<String>,
    },
    /// The dependencies were changed after they were locked.
    #[error(
        "{chart}: its lock was made from other dependencies than Chart.yaml lists: its digest is {stated}, theirs is {computed}"
    )]
    Digest {
        /// The chart.
        chart: String,
        /// The digest that the lock states.
        stated: String,
        /// What Helm computes.
        computed: String,
    },
}

impl DependencyLock {
    pub(super) fn parse(bytes: &[u8], file: &str) -> Result<Self, MetadataError> {
        Ok(yaml::parse(without_mark(bytes), file, Hand::Chart)?)
    }

    /// The digest as Helm computes it for `chart` (`internal/resolver`, `HashReq`): of the JSON of what is asked for and what was found.
    fn digest_for(&self, chart: &Metadata) -> Digest {
        let locked = self.dependencies.as_deref();
        // Helm puts the address in the place of a repository's nickname before it hashes; the lock has it.
        let wanted = chart.dependencies.iter().enumerate().map(|(at, dependency)| {
            let nickname =
                dependency.repository.starts_with('@') || dependency.repository.starts_with("alias:");
            match locked.and_then(|locked| locked.get(at)).filter(|_| nickname) {
                Some(found) => dependency.json_at(&found.repository),
                None => dependency.json(),
            }
        });
        let wanted = gojson::list(wanted);
        let locked = match locked {
            Some(locked) => gojson::list(locked.iter().map(Dependency::json)),
            None => "null".to_owned(),
        };
        Digest::of(format!("[{wanted},{locked}]").as_bytes())
    }

    /// The digest as Helm 2 computed it: of what is asked for alone.
    fn old_digest_for(chart: &Metadata) -> Digest {
        let wanted = gojson::list(chart.dependencies.iter().map(Dependency::json));
        Digest::of(format!("{{\"dependencies\":{wanted}}}").as_bytes())
    }
}

/// Compares what `chart` asks for with its lock and with `held`, name and version of each chart in `charts/`. `named` is its name in
/// messages.
pub(super) fn faults(
    named: &str,
    chart: &Metadata,
    lock: Option<&DependencyLock>,
    held: &[(&str, &str)],
) -> Vec<DependencyFault> {
    let shown = |text: &str| text::printable(text, 100);
    let own = || named.to_owned();
    let mut faults = Vec::new();
    // Looked up, not searched for: whoever wrote the chart chose how many there are.
    let mut versions = HashMap::<&str, Vec<&str>>::new();
    for (name, version) in held {
        versions.entry(name).or_default().push(version);
    }
    for dependency in &chart.dependencies {
        if !versions.contains_key(dependency.name.as_str()) {
            let (name, version) = (shown(&dependency.name), shown(&dependency.version));
            faults.push(DependencyFault::Missing { chart: own(), name, version });
        }
    }
    let Some(lock) = lock else { return faults };
    let locked = lock.dependencies.as_deref().unwrap_or_default();
    let names = |list: &[Dependency]| list.iter().map(|d| d.name.to_string()).collect::<HashSet<String>>();
    let (asked, listed) = (names(&chart.dependencies), names(locked));
    let alone = chart.dependencies.iter().filter(|d| !listed.contains(d.name.as_str()));
    let alone = alone.chain(locked.iter().filter(|d| !asked.contains(d.name.as_str())));
    faults.extend(alone.map(|d| DependencyFault::Listed { chart: own(), name: shown(&d.name) }));
    for dependency in locked {
        // What only lies in charts/ is locked to the range it was asked by.
        let found: &[&str] = versions.get(dependency.name.as_str()).map_or(&[], Vec::as_slice);
        let same = |version: &&str| bare(version) == bare(&dependency.version);
        if !dependency.repository.is_empty() && !found.is_empty() && !found.iter().any(same) {
            let (name, locked) = (shown(&dependency.name), shown(&dependency.version));
            let found = found.iter().map(|version| shown(version)).collect();
            faults.push(DependencyFault::Version { chart: own(), name, locked, found });
        }
    }
    let computed = lock.digest_for(chart).to_string();
    let old = chart.is_v1().then(|| DependencyLock::old_digest_for(chart).to_string());
    let holds = lock.digest.as_str() == computed || old.as_deref() == Some(lock.digest.as_str());
    if !holds && faults.is_empty() {
        faults.push(DependencyFault::Digest { chart: own(), stated: shown(&lock.digest), computed });
    }
    faults
}

fn bare(version: &str) -> &str {
    version.strip_prefix('v').unwrap_or(version)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CHART: &str = "apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies:\n- name: db\n  version: '>=1.0.0'\n  repository: https://charts.example\n  condition: db.on\n  alias: store\n";

    fn chart(text: &str) -> Metadata {
        Metadata::parse(text.as_bytes(), "Chart.yaml").unwrap()
    }

    /// A lock of [`CHART`] with this version and digest.
    fn lock(version: &str, digest: &str) -> DependencyLock {
        let text = format!(
            "dependencies:\n- name: db\n  repository: https://charts.example\n  version: {version}\ndigest: {digest}\ngenerated: \"2026-01-02T03:04:05.6Z\"\n"
        );
        DependencyLock::parse(text.as_bytes(), "Chart.lock").unwrap()
    }

    #[test]
    fn each_disagreement_is_named() {
        let chart = chart(CHART);
        let good = lock("1.2.3", "x").digest_for(&chart).to_string();
        let good = lock("1.2.3", &good);
        assert_eq!(faults("shop", &chart, Some(&good), &[("db", "1.2.3")]), []);
        assert_eq!(faults("shop", &chart, None, &[("db", "9.9.9")]), []);
        let one = |lock: &DependencyLock, held: &[(&str, &str)]| {
            let faults = faults("shop", &chart, Some(lock), held);
            assert_eq!(faults.len(), 1, "{faults:?}");
            faults[0].to_string()
        };
        assert_eq!(one(&good, &[]), "shop: it needs the chart db >=1.0.0, and charts/ does not hold it");
        assert_eq!(one(&good, &[("db", "1.2.4")]), "shop: its lock has db 1.2.3, and charts/ holds 1.2.4");
        let said = one(&lock("1.2.3", "sha256:0"), &[("db", "1.2.3")]);
        assert!(said.contains("its digest is sha256:0, theirs is sha256:"), "{said}");
    }

    /// Chart and lock of `helm dependency update`, Helm 4.1.4.
    #[test]
    fn the_digest_is_the_one_that_helm_writes() {
        let chart = chart(
            "apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies:\n- {name: db, version: '>=1.0.0', repository: 'file://../db', alias: store, condition: store.on, tags: [x], import-values: [data, {child: a, parent: b}]}\n",
        );
        let lock = "dependencies:\n- name: db\n  repository: file://../db\n  version: 1.2.3\ndigest: sha256:2c98de66f950562faa5443a271db1b3a7ad1d4106c949fa27fa104e5bdfb18f5\n";
        let lock = DependencyLock::parse(lock.as_bytes(), "Chart.lock").unwrap();
        assert_eq!(faults("shop", &chart, Some(&lock), &[("db", "1.2.3")]), []);
    }
}
