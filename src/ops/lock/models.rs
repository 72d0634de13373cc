//! Models: surveyed first, so that what is to be read is known, then read.

use crate::path::{EntryPath, PathError};
use crate::progress::{Event, Observer};
use crate::release::Release;
use crate::release::lock::{Lock, LockedFile, LockedModel, ModelFile, NOTICE};
use crate::sources::{ModelError, ModelWish, ResolvedModel, Sources, Survey};
use crate::weights::File;

use super::{Finding, ModelFault};

/// All models of a release, pinned.
#[derive(Default)]
pub(super) struct Models {
    /// In the order of the release.
    pub(super) models: Vec<LockedModel>,
    /// Their notices, for the delivered folder.
    pub(super) notices: Vec<LockedFile>,
    /// What a person should know.
    pub(super) findings: Vec<Finding>,
}

/// Locks every model; or all faults.
pub(super) fn lock_all(
    release: &Release,
    previous: Option<&Lock>,
    sources: &Sources<'_>,
    observer: &dyn Observer,
) -> Result<Models, Vec<ModelFault>> {
    let mut faults = Vec::new();
    let mut keep = |at: usize, found: Vec<ModelError>| {
        faults.extend(found.into_iter().map(|source| ModelFault::new(&release.models[at], source)));
    };
    let version = release.version.to_string();
    let mut surveys: Vec<(usize, Survey)> = Vec::new();
    for (at, model) in release.models.iter().enumerate() {
        let name = model.value.name.as_str();
        let wish = ModelWish {
            model: &model.value,
            version: &version,
            previous: previous.and_then(|lock| lock.models.iter().find(|old| old.name == name)),
        };
        match sources.survey(&wish) {
            Ok(survey) => surveys.push((at, survey)),
            Err(found) => keep(at, found),
        }
    }
    let mut all = Models::default();
    // With a fault in a list nothing is locked, and gigabytes need not be read to say so.
    if surveys.len() == release.models.len() {
        let bytes = surveys.iter().map(|(_, survey)| survey.bytes()).sum();
        let items = surveys.iter().map(|(_, survey)| survey.files() as u64).sum();
        observer.event(Event::Begin { verb: "lock", bytes, items });
        for (at, survey) in surveys {
            match survey.read(observer) {
                Ok(model) => match notice(&model) {
                    Ok(notice) => all.add(model, notice, release),
                    Err(error) => keep(at, vec![error.into()]),
                },
                Err(found) => keep(at, found),
            }
        }
        observer.event(Event::End);
    }
    if faults.is_empty() { Ok(all) } else { Err(faults) }
}

impl Models {
    fn add(&mut self, model: ResolvedModel, notice: Option<LockedFile>, release: &Release) {
        let ResolvedModel { name, from, notice: path, files, image, totals } = model;
        self.findings.extend(totals.into_iter().map(|total| Finding::ShardTotal {
            model: name.clone(),
            list: total.list,
            stated: total.stated,
            found: total.found,
        }));
        self.notices.extend(notice);
        self.models.push(LockedModel {
            name,
            version: release.version.clone(),
            from,
            notice: path,
            manifests: image.manifests,
            files: files
                .into_iter()
                .map(|File { path, size, sha256, layer }| ModelFile {
                    path,
                    size,
                    sha256,
                    layers: vec![layer],
                })
                .collect(),
        });
    }
}

/// The notice as a plain file of the delivered folder, where people read it before anything is unlocked.
fn notice(model: &ResolvedModel) -> Result<Option<LockedFile>, PathError> {
    let file = model.files.iter().find(|file| model.notice.as_ref() == Some(&file.path));
    file.map(|File { path, size, sha256, .. }| {
        let path: EntryPath = format!("notices/{}/{path}", model.name).parse()?;
        Ok(LockedFile { path, size: *size, sha256: *sha256, from: format!("{NOTICE}{}", model.name) })
    })
    .transpose()
}
