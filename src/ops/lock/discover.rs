//! Image discovery: every chart rendered with every declared set of values, and what it runs held against what is declared.
//!
//! Charts are rendered side by side. One that was rendered before from the same bytes, by the same Helm, against the same declared
//! images, is not rendered again. Every fault of every chart is found before anything is said.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use super::error::{ChartFault, ChartWhy, Undeclared};
use super::{Error, Finding};
use crate::digest::Digest;
use crate::limits;
use crate::oci::Reference;
use crate::ops::parallel::each;
use crate::release::Release;
use crate::release::lock::{FoundImage, LockedChart, LockedImage};
use crate::release::sections::{Chart, Files};
use crate::release::yaml::At;
use crate::relocate::discover::{Discovered, Lack};
use crate::relocate::{Entry, Known, Spot, discover};
use crate::sources::ResolvedChart;
use crate::sys::fs;
use crate::tools::helm::{Helm, Template};

/// What to look at.
pub(super) struct Ask<'a> {
    pub release: &'a Release,
    /// The release's folder.
    pub folder: &'a Path,
    /// The `release.yaml`, as it is shown.
    pub shown: &'a str,
    pub images: &'a [LockedImage],
    /// In the order of the release.
    pub charts: &'a [ResolvedChart],
    /// What the lock has of charts.
    pub previous: &'a [LockedChart],
    /// Which helm, where one is named.
    pub helm: Option<&'a Path>,
}

/// What a chart was found to run.
#[derive(Debug, Clone)]
pub(super) struct Ran {
    pub images: Vec<FoundImage>,
    /// What the rendering depended on; `None` when there is something to be said of it each time.
    pub rendered: Option<Digest>,
}

/// What was found in all charts.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In the order of the release.
    pub charts: Vec<Ran>,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

/// Renders every chart.
pub(super) fn run(ask: &Ask<'_>) -> Result<Found, Error> {
    if ask.charts.is_empty() {
        return Ok(Found::default());
    }
    let helm = Helm::find(ask.helm).map_err(|source| Error::Helm(Box::new(source)))?;
    let jobs: Vec<(&At<Chart>, &ResolvedChart)> = ask.release.charts.iter().zip(ask.charts).collect();
    let lanes = crate::sys::cores().min(limits::LOCK_PARALLEL);
    let done = each(&jobs, lanes, |(declared, resolved)| One { ask, helm: &helm, declared, resolved }.look());
    let mut all = Vec::with_capacity(jobs.len());
    let (mut faults, mut undeclared, mut findings) = (Vec::new(), Vec::new(), Vec::new());
    for result in done {
        match result {
            Ok(looked) => {
                undeclared.extend(looked.undeclared);
                findings.extend(looked.findings);
                all.push(looked.ran);
            }
            Err(more) => faults.extend(more),
        }
    }
    if !faults.is_empty() {
        return Err(Error::Charts(faults));
    }
    if !undeclared.is_empty() {
        return Err(Error::Undeclared(undeclared));
    }
    let used: BTreeSet<&Reference> = all
        .iter()
        .flat_map(|ran: &Ran| ran.images.iter().map(|found| &found.reference))
        .chain(ask.release.charts.iter().flat_map(|chart| &chart.value.extra_images))
        .collect();
    let unused = ask.images.iter().filter(|image| !used.contains(&image.reference));
    findings.extend(unused.map(|image| Finding::Unused { image: image.reference.clone() }));
    Ok(Found { charts: all, findings })
}

/// One chart.
struct One<'a> {
    ask: &'a Ask<'a>,
    helm: &'a Helm,
    declared: &'a At<Chart>,
    resolved: &'a ResolvedChart,
}

struct Looked {
    ran: Ran,
    undeclared: Vec<Undeclared>,
    findings: Vec<Finding>,
}

/// Values files used together, each with its name.
type Set = Vec<(String, Vec<u8>)>;

