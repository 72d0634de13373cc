//! Whether a lock says what its release declares.
//!
//! A lock names the bytes of the `release.yaml` it was made from, but it is a text file too: whoever edits it leaves that line alone. What
//! the release declares is compared again, so that an edit can change neither what is delivered under which name nor how it is sealed.

use super::content::NOTICE;
use super::{INSTALL_FOLDER, Lock, LockedChart, LockedFile, LockedImage, LockedModel, LockedUpgrade};
use crate::oci::Platform;
use crate::path::EntryPath;
use crate::release::model::{Image, Release};
use crate::release::sections::{Chart, FileEntry, Install, License, Model, Upgrade};
use crate::release::yaml::At;

impl Lock {
    /// The first thing, as a person calls it, that the lock says otherwise than `release`.
    #[must_use]
    pub fn differs_from(&self, release: &Release) -> Option<String> {
        let license = release.license.as_ref().map(|license| &license.value);
        let upgrade = release.upgrade.as_ref().map(|upgrade| &upgrade.value);
        let install = release.install.as_ref().map(|install| &install.value);
        let head = [
            ("name", self.name == release.name.to_string()),
            ("version", self.version == release.version),
            ("vendor", self.vendor == release.vendor.value),
            ("seal", self.seal == release.seal),
            ("volume-size", self.volume_size == release.volume_size.value),
            ("license", self.same_license(license)),
            ("upgrade", same_upgrade(self.upgrade.as_ref(), upgrade)),
            ("install", self.same_install(install)),
            ("number of images", self.images.len() == release.images.len()),
            ("number of charts", self.charts.len() == release.charts.len()),
            ("number of models", self.models.len() == release.models.len()),
            ("number of tools", self.tools.len() == release.tools.len()),
        ];
        if let Some((what, _)) = head.into_iter().find(|(_, same)| !same) {
            return Some(format!("the {what}"));
        }
        let images = self.images.iter().zip(&release.images);
        let charts = self.charts.iter().zip(&release.charts);
        let models = self.models.iter().zip(&release.models);
        let tools = self.tools.iter().zip(&release.tools);
        images
            .filter(|(locked, image)| !same_image(locked, &image.value))
            .map(|(_, image)| format!("image {}", image.value.reference))
            .chain(
                charts
                    .filter(|(locked, chart)| !same_chart(locked, &chart.value))
                    .map(|(locked, _)| format!("chart {}", locked.name)),
            )
            .chain(
                models
                    .filter(|(locked, model)| !same_model(locked, &model.value, &self.version))
                    .map(|(_, model)| format!("model {}", model.value.name)),
            )
            .chain(
                tools
                    .filter(|(locked, tool)| {
                        let tool = &tool.value;
                        locked.name != tool.name.to_string()
                            || (&locked.platform, &locked.sha256, &locked.from)
                                != (&tool.platform, &tool.sha256, &tool.from)
                    })
                    .map(|(_, tool)| format!("tool {}", tool.value.name)),
            )
            .chain(
                self.files
                    .iter()
                    .filter(|file| !self.is_declared(file, release))
                    .map(|file| format!("file {}", file.path)),
            )
            .next()
    }

    /// Whether a file is one of an entry of `files:`, the notice of a model, or one of `install:`.
    fn is_declared(&self, file: &LockedFile, release: &Release) -> bool {
        match file.from.strip_prefix(NOTICE) {
            Some(model) => self.models.iter().any(|locked| {
                let notice = locked.notice.as_ref().map(|path| format!("notices/{model}/{path}"));
                locked.name == model && notice.as_deref() == Some(file.path.as_str())
            }),
            None => {
                let install = release.install.as_ref().map(|install| &install.value);
                release.files.iter().any(|entry| is_of(file, &entry.value))
                    || install.is_some_and(|install| {
                        let own = format!("{INSTALL_FOLDER}/{}", last_name(&file.from));
                        file.path.as_str() == own && files_of(install).any(|from| from.value == file.from)
                    })
            }
        }
    }

    fn same_install(&self, declared: Option<&Install>) -> bool {
        let (locked, declared) = match (&self.install, declared) {
            (None, None) => return true,
            (Some(locked), Some(declared)) => (locked, declared),
            _ => return false,
        };
        let same = |path: &Option<EntryPath>, from: &Option<At<String>>| match (path, from) {
            (None, None) => true,
            (Some(path), Some(from)) => {
                self.files.iter().any(|file| file.path == *path && file.from == from.value)
            }
            _ => false,
        };
        same(&locked.questions, &declared.questions)
            && same(&locked.values_template, &declared.values_template)
            && same(&locked.backup, &declared.backup)
            && locked.requires == declared.requires
            && declared.health.iter().map(|health| &health.value).eq(&locked.health)
    }

