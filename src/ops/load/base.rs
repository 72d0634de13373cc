//! Before an upgrade is loaded: whether everything it relies on is there, each blob asked for in every repository that needs it.
//!
//! Nothing is written here. What the registry lost and a base bundle has is put again like anything else that is missing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use signing::Weight;

use super::content::Content;
use super::report::{Lacking, Relied};
use super::{Error, Request};
use crate::bundle::index::Index;
use crate::digest::{Blob, Digest};
use crate::oci::Repository;
use crate::ops::finding::{Finding, What};
use crate::ops::{manifests, transfer, unlock};
use crate::plan::load::{self as plan, LoadPlan};
use crate::plan::mapping::Mapping;
use crate::plan::placing::Placed;
use crate::registry::{self, Client};
use crate::store::volumes::Volumes;

/// Opens a further bundle under the same policy; what refuses it is told with its folder's name. That it is older is what is wanted of it.
pub(super) fn open(request: &Request<'_>, folder: &Path) -> Result<(Vec<Finding>, Option<Volumes>), Error> {
    let folders = [folder.to_owned()];
    let asked = unlock::Request {
        folders: &folders,
        policy: request.policy,
        with: request.with,
        now: request.now,
        state: None,
        allow_downgrade: true,
    };
    let seen = unlock::authenticate(&asked)?;
    let refusals = seen.findings.iter().filter(|finding| finding.weight == Weight::Refuse);
    let told = |finding: &Finding| {
        let (path, detail) = (folder.display().to_string(), finding.what.to_string());
        Finding::refuse(What::Base { path, detail })
    };
    let findings = refusals.map(told).collect();
    let volumes = seen.bundle.map(|bundle| unlock::volumes(&bundle, request.with)).transpose()?;
    Ok((findings, volumes))
}

/// What is asked about.
pub(super) struct Asking<'a> {
    pub(super) index: &'a Index,
    pub(super) placed: &'a [Placed],
    pub(super) mapping: &'a Mapping,
    pub(super) parallel: usize,
}

/// What was found.
pub(super) struct Proof {
    pub(super) counts: Relied,
    /// For each thing that is placed, whether the registry lost a blob of it.
    pub(super) incomplete: Vec<bool>,
    /// What is in none of the repositories that need it, and where it is instead.
    pub(super) elsewhere: HashMap<Digest, Vec<Repository>>,
    /// What is nowhere.
    pub(super) lacking: Vec<Lacking>,
}

type Answers = Mutex<Vec<(usize, Result<bool, registry::Error>)>>;

