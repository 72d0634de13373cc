//! What a customer's registry, cluster and machine have, held against what a release needs: facts in, checks out.
//!
//! Everything is judged, not only the first thing. What could not be asked is said to be so, and is never taken for "not there".

use semver::{Version, VersionReq};
use serde::Serialize;
use signing::Weight;

use crate::bundle::index::IndexRequires;
use crate::release::sections::Gpu;

mod cluster;
pub mod quantity;
#[cfg(test)]
mod tests;

pub use cluster::{Class, Cluster, Node, Permission, permissions};

/// What something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// The bundle and its signatures.
    Bundle,
    /// The licence.
    Licence,
    /// The registry.
    Registry,
    /// The cluster.
    Cluster,
    /// The nodes of the cluster.
    Nodes,
    /// A database outside the cluster.
    Database,
    /// Where this program runs.
    Machine,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is about.
    pub area: Area,
    /// What follows: [`Weight::Ignore`] for what is as it must be.
    pub weight: Weight,
    /// What was seen.
    #[serde(flatten)]
    pub seen: Seen,
}

/// What a check can see. In JSON, `what` names the variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Seen {
    /// Something a check of the bundle or licence said, by its own name.
    Told {
        /// Which check, as `bundle verify` names it.
        name: String,
        /// In words, without advice.
        detail: String,
    },
    /// It answers and knows who we are.
    Registry {
        /// `HOST/PREFIX`.
        place: String,
    },
    /// No registry was named.
    RegistryNotNamed,
    /// It does not do what is asked of it.
    RegistryFault {
        /// Which registry.
        place: String,
        /// Its kind.
        fault: Fault,
        /// In words, without advice.
        detail: String,
    },
    /// A throw-away blob was taken.
    UploadTaken {
        /// Into which repository.
        repository: String,
        /// Bytes of the blob.
        bytes: u64,
        /// How it was sent.
        style: Style,
    },
    /// A throw-away blob was not taken.
    UploadRefused {
        /// Into which repository.
        repository: String,
        /// Bytes of the blob.
        bytes: u64,
        /// How it was sent.
        style: Style,
        /// Its kind.
        fault: Fault,
        /// In words, without advice.
        detail: String,
    },
    /// A deep name is refused, and a shallow one is not.
    PathTooDeep {
        /// The repository that was refused.
        repository: String,
        /// The one that was taken.
        taken: String,
    },
    /// A throw-away blob is still there.
    ProbeKept {
        /// In which repository.
        repository: String,
        /// Its digest.
        digest: String,
        /// Its bytes.
        bytes: u64,
        /// Why.
        detail: String,
    },
    /// Larger than what was sent to try.
    LargestBlob {
        /// Bytes of the largest blob that will be sent.
        bytes: u64,
        /// Bytes of the throw-away blob.
        tried: u64,
    },
    /// What keeps the cluster from being asked at all.
    NoCluster {
        /// Its kind.
        fault: Fault,
        /// In words, without advice.
        detail: String,
    },
    /// Its version.
    Version {
        /// What it runs.
        got: Version,
        /// What the release needs.
        #[serde(skip_serializing_if = "Option::is_none")]
        wanted: Option<VersionReq>,
    },
    /// Something that could not be asked, so it was not checked.
    NotAsked {
        /// What.
        subject: &'static str,
        /// Why not.
        detail: String,
    },
    /// Everything that an installation does is allowed.
    Allowed {
        /// In which namespace.
        namespace: String,
        /// How many things were asked.
        count: usize,
    },
    /// Things that an installation does and this user may not.
    Forbidden {
        /// In which namespace.
        namespace: String,
        /// Which.
        missing: Vec<Permission>,
    },
    /// Nodes that take pods.
    Nodes {
        /// How many.
        ready: usize,
        /// Of how many.
        all: usize,
    },
    /// No node takes pods.
    NoNodes {
        /// How many there are.
        all: usize,
    },
    /// Nodes that have less than the release asks of each.
    SmallNodes {
        /// Which.
        names: Vec<String>,
        /// How many are large enough.
        enough: usize,
        /// Of what there is too little.
        resource: &'static str,
        /// The most that one of them has.
        most: String,
        /// What is asked of each.
        wanted: String,
    },
    /// Every node has what is asked of it.
    LargeNodes {
        /// Of what.
        resource: &'static str,
        /// What is asked of each.
        wanted: String,
    },
    /// Nodes of a kind that the images are not for.
    OtherPlatform {
        /// Which nodes.
        names: Vec<String>,
        /// What they are.
        platform: String,
        /// What the images are for.
        carried: Vec<String>,
    },
    /// GPUs.
    Gpus {
        /// How many the nodes offer.
        count: u64,
        /// On how many nodes.
        nodes: usize,
    },
    /// No node offers a GPU.
    NoGpus {
        /// The models that the bundle carries.
        models: Vec<String>,
    },
    /// Room for images on the nodes.
    NodeDisk {
        /// Which nodes have less.
        names: Vec<String>,
        /// Bytes of all images, as they are sent.
        bytes: u64,
    },
    /// A class of storage or ingress is there.
    ClassThere {
        /// `storage class` or `ingress class`.
        kind: &'static str,
        /// Which.
        name: String,
    },
    /// A class that is needed is not there.
    ClassMissing {
        /// `storage class` or `ingress class`.
        kind: &'static str,
        /// Which; `None` for a default, or any.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Those that are there.
        there: Vec<String>,
    },
    /// A database answers.
    Postgres {
        /// Where.
        at: String,
        /// Its version; `None` when it tells none before a login.
        got: Option<Version>,
        /// What the release needs.
        #[serde(skip_serializing_if = "Option::is_none")]
        wanted: Option<VersionReq>,
    },
    /// A database does not answer.
    NoPostgres {
        /// Where.
        at: String,
        /// Why.
        detail: String,
    },
    /// A database is needed if the release's own is not used, and none was named.
    PostgresNotNamed {
        /// What the release needs.
        wanted: VersionReq,
    },
    /// Room on a filesystem of this machine.
    Disk {
        /// Which folder.
        path: String,
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// Clocks.
    Clock {
        /// Seconds that the cluster's is ahead of this machine's.
        ahead: i64,
    },
}

