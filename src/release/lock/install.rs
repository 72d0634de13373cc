//! How a release is installed and upgraded, as the lock pins it: its files are files of the delivered folder.

use std::fmt::{self, Write};

use semver::VersionReq;
use serde::{Deserialize, Serialize};

use super::emit::{Quoted, Text, write_text};
use super::{GraphFault, Lock};
use crate::limits;
use crate::path::EntryPath;
use crate::release::sections::{Gpu, Health, Migration, Requires, Stop, Upgrade};

/// The folder of the bundle that files of `install:` lie in which `files:` puts nowhere.
pub const INSTALL_FOLDER: &str = "install";

/// How a release is installed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedInstall {
    /// The questions, one of the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub questions: Option<EntryPath>,
    /// The template of Helm values, one of the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values_template: Option<EntryPath>,
    /// The script that backs data up before an upgrade, one of the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<EntryPath>,
    /// What the cluster must offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
    /// What is asked to know that it works.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<Health>,
}

/// Which installed versions a release can replace, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedUpgrade {
    /// Which.
    pub from: VersionReq,
    /// Releases that none may pass over, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<Stop>,
    /// What became of answers, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrate: Vec<Migration>,
}

impl LockedInstall {
    /// Its files, each with its key in `release.yaml`.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &EntryPath)> {
        let Self { questions, values_template, backup, .. } = self;
        let named = [("questions", questions), ("values-template", values_template), ("backup", backup)];
        named.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?)))
    }
}

impl Lock {
    pub(super) fn check_install(&self) -> Result<(), GraphFault> {
        let fault = |of: &str, why: String| Err(GraphFault::Entry { of: of.to_owned(), why });
        if let Some(install) = &self.install {
            for (key, path) in install.files() {
                if !self.files.iter().any(|file| file.path == *path) {
                    return fault("install", format!("its {key} {path} is not among the files"));
                }
            }
            if install.health.len() > limits::INDEX_ENTRIES {
                return Err(GraphFault::TooMany { what: "health", count: install.health.len() });
            }
            if !install.health.iter().all(Health::is_plain) {
                return fault("install", "what is asked for health is no address".to_owned());
            }
        }
        let Some(LockedUpgrade { from, stops, migrate }) = &self.upgrade else { return Ok(()) };
        for (what, count) in [("stops", stops.len()), ("migrate", migrate.len())] {
            if count > limits::INDEX_ENTRIES {
                return Err(GraphFault::TooMany { what, count });
            }
        }
        if let Some((stop, why)) = Upgrade::way_faults(stops, from, &self.version) {
            return fault("upgrade", format!("stop {}: {why}", stop.version));
        }
        match migrate.iter().all(Migration::is_plain) {
            true => Ok(()),
            false => fault("upgrade", "a rule for an answer says nothing, or two things".to_owned()),
        }
    }
}

pub(super) fn write_upgrade(out: &mut String, upgrade: &LockedUpgrade) -> fmt::Result {
    let LockedUpgrade { from, stops, migrate } = upgrade;
    writeln!(out, "upgrade:\n  from: {}", Quoted(&from.to_string()))?;
    if !stops.is_empty() {
        out.push_str("  stops:\n");
    }
    stops.iter().try_for_each(|Stop { from, version }| {
        let (from, version) = (from.to_string(), version.to_string());
        writeln!(out, "    - {{version: {}, from: {}}}", Quoted(&version), Quoted(&from))
    })?;
    if !migrate.is_empty() {
        out.push_str("  migrate:\n");
    }
    migrate.iter().try_for_each(|Migration { answer, before, drop, to, values }| {
        write!(out, "    - {{answer: {}", Text(answer))?;
        if let Some(before) = before {
            write!(out, ", before: {}", Quoted(&before.to_string()))?;
        }
        if *drop {
            out.push_str(", drop: true");
        }
        if let Some(to) = to {
            write!(out, ", to: {}", Text(to))?;
        }
        if !values.is_empty() {
            out.push_str(", values: {");
            for (place, (old, new)) in values.iter().enumerate() {
                let gap = if place == 0 { "" } else { ", " };
                write!(out, "{gap}{}: {}", Quoted(old), Quoted(new))?;
            }
            out.push('}');
        }
        out.push_str("}\n");
        Ok(())
    })
}

pub(super) fn write_install(out: &mut String, install: &LockedInstall) -> fmt::Result {
    let nothing = *install == LockedInstall::default();
    out.push_str(if nothing { "install: {}\n" } else { "install:\n" });
    for (key, path) in install.files() {
        writeln!(out, "  {key}: {}", Text(path.as_str()))?;
    }
    if let Some(requires) = &install.requires {
        write_requires(out, requires)?;
    }
    if !install.health.is_empty() {
        out.push_str("  health:\n");
    }
    install.health.iter().try_for_each(|Health { path, port, service }| {
        writeln!(out, "    - {{service: {}, port: {port}, path: {}}}", Text(service), Quoted(path))
    })
}

fn write_requires(out: &mut String, requires: &Requires) -> fmt::Result {
    let Requires { kubernetes, cpu_per_node, memory_per_node, storage_class, ingress, postgres, gpu } =
        requires;
    out.push_str("  requires:\n");
    write_text(out, "    kubernetes", kubernetes.as_ref().map(ToString::to_string).as_deref())?;
    if let Some(cpu) = cpu_per_node {
        writeln!(out, "    cpu-per-node: {cpu}")?;
    }
    if let Some(memory) = memory_per_node {
        writeln!(out, "    memory-per-node: {}", memory.0)?;
    }
    writeln!(out, "    storage-class: {storage_class}\n    ingress: {ingress}")?;
    write_text(out, "    postgres", postgres.as_ref().map(ToString::to_string).as_deref())?;
    let gpu = match gpu {
        Gpu::None => "none",
        Gpu::Optional => "optional",
        Gpu::Required => "required",
    };
    writeln!(out, "    gpu: {gpu}")
}
