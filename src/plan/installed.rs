//! What is installed, as the cluster remembers it: one `ConfigMap` for each revision of a release, readable with kubectl.
//!
//! `bundle.<release>.v<revision>` in the release's first namespace holds one JSON document, [`Record`]. It is written before anything is
//! done, with [`Status::Working`], and again when the outcome is known; so whoever comes later sees what was meant and how far it got. No
//! secret is in it: it says in which secrets those are. The licence of a revision, which a roll-back needs, is in the secret of the same
//! name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use signing::KeyId;
use signing::time::Time;

use crate::bundle::index::Release;
use crate::digest::Digest;
use crate::oci::Reference;
use crate::release::sections::Health;

/// The version of the record this program writes, and the highest it reads.
pub const FORMAT: u64 = 1;
/// The label that carries the release's name.
pub const RELEASE_LABEL: &str = "bundle/release";
/// The label that carries the revision.
pub const REVISION_LABEL: &str = "bundle/revision";
/// The label that carries the status, to look at: `kubectl get configmap -l bundle/release`.
pub const STATUS_LABEL: &str = "bundle/status";
/// The key of the record in its `ConfigMap`.
pub const KEY: &str = "record.json";

/// One revision of an installed release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`].
    pub format: u64,
    /// The release.
    pub release: Release,
    /// Counted from 1.
    pub revision: u32,
    /// How far it got.
    pub status: Status,
    /// What was done.
    pub action: Action,
    /// The bundle it comes from.
    pub bundle: Source,
    /// The namespace of the record, and of what the program itself creates.
    pub namespace: String,
    /// Where images come from.
    pub registry: Registry,
    /// The secret that images are pulled with; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pull_secret: String,
    /// The answers, without secrets.
    #[serde(default)]
    pub answers: BTreeMap<String, Value>,
    /// The values that the charts were given, by digest.
    pub values: Digest,
    /// The secrets that hold answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretKey>,
    /// The licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<Licensed>,
    /// Each chart, in order.
    pub charts: Vec<Installed>,
    /// Images that the charts run.
    pub images: Vec<Pinned>,
    /// What is asked to know that it works.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<Health>,
    /// When it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Time>,
    /// When its outcome was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// Version of the program.
    pub by: String,
    /// The revision that a roll-back goes back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u32>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// How far a revision got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It is being worked on, or was when the program was killed.
    Working,
    /// It is what runs.
    Deployed,
    /// It ran until a later one replaced it.
    Superseded,
    /// It did not come up.
    Failed,
    /// It is being taken away.
    Uninstalling,
}

impl Status {
    /// Its word, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Deployed => "deployed",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
            Self::Uninstalling => "uninstalling",
        }
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Installed, or installed again with other answers.
    Install,
    /// Brought to a later release.
    Upgrade,
    /// Brought back to an earlier revision.
    Rollback,
}

/// Which bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Digest of its index.
    pub index: Digest,
    /// Whose signatures held.
    pub signers: Vec<KeyId>,
}

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// `HOST` or `HOST/PREFIX`.
    pub place: String,
    /// Rules `FROM=TO`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Whether paths are folded into one name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flatten: bool,
}

/// A key of a Kubernetes secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretKey {
    /// The secret.
    pub secret: String,
    /// The key in it.
    pub key: String,
}

/// The licence in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licensed {
    /// Whose.
    pub customer: String,
    /// When it expires.
    pub expires: Time,
    /// Its tier.
    pub tier: String,
    /// Digest of its file.
    pub file: Digest,
    /// The secret it is in.
    pub at: SecretKey,
}

/// A chart as it was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The chart.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest of its manifest.
    pub digest: Digest,
    /// The Helm release.
    pub release: String,
    /// Its namespace.
    pub namespace: String,
    /// Helm's revision; 0 until it is known.
    pub revision: u32,
}

/// An image and its signed digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// As it is named in the customer's registry.
    pub to: Reference,
    /// Its digest.
    pub digest: Digest,
    /// The digest its source had, when it was narrowed to fewer platforms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Digest>,
}

/// Why an object is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It has no record.
    #[error("configmap {0} has no {KEY}")]
    Empty(String),
    /// A later program wrote it.
    #[error("configmap {name} is a record of format {format}; this program reads up to {FORMAT}")]
    Newer {
        /// Which.
        name: String,
        /// Its format.
        format: u64,
    },
    /// It is damaged.
    #[error("configmap {name} is no record of this program: {why}")]
    Malformed {
        /// Which.
        name: String,
        /// Where it breaks.
        why: String,
    },
}

impl Record {
    /// The name of the objects of revision `revision` of `release`.
    #[must_use]
    pub fn name_of(release: &str, revision: u32) -> String {
        format!("bundle.{release}.v{revision}")
    }

    /// The name of its objects.
    #[must_use]
    pub fn name(&self) -> String {
        Self::name_of(&self.release.name, self.revision)
    }

    /// The labels of its objects.
    #[must_use]
    pub fn labels(&self) -> Value {
        json!({
            "app.kubernetes.io/managed-by": "bundle",
            RELEASE_LABEL: self.release.name,
            REVISION_LABEL: self.revision.to_string(),
            STATUS_LABEL: self.status.word(),
        })
    }

