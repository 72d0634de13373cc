//! `install:` and `upgrade:`: their files read, held against each other, and put among the delivered files.

use std::path::Path;

use super::{Error, InstallFault};
use crate::digest::Digest;
use crate::limits;
use crate::path::EntryPath;
use crate::release::Release;
use crate::release::lock::{INSTALL_FOLDER, LockedFile, LockedInstall, LockedUpgrade};
use crate::release::questions::{Kind, Questions};
use crate::release::sections::Migration;
use crate::release::values::Values;
use crate::release::yaml::At;
use crate::sys::fs;

/// Locks both; `files` are those of the release, to which those are added that `files:` does not name. `folder` is the release's, `shown`
/// its file in messages.
pub(super) fn lock(
    release: &Release,
    folder: &Path,
    shown: &str,
    files: &mut Vec<LockedFile>,
) -> Result<(Option<LockedInstall>, Option<LockedUpgrade>), Error> {
    let mut faults = Vec::new();
    let mut questions = Questions { questions: Vec::new() };
    let mut locked = None;
    if let Some(install) = &release.install {
        let install = &install.value;
        let mut take = |key, path: &Option<At<String>>| {
            let path = path.as_ref()?;
            read(folder, path, files)
                .map_err(|(place, why)| {
                    faults.push(InstallFault::File { file: shown.to_owned(), place, key, why });
                })
                .ok()
        };
        let asked = take("questions", &install.questions);
        let template = take("values-template", &install.values_template);
        let backup = take("backup", &install.backup);
        if let Some(asked) = &asked {
            match Questions::parse(&asked.bytes, &asked.shown) {
                Ok(parsed) => questions = parsed,
                Err(error) => faults.push(InstallFault::Questions(error)),
            }
        }
        // What is wrong with the questions is wrong with every template of theirs.
        if let Some(template) = template.as_ref().filter(|_| faults.is_empty()) {
            faults.extend(check(template, &questions, asked.as_ref()));
        }
        locked = Some(LockedInstall {
            questions: asked.map(|taken| taken.path),
            values_template: template.map(|taken| taken.path),
            backup: backup.map(|taken| taken.path),
            requires: install.requires.clone(),
            health: install.health.iter().map(|health| health.value.clone()).collect(),
        });
    }
    let upgrade = release.upgrade.as_ref().map(|upgrade| &upgrade.value);
    if faults.is_empty() {
        for rule in upgrade.iter().flat_map(|upgrade| &upgrade.migrate) {
            let fault = |why| InstallFault::Rule { file: shown.to_owned(), place: rule.place, why };
            faults.extend(rule_fault(&rule.value, &questions).map(fault));
        }
    }
    if !faults.is_empty() {
        return Err(Error::Install(faults));
    }
    let upgrade = upgrade.map(|upgrade| LockedUpgrade {
        from: upgrade.from.clone(),
        stops: upgrade.stops.iter().map(|stop| stop.value.clone()).collect(),
        migrate: upgrade.migrate.iter().map(|rule| rule.value.clone()).collect(),
    });
    Ok((locked, upgrade))
}

/// A file of `install:`.
struct Taken {
    bytes: Vec<u8>,
    /// Its place in the delivered folder.
    path: EntryPath,
    /// As it is called in messages.
    shown: String,
}

/// Reads a file and sees to it that it is delivered: where `files:` puts it, or in a folder of its own.
fn read(
    folder: &Path,
    from: &At<String>,
    files: &mut Vec<LockedFile>,
) -> Result<Taken, (crate::release::yaml::Place, String)> {
    let place = folder.join(&from.value);
    let bytes =
        fs::read_limited(&place, limits::HAND_WRITTEN_BYTES).map_err(|e| (from.place, e.to_string()))?;
    let shown = place.display().to_string();
    if let Some(file) = files.iter().find(|file| file.from == from.value) {
        return Ok(Taken { bytes, path: file.path.clone(), shown });
    }
    let name = from.value.rsplit('/').next().unwrap_or_default();
    let path: EntryPath = format!("{INSTALL_FOLDER}/{name}")
        .parse()
        .map_err(|e: crate::path::PathError| (from.place, e.to_string()))?;
    let (size, sha256) = (bytes.len() as u64, Digest::of(&bytes));
    files.push(LockedFile { path: path.clone(), size, sha256, from: from.value.clone() });
    Ok(Taken { bytes, path, shown })
}

fn check(template: &Taken, questions: &Questions, asked: Option<&Taken>) -> Vec<InstallFault> {
    let Ok(text) = std::str::from_utf8(&template.bytes) else {
        let what = "it is not UTF-8 text".to_owned();
        let (file, line, name) = (template.shown.clone(), None, None);
        return vec![InstallFault::Template(crate::release::template::Error { file, line, what, name })];
    };
    let values = match Values::parse(text, &template.shown, questions) {
        Ok(values) => values,
        Err(errors) => return errors.into_iter().map(InstallFault::Template).collect(),
    };
    let asked = asked.map_or("", |asked| asked.shown.as_str());
    values.prove(questions, asked).err().map(InstallFault::Template).into_iter().collect()
}

/// What keeps a rule from leading to a question of this release.
fn rule_fault(rule: &Migration, questions: &Questions) -> Option<String> {
    let Migration { answer, drop, to, values, .. } = rule;
    if *drop {
        return None;
    }
    let now = to.as_ref().unwrap_or(answer);
    let Some(question) = questions.get(now) else {
        return Some(format!("the rule for \"{answer}\" leads to \"{now}\", and there is no such question"));
    };
    if question.kind == Kind::Secret {
        return Some(format!(
            "the rule for \"{answer}\" leads to the secret \"{now}\", which stays in its Kubernetes secret and is not carried as an answer"
        ));
    }
    let unfit = values.values().find_map(|value| question.kind.read(value).err());
    unfit.map(|unfit| {
        format!("the rule for \"{answer}\" makes an answer of \"{now}\" that it does not take: {unfit}")
    })
}
