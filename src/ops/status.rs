//! `bundle status`: what is installed, from which bundle, and whether that is what runs. Changes nothing.

use serde::Serialize;
use signing::time::Time;

use crate::ops::cluster::{self, Reach};
use crate::ops::install::{Error, charts, wait};
use crate::plan::drift::{self, Drift};
use crate::plan::installed::{Action, History, Installed, Record, Status};
use crate::plan::waiting::{self, Waiting, Wanted};
use crate::tools::helm::release::Target;

/// What is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether what runs is what was signed, whole and up.
    pub ok: bool,
    /// The revision that runs, or the one that does not run yet.
    pub record: Record,
    /// Days until the licence expires; below 0 when it has; absent without a licence or a clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_days: Option<i64>,
    /// Work that was begun and not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<u32>,
    /// Charts that are not as they were left.
    pub charts: Vec<ChartDrift>,
    /// Containers that run something else than what was signed.
    pub drift: Vec<Drift>,
    /// What is not up.
    pub waiting: Vec<Waiting>,
    /// All revisions that are remembered, from the oldest.
    pub history: Vec<Line>,
}

/// A chart that Helm has otherwise than it was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChartDrift {
    /// The chart.
    #[serde(flatten)]
    pub chart: Installed,
    /// Helm's revision now; 0 when it is not there.
    pub now: u32,
    /// Helm's word for it.
    pub status: String,
}

/// One revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its number.
    pub revision: u32,
    /// Of which version.
    pub version: semver::Version,
    /// How far it got.
    pub status: Status,
    /// What was done.
    pub action: Action,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
}

/// Looks at what `history` says is installed. `now` is in seconds since 1970.
///
/// # Errors
/// What keeps it from being seen.
pub fn status(history: &History, now: Option<i64>, reach: &Reach) -> Result<Report, Error> {
    let Some(record) = history.deployed().or_else(|| history.last()).cloned() else {
        let text = "nothing that this program installed is there".to_owned();
        return Err(Error::Cluster(cluster::Error::NotInstalled(text)));
    };
    let mut charts = Vec::new();
    let mut wanted: Vec<Wanted> = Vec::new();
    for chart in &record.charts {
        let target =
            Target { cluster: reach.kubectl.cluster(), release: &chart.release, namespace: &chart.namespace };
        let standing = reach.helm.standing(&target)?;
        let (now, status) =
            standing.as_ref().map_or((0, "not there".to_owned()), |s| (s.revision, s.status.clone()));
        if now != chart.revision || status != "deployed" {
            charts.push(ChartDrift { chart: chart.clone(), now, status });
        }
        if let Some(standing) = &standing {
            wanted.extend(charts::wanted(&standing.manifest, &chart.namespace)?);
        }
    }
    let objects = wait::objects(&wanted, reach)?;
    let waiting = waiting::standing(&wanted, &objects).waiting;
    let drift = drift::drift(&wanted, &objects, &record.images);
    let unfinished = history.unfinished().map(|left| left.revision);
    let license_days =
        record.license.as_ref().and_then(|license| Some((license.expires.unix() - now?).div_euclid(86_400)));
    let line = |record: &Record| Line {
        revision: record.revision,
        version: record.release.version.clone(),
        status: record.status,
        action: record.action,
        ended: record.ended,
    };
    Ok(Report {
        ok: charts.is_empty()
            && drift.is_empty()
            && waiting.is_empty()
            && unfinished.is_none()
            && record.status == Status::Deployed,
        license_days,
        unfinished,
        charts,
        drift,
        waiting,
        history: history.records().iter().map(line).collect(),
        record,
    })
}
