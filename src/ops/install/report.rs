//! What an installation did, or would do: plain data without secrets, and a page of it for people that needs nothing else.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use signing::KeyId;
use signing::time::Time;

use super::act::{Ended, Fault, Left};
use super::health::Answered;
use super::{Opened, Plan, Prepared};
use crate::bundle::index::Release;
use crate::ops::cluster::Reach;
use crate::ops::finding::Finding;
use crate::plan::installed::{Licensed, Pinned, Record};
use crate::plan::waiting::Waiting;
use crate::release::template::{self, Style, Template};

/// What was done, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether all runs as it is to be.
    pub ok: bool,
    /// Whether only planned.
    pub dry_run: bool,
    /// Whether there was nothing to do.
    pub unchanged: bool,
    /// The release; `None` when the signatures do not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Whose signatures hold.
    pub signers: Vec<KeyId>,
    /// Everything seen before anything was done; when one of them refuses, nothing was.
    pub findings: Vec<Finding>,
    /// What was to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// Where it was done, and of what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// What the health endpoints answered.
    pub health: Vec<Answered>,
    /// In which state things are; absent when nothing was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What was waited for when it was given up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
}

/// The facts of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// Namespace of the release.
    pub namespace: String,
    /// The `ConfigMap` that remembers it.
    pub record: String,
    /// Digest of the bundle's index.
    pub bundle: String,
    /// The customer's registry.
    pub registry: String,
    /// The answers, without secrets.
    pub answers: BTreeMap<String, Value>,
    /// The licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<Licensed>,
    /// Images that run, by digest.
    pub images: Vec<Pinned>,
    /// Versions: of the cluster, and of the programs that were used.
    pub versions: BTreeMap<&'static str, String>,
    /// When it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun: Option<Time>,
    /// When its outcome was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
}

impl Report {
    /// Of a bundle that was opened, and nothing else yet.
    #[must_use]
    pub fn of(opened: &Opened) -> Self {
        Self {
            ok: false,
            dry_run: false,
            unchanged: false,
            release: opened.release.clone(),
            signers: opened.signers.clone(),
            findings: opened.findings.clone(),
            plan: None,
            made: None,
            health: vec![],
            left: None,
            fault: None,
            waiting: vec![],
        }
    }

    /// Takes in what was decided.
    pub fn plan(&mut self, prepared: &Prepared, reach: &Reach) {
        self.findings.extend(prepared.findings.iter().cloned());
        self.plan = Some(prepared.plan.clone());
        self.unchanged = prepared.plan.unchanged;
        self.made = Some(made(&prepared.record, reach));
    }

    /// Takes in how it ended.
    pub fn end(&mut self, ended: &Ended, reach: &Reach) {
        self.ok = ended.fault.is_none();
        self.health.clone_from(&ended.health);
        self.left = Some(ended.left.clone());
        self.made = Some(made(&ended.record, reach));
        if let Some(fault) = &ended.fault {
            self.fault = Some(fault.to_string());
            if let Fault::Stalled { waiting, .. } = fault {
                self.waiting.clone_from(waiting);
            }
        }
    }

    /// The page.
    ///
    /// # Errors
    /// A fault of the template, which a test would have found.
    pub fn page(&self) -> Result<String, template::Error> {
        const TEXT: &str = include_str!("../../../templates/report.html.j2");
        #[derive(Serialize)]
        struct Context<'a> {
            report: &'a Report,
            findings: Vec<(String, String)>,
            program: &'static str,
        }
        let findings = self
            .findings
            .iter()
            .map(|finding| (format!("{:?}", finding.weight).to_lowercase(), finding.what.to_string()))
            .collect();
        let context = Context { report: self, findings, program: env!("CARGO_PKG_VERSION") };
        Template::parse(TEXT, "report.html", Style::Html)?.render(&context)
    }
}

fn made(record: &Record, reach: &Reach) -> Made {
    let cluster =
        reach.kubectl.server_version().map_or_else(|_| "unknown".to_owned(), |version| version.to_string());
    Made {
        namespace: record.namespace.clone(),
        record: record.name(),
        bundle: record.bundle.index.to_string(),
        registry: record.registry.place.clone(),
        answers: record.answers.clone(),
        license: record.license.clone(),
        images: record.images.clone(),
        versions: BTreeMap::from([
            ("bundle", record.by.clone()),
            ("kubernetes", cluster),
            ("helm", reach.helm.version().to_string()),
            ("kubectl", reach.kubectl.version().to_string()),
        ]),
        begun: record.begun,
        ended: record.ended,
    }
}