impl Asking<'_> {
    /// Asks after every blob that is relied on.
    pub(super) fn prove(&self, content: &Content<'_>) -> Result<Proof, Error> {
        let index = self.index;
        let manifests = manifests::read(index, content.own())?;
        let plan = plan::plan(index, self.placed.to_vec(), &manifests)?;
        let relied: HashSet<Digest> = index.relied_on.iter().map(|blob| blob.digest).collect();
        let needed: Vec<(Blob, &Repository)> = plan
            .blobs
            .iter()
            .filter(|(blob, _)| relied.contains(&blob.digest))
            .flat_map(|(blob, repositories)| repositories.iter().map(move |repository| (*blob, repository)))
            .collect();
        let there = self.ask(&needed, content.client())?;
        let mut absent = HashSet::<(Digest, &Repository)>::new();
        let mut holders = HashMap::<Digest, Vec<Repository>>::new();
        for ((blob, repository), there) in needed.iter().zip(&there) {
            if *there {
                holders.entry(blob.digest).or_default().push((*repository).clone());
            } else {
                absent.insert((blob.digest, *repository));
            }
        }
        let wanting: HashSet<Digest> = absent.iter().map(|(digest, _)| *digest).collect();
        let mut proof = Proof {
            counts: Relied { blobs: relied.len() as u64, ..Relied::default() },
            incomplete: incomplete(&plan, &absent),
            elsewhere: HashMap::new(),
            lacking: Vec::new(),
        };
        for blob in index.relied_on.iter().map(crate::bundle::index::IndexRelied::blob) {
            if !wanting.contains(&blob.digest) {
                proof.counts.there += 1;
                continue;
            }
            let held = match holders.remove(&blob.digest) {
                Some(held) => Some(held),
                None if content.has(&blob) => None,
                None => self.look_around(blob, content.client())?.map(|repository| vec![repository]),
            };
            match held {
                Some(held) => {
                    proof.counts.elsewhere += 1;
                    proof.elsewhere.insert(blob.digest, held);
                }
                None if content.has(&blob) => proof.counts.in_base += 1,
                None => proof.lacking.push(Lacking {
                    digest: blob.digest,
                    size: blob.size,
                    of: first_need(&plan, &blob.digest),
                }),
            }
        }
        Ok(proof)
    }

    /// For each pair, whether the registry holds the blob there, with its size. "Could not ask" ends the work.
    fn ask(&self, pairs: &[(Blob, &Repository)], client: &Client) -> Result<Vec<bool>, registry::Error> {
        let answers = Answers::default();
        transfer::in_parallel(pairs.len(), self.parallel.max(4), &AtomicBool::new(false), &|item| {
            let (blob, repository) = &pairs[item];
            let there = client.head_blob(repository, &blob.digest).map(|size| size == Some(blob.size));
            if let Ok(mut answers) = answers.lock() {
                answers.push((item, there));
            }
        });
        let mut there = vec![false; pairs.len()];
        for (item, answer) in answers.into_inner().unwrap_or_default() {
            there[item] = answer?;
        }
        Ok(there)
    }

    /// A repository that does not need the blob and holds it all the same: another of the release, or one that the base used.
    fn look_around(&self, blob: Blob, client: &Client) -> Result<Option<Repository>, Error> {
        let mut asked = HashSet::new();
        let own = self.placed.iter().map(|placed| placed.to.repository().clone());
        let left = self.index.base.iter().flat_map(|base| &base.images);
        let left = left.filter_map(|image| Some(self.mapping.map(image).ok()?.repository().clone()));
        for repository in left.chain(own) {
            if asked.insert(repository.clone())
                && client.head_blob(&repository, &blob.digest)? == Some(blob.size)
            {
                return Ok(Some(repository));
            }
        }
        Ok(None)
    }
}

/// For each thing of `plan`, whether it needs something in its repository that is `absent` there.
fn incomplete(plan: &LoadPlan, absent: &HashSet<(Digest, &Repository)>) -> Vec<bool> {
    let lacks = |put: &plan::Put| {
        let repository = put.placed.to.repository();
        let all = put.manifests.iter().chain(put.referrers.iter().flatten());
        all.flat_map(|manifest| &manifest.needs).any(|digest| absent.contains(&(*digest, repository)))
    };
    plan.items.iter().map(lacks).collect()
}

fn first_need(plan: &LoadPlan, digest: &Digest) -> String {
    let needs = |put: &&plan::Put| {
        let mut all = put.manifests.iter().chain(put.referrers.iter().flatten());
        all.any(|manifest| manifest.needs.contains(digest))
    };
    plan.items.iter().find(needs).map(|put| put.placed.from.clone()).unwrap_or_default()
}

/// What is lacking, told once for each thing that needs it.
pub(super) fn findings(lacking: &[Lacking]) -> Vec<Finding> {
    let mut by_name = BTreeMap::<&str, (u64, u64)>::new();
    for one in lacking {
        let (blobs, bytes) = by_name.entry(&one.of).or_default();
        (*blobs, *bytes) = (*blobs + 1, *bytes + one.size);
    }
    let told = |(of, (blobs, bytes)): (&str, (u64, u64))| {
        Finding::refuse(What::BaseLacks { of: of.to_owned(), blobs, bytes })
    };
    by_name.into_iter().map(told).collect()
}