/// Kinds of faults, for advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Nothing answers, or no such name.
    Unreachable,
    /// Certificates.
    Tls,
    /// Who we are is not accepted.
    Unauthorized,
    /// Who we are may not.
    Denied,
    /// What is sent is too large.
    TooLarge,
    /// There is no room for it.
    Full,
    /// There is no such place.
    NotFound,
    /// A program is missing or too old.
    Program,
    /// Anything else.
    Other,
}

/// How a blob is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// In one request.
    Whole,
    /// In pieces, as after a broken connection.
    Pieces,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked<T> {
    /// The answer.
    Known(T),
    /// There is none, and why.
    Unknown(String),
}

/// One try to put a throw-away blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Into which repository.
    pub repository: String,
    /// How.
    pub style: Style,
    /// Bytes of the blob.
    pub bytes: u64,
    /// Its digest.
    pub digest: String,
    /// Whether it was taken, and else why not.
    pub taken: Result<(), (Fault, String)>,
    /// Whether it was removed, and else why not. Not tried for what was not taken.
    pub removed: Result<(), String>,
}

/// A registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// `HOST/PREFIX`.
    pub place: String,
    /// Whether it answers and knows who we are.
    pub answers: Result<(), (Fault, String)>,
    /// The deepest name first; the shallowest where that was refused.
    pub probes: Vec<Probe>,
}

/// A database outside the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// `HOST:PORT`.
    pub at: String,
    /// Its version, if it tells one; else why it does not answer.
    pub answers: Result<Option<Version>, String>,
}

/// Everything that was found out.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// What the release asks of a cluster.
    pub requires: Option<&'a IndexRequires>,
    /// What it carries.
    pub load: Load,
    /// The registry; `None` when none was named.
    pub registry: Option<Registry>,
    /// The cluster; else what keeps it from being asked.
    pub cluster: Result<Cluster, (Fault, String)>,
    /// The database; `None` when none was named.
    pub postgres: Option<Postgres>,
    /// Folders of this machine: path, bytes free, bytes needed.
    pub disks: Vec<(String, u64, u64)>,
}

/// What a release carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// Bytes of the largest blob.
    pub largest: u64,
    /// Bytes of all images' blobs, those of models left out.
    pub images: u64,
    /// Platforms that every image has.
    pub platforms: Vec<String>,
    /// Names of its models.
    pub models: Vec<String>,
}

/// Seconds clocks may differ: certificates, tokens and licences are judged by the minute.
pub const SKEW_SECONDS: i64 = 60;

/// Judges everything.
#[must_use]
pub fn judge(facts: &Facts<'_>) -> Vec<Check> {
    let mut checks = registry(facts.registry.as_ref(), &facts.load);
    match &facts.cluster {
        Ok(found) => checks.extend(cluster::judge(found, facts.requires, &facts.load)),
        Err((fault, detail)) => checks.push(Check {
            area: Area::Cluster,
            weight: Weight::Refuse,
            seen: Seen::NoCluster { fault: *fault, detail: detail.clone() },
        }),
    }
    checks.extend(postgres(facts.postgres.as_ref(), facts.requires));
    checks.extend(facts.disks.iter().map(|(path, free, needed)| Check {
        area: Area::Machine,
        weight: if free < needed { Weight::Refuse } else { Weight::Ignore },
        seen: Seen::Disk { path: path.clone(), free: *free, needed: *needed },
    }));
    checks
}