    fn same_license(&self, declared: Option<&License>) -> bool {
        match (&self.license, declared) {
            (None, None) => true,
            (Some(locked), Some(declared)) => {
                (locked.required, locked.grace_days, locked.warn_days)
                    == (declared.required, declared.grace_days, declared.warn_days)
                    && declared.features.iter().map(|feature| &feature.value).eq(&locked.features)
            }
            _ => false,
        }
    }
}

fn same_upgrade(locked: Option<&LockedUpgrade>, declared: Option<&Upgrade>) -> bool {
    match (locked, declared) {
        (None, None) => true,
        (Some(locked), Some(declared)) => {
            locked.from == declared.from
                && declared.stops.iter().map(|stop| &stop.value).eq(&locked.stops)
                && declared.migrate.iter().map(|rule| &rule.value).eq(&locked.migrate)
        }
        _ => false,
    }
}

/// The files that `install:` names.
fn files_of(install: &Install) -> impl Iterator<Item = &At<String>> {
    [&install.questions, &install.values_template, &install.backup].into_iter().flatten()
}

fn last_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn same_image(locked: &LockedImage, image: &Image) -> bool {
    let from = image.from.as_ref().map(ToString::to_string);
    let pinned = image.reference.digest();
    let root = locked.root().map(|root| root.digest);
    locked.reference == image.reference
        && locked.from == from
        && locked.cosign_key.is_some() == image.verify.is_some()
        && pinned.is_none_or(|pinned| root == Some(pinned) || locked.original == Some(pinned))
        && locked.platforms == platforms(locked)
}

/// What the manifests run on, each once, in their order.
fn platforms(locked: &LockedImage) -> Vec<Platform> {
    let mut all: Vec<Platform> = Vec::new();
    for platform in locked.manifests.iter().filter_map(|manifest| manifest.platform.as_ref()) {
        if !all.contains(platform) {
            all.push(platform.clone());
        }
    }
    all
}

fn same_chart(locked: &LockedChart, chart: &Chart) -> bool {
    let declared = |declared: &Option<String>, locked: &str| declared.as_ref().is_none_or(|d| d == locked);
    locked.release == chart.release
        && locked.namespace == chart.namespace
        && declared(&chart.name, &locked.name)
        && declared(&chart.version, &locked.version)
}

fn same_model(locked: &LockedModel, model: &Model, version: &semver::Version) -> bool {
    locked.name == model.name.to_string() && locked.from == model.from && locked.version == *version
}

/// Whether `entry` is this very file, or a folder that it lies below; and the path is then the one that follows.
fn is_of(file: &LockedFile, FileEntry { from, to }: &FileEntry) -> bool {
    let path = file.path.as_str();
    if file.from == *from {
        return if to.ends_with('/') { path == format!("{to}{}", last_name(from)) } else { path == to };
    }
    let below = file.from.strip_prefix(from.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
    below.is_some_and(|below| {
        let climbs = below.split('/').any(|part| matches!(part, "" | "." | ".."));
        !climbs && path == format!("{}/{below}", to.trim_end_matches('/'))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_file_is_of_the_entry_that_leads_to_it_and_of_no_other() {
        for (from, to, read, path, good) in [
            ("LICENSE", "LICENSE", "LICENSE", "LICENSE", true),
            ("a/LICENSE", "docs/", "a/LICENSE", "docs/LICENSE", true),
            ("a/LICENSE", "docs/", "a/LICENSE", "docs/OTHER", false),
            ("docs/", "docs/", "docs/en/guide.md", "docs/en/guide.md", true),
            ("docs", "help", "docs/en/guide.md", "help/en/guide.md", true),
            ("docs", "help", "docs/en/guide.md", "help/guide.md", false),
            ("docs", "help", "docs/../secret", "help/../secret", false),
            ("docs", "help", "docs/../secret", "help/secret", false),
            ("docs", "help", "docs2/x", "help/x", false),
            ("docs", "help", "../secret", "help/secret", false),
        ] {
            let Ok(parsed) = path.parse() else {
                assert!(!good, "{path}");
                continue;
            };
            let file = LockedFile { path: parsed, size: 0, sha256: Digest::of(b""), from: read.to_owned() };
            let entry = FileEntry { from: from.to_owned(), to: to.to_owned() };
            assert_eq!(is_of(&file, &entry), good, "{read} -> {path} by {from} -> {to}");
        }
    }
}
