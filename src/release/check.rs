//! What the shape of `release.yaml` cannot say: ranges, duplicates, and which sections this version carries.

use std::collections::BTreeMap;

use super::model::{Image, Release};
use super::sections::{Chart, Install, License, Migration, Model, Stop, Upgrade, WayFault};
use super::yaml::{self, At, Hand, Place};
use crate::license::tiers;
use crate::limits;
use crate::oci::Platform;
use crate::path::{EntryPath, PathError};
use crate::text::is_printable;
use crate::weights::include::PatternError;
use crate::weights::origin::ModelOriginError;
use crate::weights::{Include, ModelOrigin};

/// One thing wrong with a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{place}: {fault}")]
pub struct Problem {
    /// Name of the file.
    pub file: String,
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A text that must say something does not.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A text is longer than a file name or a line can bear, or has control characters.
    #[error("{0} is longer than 200 bytes or holds a control character")]
    Text(&'static str),
    /// The same thing twice.
    #[error("{what} {name} stands here a second time; the first is at {first}")]
    Duplicate {
        /// What kind of thing.
        what: &'static str,
        /// Its normal form.
        name: String,
        /// Where it stood first.
        first: Place,
    },
    /// A volume size out of range.
    #[error(
        "volume-size is {size} bytes; it can be {} to {} bytes",
        limits::VOLUME_SIZE_MIN,
        limits::VOLUME_SIZE
    )]
    VolumeSize {
        /// The size.
        size: u64,
    },
    /// More entries than a bundle can hold.
    #[error("{what} has {count} entries; at most {} are read", limits::INDEX_ENTRIES)]
    TooMany {
        /// The section.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// A chart that is named in no way or in several.
    #[error("a chart is named by one of: path; ref and version; repo, name and version")]
    ChartSource,
    /// A model that is named in no way that is known.
    #[error(transparent)]
    ModelSource(#[from] ModelOriginError),
    /// A pattern that is none.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A path in the delivered folder that is not safe on every medium.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A name that no licence's feature has.
    #[error("feature \"{0}\": expected small letters, digits, _ and -, a letter first, at most 64")]
    Feature(String),
    /// Days that no licence can have.
    #[error("{field} is {got}; it can be 0 to {}", signing::limits::LICENSE_DAYS)]
    LicenseDays {
        /// Which key.
        field: &'static str,
        /// What it holds.
        got: u32,
    },
    /// A rule for answers that says nothing, or two things.
    #[error("a rule for \"{0}\" gives a to or values, or else drop: true; names are those of questions")]
    Migration(String),
    /// A stop that none can pass.
    #[error("stop {version}: {fault}")]
    Stop {
        /// Which.
        version: semver::Version,
        /// Why not.
        fault: WayFault,
    },
    /// An address that nothing can ask.
    #[error(
        "health of \"{0}\": expected a service by its name, a port from 1 to 65535, and a path that begins with /"
    )]
    Health(String),
}

/// Why a release is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not parse.
    #[error(transparent)]
    Yaml(#[from] yaml::Error),
    /// It parses, and cannot be meant.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
}

impl Release {
    /// Parses and checks `bytes`; `file` is the name problems are reported under.
    ///
    /// # Errors
    /// The first fault of the shape, or every fault of the content.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self, Error> {
        let release: Self = yaml::parse(bytes, file, Hand::Person)?;
        let faults = release.faults();
        if faults.is_empty() {
            return Ok(release);
        }
        Err(Error::Problems(with_file(faults, file)))
    }

    fn faults(&self) -> Vec<(Place, Fault)> {
        let mut faults = Vec::new();
        if self.vendor.value.trim().is_empty() {
            faults.push((self.vendor.place, Fault::Empty("vendor")));
        } else if self.vendor.value.len() > 200 || !self.vendor.value.chars().all(is_printable) {
            faults.push((self.vendor.place, Fault::Text("vendor")));
        }
        let size = self.volume_size.value.0;
        if !(limits::VOLUME_SIZE_MIN..=limits::VOLUME_SIZE).contains(&size) {
            faults.push((self.volume_size.place, Fault::VolumeSize { size }));
        }
        if let Some(platforms) = &self.platforms {
            platform_faults(&platforms.value, platforms.place, &mut faults);
        }
        for (what, count) in [
            ("images", self.images.len()),
            ("charts", self.charts.len()),
            ("models", self.models.len()),
            ("files", self.files.len()),
            ("tools", self.tools.len()),
        ] {
            if count > limits::INDEX_ENTRIES {
                faults.push((TOP, Fault::TooMany { what, count }));
            }
        }
        image_faults(&self.images, &mut faults);
        for chart in &self.charts {
            chart_faults(chart, &mut faults);
        }
        for model in &self.models {
            model_faults(model, &mut faults);
        }
        if let Some(license) = &self.license {
            license_faults(license, &mut faults);
        }
        if let Some(upgrade) = &self.upgrade {
            upgrade_faults(&upgrade.value, &self.version, &mut faults);
        }
        if let Some(install) = &self.install {
            install_faults(&install.value, &mut faults);
        }
        duplicates("model", self.models.iter().map(|m| (m.place, m.value.name.to_string())), &mut faults);
        let tools =
            self.tools.iter().map(|t| (t.place, format!("{} for {}", t.value.name, t.value.platform)));
        duplicates("tool", tools, &mut faults);
        duplicates("file", self.files.iter().map(|f| (f.place, f.value.to.clone())), &mut faults);
        for file in &self.files {
            if file.value.from.is_empty() {
                faults.push((file.place, Fault::Empty("the path a file is read from")));
            }
            let to = &file.value.to;
            if let Err(error) = to.strip_suffix('/').unwrap_or(to).parse::<EntryPath>() {
                faults.push((file.place, Fault::Path(error)));
            }
        }
        faults
    }
}