/// Whether something refuses.
#[must_use]
pub fn refused(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.weight == Weight::Refuse)
}

fn registry(found: Option<&Registry>, load: &Load) -> Vec<Check> {
    let check = |weight, seen| Check { area: Area::Registry, weight, seen };
    let Some(found) = found else { return vec![check(Weight::Warn, Seen::RegistryNotNamed)] };
    if let Err((fault, detail)) = &found.answers {
        let place = found.place.clone();
        return vec![check(
            Weight::Refuse,
            Seen::RegistryFault { place, fault: *fault, detail: detail.clone() },
        )];
    }
    let mut checks = vec![check(Weight::Ignore, Seen::Registry { place: found.place.clone() })];
    let whole = |probe: &&Probe| probe.style == Style::Whole;
    let taken = found.probes.iter().filter(whole).find(|probe| probe.taken.is_ok());
    // The second name is tried to tell depth from all else; refused too, it adds nothing.
    let one_is_enough = taken.is_none() && found.probes.len() > 1;
    for probe in found.probes.iter().take(if one_is_enough { 1 } else { usize::MAX }) {
        let Probe { repository, style, bytes, .. } = probe;
        let (repository, style, bytes) = (repository.clone(), *style, *bytes);
        let seen = match (&probe.taken, taken) {
            (Ok(()), _) => (Weight::Ignore, Seen::UploadTaken { repository, bytes, style }),
            (Err(_), Some(other)) if style == Style::Whole && other.repository != repository => {
                (Weight::Refuse, Seen::PathTooDeep { repository, taken: other.repository.clone() })
            }
            // A load does without pieces, but begins a blob again when a connection breaks.
            (Err((fault, detail)), _) => {
                let weight = if style == Style::Pieces { Weight::Warn } else { Weight::Refuse };
                (
                    weight,
                    Seen::UploadRefused { repository, bytes, style, fault: *fault, detail: detail.clone() },
                )
            }
        };
        checks.push(check(seen.0, seen.1));
        if let (Ok(()), Err(detail)) = (&probe.taken, &probe.removed) {
            let Probe { repository, digest, bytes, .. } = probe.clone();
            checks.push(check(
                Weight::Warn,
                Seen::ProbeKept { repository, digest, bytes, detail: detail.clone() },
            ));
        }
    }
    if let Some(tried) = taken.map(|probe| probe.bytes).filter(|tried| *tried < load.largest) {
        checks.push(check(Weight::Ignore, Seen::LargestBlob { bytes: load.largest, tried }));
    }
    checks
}

fn postgres(found: Option<&Postgres>, requires: Option<&IndexRequires>) -> Vec<Check> {
    let check = |weight, seen| Check { area: Area::Database, weight, seen };
    let wanted = requires.and_then(|requires| requires.postgres.clone());
    match (found, wanted) {
        (None, None) => vec![],
        // The release may bring its own.
        (None, Some(wanted)) => vec![check(Weight::Ignore, Seen::PostgresNotNamed { wanted })],
        (Some(Postgres { at, answers: Err(detail) }), _) => {
            vec![check(Weight::Refuse, Seen::NoPostgres { at: at.clone(), detail: detail.clone() })]
        }
        (Some(Postgres { at, answers: Ok(got) }), wanted) => {
            let weight = match (got, &wanted) {
                (_, None) => Weight::Ignore,
                (Some(got), Some(wanted)) if matches(wanted, got) => Weight::Ignore,
                (Some(_), Some(_)) => Weight::Refuse,
                (None, Some(_)) => Weight::Warn,
            };
            vec![check(weight, Seen::Postgres { at: at.clone(), got: got.clone(), wanted })]
        }
    }
}

/// Whether a version is one of those; what is appended to it (`-gke.1`) plays no part.
/// Whether `got` will do, whatever its vendor appended to it.
#[must_use]
pub fn matches(wanted: &VersionReq, got: &Version) -> bool {
    wanted.matches(&Version::new(got.major, got.minor, got.patch))
}

/// What a lack of GPUs weighs.
fn without_gpus(gpu: Gpu, models: &[String]) -> Option<Weight> {
    match gpu {
        Gpu::Required => Some(Weight::Refuse),
        Gpu::Optional if !models.is_empty() => Some(Weight::Warn),
        Gpu::Optional | Gpu::None => None,
    }
}