impl One<'_> {
    fn chart(&self) -> String {
        format!("{} {}", self.resolved.locked.name, self.resolved.locked.version)
    }

    fn fault(&self, why: ChartWhy) -> ChartFault {
        ChartFault { file: self.ask.shown.to_owned(), place: self.declared.place, chart: self.chart(), why }
    }

    fn look(&self) -> Result<Looked, Vec<ChartFault>> {
        let sets = self.sets()?;
        let key = self.key(&sets);
        let before = self.ask.previous.iter().find(|old| {
            let now = &self.resolved.locked;
            old.rendered == Some(key)
                && (&old.name, &old.version, &old.from) == (&now.name, &now.version, &now.from)
        });
        let ran = Ran { images: Vec::new(), rendered: Some(key) };
        let mut looked = Looked { ran, undeclared: Vec::new(), findings: Vec::new() };
        self.extra(&mut looked);
        if let Some(before) = before {
            looked.ran.images.clone_from(&before.images);
            return Ok(looked);
        }
        let archive =
            self.resolved.archive().map_err(|source| vec![self.fault(ChartWhy::Source(Box::new(source)))])?;
        let known = self.known();
        let mut found: BTreeMap<Reference, BTreeSet<String>> = BTreeMap::new();
        let mut faults = Vec::new();
        for set in &sets {
            match self.render(&archive, set, &known) {
                Ok(discovered) => self.take(discovered, set, &mut found, &mut looked),
                Err(why) => faults.push(self.fault(why)),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        if !looked.findings.is_empty() {
            looked.ran.rendered = None;
        }
        looked.ran.images = found
            .into_iter()
            .map(|(reference, places)| FoundImage { reference, found_in: places.into_iter().collect() })
            .collect();
        Ok(looked)
    }

    /// The declared sets of values; none declared: the chart's own.
    fn sets(&self) -> Result<Vec<Set>, Vec<ChartFault>> {
        let declared = &self.declared.value.values;
        if declared.is_empty() {
            return Ok(vec![Vec::new()]);
        }
        let mut faults = Vec::new();
        let mut sets = Vec::new();
        for Files(files) in declared {
            let mut set = Vec::new();
            for name in files {
                match fs::read_limited(&self.ask.folder.join(name), limits::HAND_WRITTEN_BYTES) {
                    Ok(bytes) => set.push((name.clone(), bytes)),
                    Err(error) => faults.push(self.fault(ChartWhy::Values(error))),
                }
            }
            sets.push(set);
        }
        if faults.is_empty() { Ok(sets) } else { Err(faults) }
    }

    /// Everything a rendering and its judgement depend on.
    fn key(&self, sets: &[Set]) -> Digest {
        let mut text = format!("helm {}\n", self.helm.version());
        let chart = &self.declared.value;
        let root = self.resolved.locked.manifests.last().map(|root| root.digest);
        let _ = writeln!(text, "chart {root:?} {:?} {:?}", chart.release, chart.namespace);
        let _ = writeln!(text, "cluster {:?} {:?}", chart.kube_version, chart.api_versions);
        for set in sets {
            let _ = writeln!(text, "values");
            for (name, bytes) in set {
                let _ = writeln!(text, "  {name} {}", Digest::of(bytes));
            }
        }
        for image in self.ask.images {
            let root = image.root().map(|root| root.digest);
            let _ = writeln!(text, "image {} {root:?} {:?}", image.reference, image.original);
        }
        for ignored in &chart.ignore_images {
            let _ = writeln!(text, "ignored {}", ignored.image);
        }
        Digest::of(text.as_bytes())
    }

    fn known(&self) -> Known {
        let entries = self.ask.images.iter().map(|image| Entry {
            from: image.reference.clone(),
            digest: image.root().map(|root| root.digest),
            original: image.original,
            to: None,
        });
        let ignored = self.declared.value.ignore_images.iter().map(|ignored| ignored.image.clone());
        Known::new(entries.collect(), ignored)
    }

    fn render(&self, archive: &[u8], set: &Set, known: &Known) -> Result<Discovered, ChartWhy> {
        let chart = &self.declared.value;
        let wanted = Template {
            chart: &self.chart(),
            archive,
            release: chart.release.as_deref().unwrap_or(&self.resolved.locked.name),
            namespace: chart.namespace.as_deref(),
            values: set,
            kubernetes: chart.kube_version.as_deref(),
            apis: &chart.api_versions,
        };
        let text = self.helm.template(&wanted).map_err(|source| ChartWhy::Helm(Box::new(source)))?;
        discover(&text, known).map_err(ChartWhy::Yaml)
    }

    fn take(
        &self,
        discovered: Discovered,
        set: &Set,
        found: &mut BTreeMap<Reference, BTreeSet<String>>,
        looked: &mut Looked,
    ) {
        for (reference, spot) in discovered.images {
            // Lines move from one Helm to the next; the lock names what does not.
            let Spot { template, path, .. } = spot;
            let place = template.map(|template| format!("{template}: {path}")).unwrap_or(path);
            found.entry(reference).or_default().insert(place);
        }
        let values: Vec<String> = set.iter().map(|(name, _)| name.clone()).collect();
        for missing in discovered.missing {
            if !looked.undeclared.iter().any(|seen| seen.reference == missing.reference) {
                looked.undeclared.push(Undeclared {
                    file: self.ask.shown.to_owned(),
                    chart: self.chart(),
                    values: values.clone(),
                    spot: missing.spot,
                    reference: missing.reference,
                    why: missing.why,
                });
            }
        }
        for spot in discovered.possible {
            let finding = Finding::PossibleImage { chart: self.chart(), spot };
            if !looked.findings.contains(&finding) {
                looked.findings.push(finding);
            }
        }
    }

    /// What no rendering shows is to be declared as well.
    fn extra(&self, looked: &mut Looked) {
        for (at, reference) in self.declared.value.extra_images.iter().enumerate() {
            if !self.ask.images.iter().any(|image| image.reference == *reference) {
                let spot = Spot {
                    template: None,
                    line: usize::try_from(self.declared.place.line).unwrap_or(0),
                    path: format!("extra-images[{at}]"),
                    text: reference.to_string(),
                };
                looked.undeclared.push(Undeclared {
                    file: self.ask.shown.to_owned(),
                    chart: self.chart(),
                    values: Vec::new(),
                    spot,
                    reference: reference.clone(),
                    why: Lack::NotDeclared,
                });
            }
        }
    }
}