fn with_file(faults: Vec<(Place, Fault)>, file: &str) -> Vec<Problem> {
    faults.into_iter().map(|(place, fault)| Problem { file: file.to_owned(), place, fault }).collect()
}

fn platform_faults(platforms: &[Platform], place: Place, faults: &mut Vec<(Place, Fault)>) {
    if platforms.is_empty() {
        faults.push((place, Fault::Empty("platforms")));
    }
    duplicates("platform", platforms.iter().map(|p| (place, p.to_string())), faults);
}

fn image_faults(images: &[At<Image>], faults: &mut Vec<(Place, Fault)>) {
    duplicates("image", images.iter().map(|i| (i.place, i.value.reference.to_string())), faults);
    for image in images {
        if let Some(platforms) = &image.value.platforms {
            platform_faults(platforms, image.place, faults);
        }
    }
}

fn chart_faults(chart: &At<Chart>, faults: &mut Vec<(Place, Fault)>) {
    let Chart { path, reference, repo, name, version, ignore_images, .. } = &chart.value;
    let by_path = path.is_some() && reference.is_none() && repo.is_none() && name.is_none();
    let by_reference = path.is_none() && reference.is_some() && repo.is_none() && version.is_some();
    let by_repo =
        path.is_none() && reference.is_none() && repo.is_some() && name.is_some() && version.is_some();
    if !(by_path || by_reference || by_repo) {
        faults.push((chart.place, Fault::ChartSource));
    }
    if ignore_images.iter().any(|ignored| ignored.reason.trim().is_empty()) {
        faults.push((chart.place, Fault::Empty("the reason of an ignored image")));
    }
}

fn model_faults(model: &At<Model>, faults: &mut Vec<(Place, Fault)>) {
    let Model { from, include, notice, max_layer, .. } = &model.value;
    faults.extend(from.parse::<ModelOrigin>().err().map(|error| (model.place, error.into())));
    faults.extend(Include::new(include).err().map(|error| (model.place, error.into())));
    if notice.as_ref().is_some_and(|notice| notice.trim().is_empty()) {
        faults.push((model.place, Fault::Empty("the notice of a model")));
    }
    if max_layer.is_some_and(|max| max.0 == 0) {
        faults.push((model.place, Fault::Empty("max-layer")));
    }
}

fn license_faults(license: &At<License>, faults: &mut Vec<(Place, Fault)>) {
    let License { public_key, features, grace_days, warn_days, .. } = &license.value;
    if public_key.value.is_empty() {
        faults.push((public_key.place, Fault::Empty("public-key")));
    }
    for feature in features.iter().filter(|feature| !tiers::is_name(&feature.value)) {
        faults.push((feature.place, Fault::Feature(crate::text::printable(&feature.value, 80))));
    }
    duplicates("feature", features.iter().map(|f| (f.place, f.value.clone())), faults);
    for (field, got) in [("grace-days", *grace_days), ("warn-days", *warn_days)] {
        if got > signing::limits::LICENSE_DAYS {
            faults.push((license.place, Fault::LicenseDays { field, got }));
        }
    }
}

fn upgrade_faults(upgrade: &Upgrade, version: &semver::Version, faults: &mut Vec<(Place, Fault)>) {
    let Upgrade { from, stops, migrate } = upgrade;
    let way: Vec<Stop> = stops.iter().map(|stop| stop.value.clone()).collect();
    if let Some((stop, fault)) = Upgrade::way_faults(&way, from, version) {
        let at = stops.iter().find(|at| at.value == *stop).map_or(TOP, |at| at.place);
        faults.push((at, Fault::Stop { version: stop.version.clone(), fault }));
    }
    for rule in migrate.iter().filter(|rule| !rule.value.is_plain()) {
        faults.push((rule.place, Fault::Migration(crate::text::printable(&rule.value.answer, 80))));
    }
    let name = |rule: &Migration| match &rule.before {
        Some(before) => format!("{} before {before}", rule.answer),
        None => rule.answer.clone(),
    };
    duplicates("rule for", migrate.iter().map(|rule| (rule.place, name(&rule.value))), faults);
}

fn install_faults(install: &Install, faults: &mut Vec<(Place, Fault)>) {
    let Install { questions, values_template, backup, health, .. } = install;
    for (what, path) in [("questions", questions), ("values-template", values_template), ("backup", backup)] {
        if let Some(empty) = path.as_ref().filter(|path| path.value.is_empty()) {
            faults.push((empty.place, Fault::Empty(what)));
        }
    }
    for one in health.iter().filter(|one| !one.value.is_plain()) {
        faults.push((one.place, Fault::Health(crate::text::printable(&one.value.service, 80))));
    }
    if health.len() > limits::INDEX_ENTRIES {
        faults.push((TOP, Fault::TooMany { what: "health", count: health.len() }));
    }
}

/// Where what is wrong with the file as a whole is reported.
const TOP: Place = Place { line: 1, column: 1 };

fn duplicates(
    what: &'static str,
    names: impl Iterator<Item = (Place, String)>,
    faults: &mut Vec<(Place, Fault)>,
) {
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    for (place, name) in names {
        match seen.get(&name) {
            Some(first) => faults.push((place, Fault::Duplicate { what, name, first: *first })),
            None => {
                seen.insert(name, place);
            }
        }
    }
}