    /// The `ConfigMap` that holds it.
    #[must_use]
    pub fn object(&self) -> Value {
        // A struct of texts and numbers can always be written.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.name(), "namespace": self.namespace, "labels": self.labels()},
            "data": {KEY: text},
        })
    }

    /// Reads the record of a `ConfigMap`.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn of(object: &Value) -> Result<Self, RecordError> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let name = crate::text::printable(name, 100);
        let Some(text) = object.get("data").and_then(|data| data.get(KEY)?.as_str()) else {
            return Err(RecordError::Empty(name));
        };
        let malformed = |error: &serde_json::Error| RecordError::Malformed {
            name: name.clone(),
            why: crate::text::printable(&error.to_string(), 200),
        };
        #[derive(Deserialize)]
        struct Head {
            format: u64,
        }
        let head: Head = serde_json::from_str(text).map_err(|error| malformed(&error))?;
        if head.format > FORMAT {
            return Err(RecordError::Newer { name, format: head.format });
        }
        serde_json::from_str(text).map_err(|error| malformed(&error))
    }
}

/// All that is remembered of one release, by revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(Vec<Record>);

impl History {
    /// Sorted by revision.
    #[must_use]
    pub fn new(mut records: Vec<Record>) -> Self {
        records.sort_by_key(|record| record.revision);
        Self(records)
    }

    /// From the oldest.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.0
    }

    /// The latest, whatever became of it.
    #[must_use]
    pub fn last(&self) -> Option<&Record> {
        self.0.last()
    }

    /// The one that runs, or last ran: the latest deployed one.
    #[must_use]
    pub fn deployed(&self) -> Option<&Record> {
        self.0.iter().rev().find(|record| record.status == Status::Deployed)
    }

    /// The one before the deployed one that ran: where a roll-back goes.
    #[must_use]
    pub fn previous(&self) -> Option<&Record> {
        let deployed = self.deployed().map_or(u32::MAX, |record| record.revision);
        self.0.iter().rev().find(|record| record.revision < deployed && record.status == Status::Superseded)
    }

    /// The one of this revision.
    #[must_use]
    pub fn get(&self, revision: u32) -> Option<&Record> {
        self.0.iter().find(|record| record.revision == revision)
    }

    /// Work that was begun and not ended: the program was killed, or still runs.
    #[must_use]
    pub fn unfinished(&self) -> Option<&Record> {
        self.last().filter(|record| matches!(record.status, Status::Working | Status::Uninstalling))
    }

    /// The number of the next revision: what was never deployed is written over.
    #[must_use]
    pub fn next(&self) -> u32 {
        match self.last() {
            None => 1,
            Some(last) if matches!(last.status, Status::Deployed | Status::Superseded) => last.revision + 1,
            Some(last) => last.revision,
        }
    }

    /// Revisions that need not be kept: all but the `keep` latest and the deployed one.
    #[must_use]
    pub fn old(&self, keep: usize) -> Vec<&Record> {
        let deployed = self.deployed().map(|record| record.revision);
        let surplus = self.0.len().saturating_sub(keep);
        self.0.iter().take(surplus).filter(|record| Some(record.revision) != deployed).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(revision: u32, status: Status) -> Record {
        Record {
            format: FORMAT,
            release: Release { name: "shop".into(), vendor: "V".into(), version: "1.2.0".parse().unwrap() },
            revision,
            status,
            action: Action::Install,
            bundle: Source { index: Digest::of(b"index"), signers: vec![] },
            namespace: "shop".into(),
            registry: Registry { place: "r.acme/p".into(), rules: vec![], flatten: false },
            pull_secret: String::new(),
            answers: BTreeMap::from([("domain".to_owned(), json!("a.b"))]),
            values: Digest::of(b"values"),
            secrets: vec![SecretKey { secret: "db".into(), key: "password".into() }],
            license: None,
            charts: vec![],
            images: vec![],
            health: vec![],
            begun: None,
            ended: None,
            by: "0.1.0".into(),
            back_to: None,
            note: String::new(),
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let written = record(3, Status::Deployed);
        let object = written.object();
        assert_eq!(object["metadata"]["name"], "bundle.shop.v3");
        assert_eq!(Record::of(&object), Ok(written));
    }

    #[test]
    fn what_this_program_does_not_understand_is_refused_by_name() {
        let mut later = record(1, Status::Deployed);
        later.format = 2;
        assert_eq!(
            Record::of(&later.object()),
            Err(RecordError::Newer { name: "bundle.shop.v1".into(), format: 2 })
        );
        let object = json!({"metadata": {"name": "x"}, "data": {KEY: "{"}});
        assert!(matches!(Record::of(&object), Err(RecordError::Malformed { .. })));
        assert_eq!(Record::of(&json!({"metadata": {"name": "x"}})), Err(RecordError::Empty("x".into())));
    }

    #[test]
    fn what_follows_from_a_history() {
        use Status::{Deployed, Failed, Superseded, Working};
        // statuses of revisions 1…; next, deployed, previous, whether work was left
        for (all, next, deployed, previous, left) in [
            (&[][..], 1, None, None, false),
            (&[Working], 1, None, None, true),
            (&[Deployed], 2, Some(1), None, false),
            (&[Superseded, Deployed], 3, Some(2), Some(1), false),
            (&[Superseded, Deployed, Failed], 3, Some(2), Some(1), false),
            (&[Superseded, Deployed, Working], 3, Some(2), Some(1), true),
            (&[Superseded, Failed, Superseded, Deployed], 5, Some(4), Some(3), false),
        ] {
            let records = all.iter().enumerate().map(|(at, s)| record(u32::try_from(at).unwrap() + 1, *s));
            let history = History::new(records.collect());
            let number = |record: Option<&Record>| record.map(|record| record.revision);
            assert_eq!(
                (
                    history.next(),
                    number(history.deployed()),
                    number(history.previous()),
                    history.unfinished().is_some()
                ),
                (next, deployed, previous, left),
                "{all:?}"
            );
        }
    }
}
