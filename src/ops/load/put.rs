//! Putting what is missing: blobs in parallel, in payload order; then the manifests of each thing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::blob::Absent;
use super::content::Content;
use super::notes::Files;
use super::report::Counts;
use crate::digest::{Blob, Digest};
use crate::oci::manifest::ManifestError;
use crate::oci::{Pointer, Reference, Repository, media, referrer};
use crate::ops::transfer::{self, Checked};
use crate::plan::load::{LoadPlan, Put, PutManifest};
use crate::plan::placing::Placed;
use crate::progress::{Event, ItemState, Observer, Silent};
use crate::registry::{self, Client};
use crate::store;

/// Why something was not loaded.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) why: String,
    pub(super) damaged: bool,
    pub(super) gone: bool,
    /// The registry's part in it.
    pub(super) cause: Option<Box<registry::Error>>,
}

impl Fault {
    /// Whether it would meet everything else as well: after every attempt there is nobody to be reached.
    fn is_of_all(&self) -> bool {
        matches!(
            self.cause.as_deref(),
            Some(registry::Error::Unreachable { .. } | registry::Error::NoAddress { .. })
        )
    }
}

/// What became of each thing that was to be put, by the name it was to have.
pub(super) type Outcomes = HashMap<Reference, Result<(), Fault>>;

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Self {
        if let store::Error::Registry(error) = error {
            return error.into();
        }
        use store::Error::{Damaged, Disagrees, Malformed, Missing, NoVolume, Truncated, WrongKey};
        let gone = matches!(error, store::Error::Gone { .. });
        // What may not be read, or cannot be any more, says nothing of the bytes.
        let damaged = matches!(
            error,
            Damaged { .. }
                | Truncated { .. }
                | store::Error::Wrong { .. }
                | NoVolume { .. }
                | WrongKey { .. }
                | Malformed { .. }
                | Missing { .. }
                | Disagrees { .. }
        );
        Self { why: error.to_string(), damaged, gone, cause: None }
    }
}

impl From<registry::Error> for Fault {
    fn from(error: registry::Error) -> Self {
        Self { why: error.to_string(), damaged: false, gone: false, cause: Some(Box::new(error)) }
    }
}

#[derive(Default)]
pub(super) struct Tally {
    pub(super) sent: AtomicU64,
    pub(super) mounted: AtomicU64,
    pub(super) present: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
}

impl Tally {
    pub(super) fn counts(&self) -> Counts {
        Counts {
            planned: 0,
            planned_bytes: 0,
            sent: self.sent.load(Ordering::Relaxed),
            mounted: self.mounted.load(Ordering::Relaxed),
            present: self.present.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
        }
    }
}

/// One load, under way.
pub(super) struct Loading<'a> {
    pub(super) client: &'a Client,
    pub(super) content: &'a Content<'a>,
    pub(super) notes: &'a Files,
    pub(super) observer: &'a dyn Observer,
    pub(super) tally: Tally,
    /// Held while a list of referrers is changed.
    pub(super) lists: Mutex<()>,
    pub(super) absent: Absent,
}

impl Loading<'_> {
    /// Puts everything of `plan`, blobs first.
    pub(super) fn run(&self, plan: &LoadPlan, parallel: usize) -> Outcomes {
        let stop = AtomicBool::new(false);
        let failed = Mutex::new(HashMap::<Digest, Fault>::new());
        let items = plan.blobs.len() as u64;
        self.observer.event(Event::Begin { verb: "load", bytes: plan.bytes(), items });
        // A registry that answers nobody any more is not asked for each of a thousand blobs, through every attempt of each.
        let down = OnceLock::<Fault>::new();
        transfer::in_parallel(plan.blobs.len(), parallel, &stop, &|item| {
            let (blob, repositories) = &plan.blobs[item];
            let Err(fault) = self.blob(blob, repositories) else { return };
            if fault.is_of_all() {
                stop.store(true, Ordering::Relaxed);
                let _ = down.set(fault.clone());
            }
            if let Ok(mut failed) = failed.lock() {
                failed.insert(blob.digest, fault);
            }
        });
        let stop = AtomicBool::new(false);
        let failed = failed.into_inner().unwrap_or_default();
        let outcomes = Mutex::new(HashMap::new());
        let done = AtomicUsize::new(0);
        transfer::in_parallel(plan.items.len(), parallel, &stop, &|item| {
            let put = &plan.items[item];
            let outcome = match down.get() {
                Some(fault) => Err(fault.clone()),
                None => self.item(put, &failed),
            };
            if let Some(fault) = outcome.as_ref().err().filter(|fault| fault.is_of_all()) {
                let _ = down.set(fault.clone());
            }
            let name = put.placed.to.to_string();
            let state = if outcome.is_ok() { ItemState::Done } else { ItemState::Failed };
            self.observer.event(Event::Item { name: &name, digest: Some(&put.placed.root), bytes: 0, state });
            done.fetch_add(1, Ordering::Relaxed);
            if let Ok(mut outcomes) = outcomes.lock() {
                outcomes.insert(put.placed.to.clone(), outcome);
            }
        });
        self.observer.event(Event::End);
        outcomes.into_inner().unwrap_or_default()
    }

    /// Puts a thing's manifests, children first, what refers to it, its name last; and asks the registry what it holds then.
    fn item(&self, put: &Put, failed: &HashMap<Digest, Fault>) -> Result<(), Fault> {
        let all = || put.manifests.iter().chain(put.referrers.iter().flatten());
        if let Some(fault) = all().flat_map(|manifest| &manifest.needs).find_map(|digest| failed.get(digest))
        {
            return Err(fault.clone());
        }
        let Put { placed, manifests, referrers } = put;
        let repository = placed.to.repository();
        let Some((root, children)) = manifests.split_last() else {
            let why = format!("{} has no manifest", placed.from);
            return Err(Fault { why, damaged: true, gone: false, cause: None });
        };
        for child in children {
            let pointer = Pointer::Digest(child.digest);
            self.manifest(repository, child, &pointer)?;
            // A registry whose disk was full takes a manifest that it cannot give any more.
            self.holds(&placed.to, &pointer, child.digest)?;
        }
        if !referrers.is_empty() {
            self.manifest(repository, root, &Pointer::Digest(root.digest))?;
        }
        for (referrer, manifests) in placed.referrers.iter().zip(referrers) {
            for manifest in manifests {
                let pointer = match manifest.digest == referrer.listed.digest {
                    true => referrer.pointer(),
                    false => Pointer::Digest(manifest.digest),
                };
                self.manifest(repository, manifest, &pointer)?;
                self.holds(&referrer.to, &pointer, manifest.digest)?;
            }
        }
        self.count_again(placed)?;
        self.manifest(repository, root, &placed.pointer())?;
        self.holds(&placed.to, &placed.pointer(), placed.root)
    }

    fn manifest(
        &self,
        repository: &Repository,
        manifest: &PutManifest,
        pointer: &Pointer,
    ) -> Result<(), Fault> {
        let digest = manifest.digest;
        let Some(size) = self.content.size(&digest) else {
            return Err(store::Error::Missing { place: "the bundle".into(), digest }.into());
        };
        let place = self.content.whereabouts(&digest);
        let checked = Checked::new(self.content, &place, &Silent);
        let bytes = transfer::read_whole(&checked, &Blob { digest, size })?.into();
        let put = self.client.push_manifest(repository, pointer, &manifest.media_type, &bytes)?;
        match manifest.subject {
            Some(subject) if !put.subject_handled => self.list(repository, manifest, &bytes, subject),
            _ => Ok(()),
        }
    }

    /// Enters a manifest into the list of what refers to `subject`, for a registry that does not do so itself (distribution-spec,
    /// §Pushing Manifests with Subject). What others have in that list stays.
    fn list(
        &self,
        repository: &Repository,
        manifest: &PutManifest,
        bytes: &[u8],
        subject: Digest,
    ) -> Result<(), Fault> {
        let malformed = |error: ManifestError| Fault {
            why: format!("the list of what refers to {subject} in {repository}: {error}"),
            damaged: false,
            gone: false,
            cause: None,
        };
        let blob = Blob { digest: manifest.digest, size: bytes.len() as u64 };
        let listed = referrer::describe(bytes, &manifest.media_type, blob).map_err(malformed)?;
        let tag = Pointer::Tag(referrer::fallback_tag(&subject));
        // Read, changed and put as one step: two images may be the same manifest.
        let _turn = self.lists.lock();
        let there = match self.client.manifest(repository, &tag) {
            Ok(raw) => raw.bytes,
            Err(registry::Error::NotFound { .. }) => bytes::Bytes::new(),
            Err(error) => return Err(error.into()),
        };
        if let Some(list) = referrer::with_entry(&there, &listed).map_err(malformed)? {
            self.client.push_manifest(repository, &tag, media::OCI_INDEX, &list.into())?;
        }
        Ok(())
    }

    /// As many as came must be there: the registry is asked what refers to each subject.
    fn count_again(&self, placed: &Placed) -> Result<(), Fault> {
        let missing = super::ask::unlisted(placed, self.client)?;
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let why = format!(
            "{} does not list all that refers to {} after it was put there; missing: {}",
            placed.to.repository(),
            placed.from,
            names.join(", ")
        );
        Err(Fault { why, damaged: false, gone: false, cause: None })
    }

    /// Whether the registry holds `wanted` where it was put.
    fn holds(&self, to: &Reference, pointer: &Pointer, wanted: Digest) -> Result<(), Fault> {
        let head = self.client.head_manifest(to.repository(), pointer)?;
        let got = head.and_then(|head| head.digest);
        if got == Some(wanted) {
            return Ok(());
        }
        let got = got.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
        let why = format!("the registry holds {got} under {to} after {wanted} was put there");
        Err(Fault { why, damaged: false, gone: false, cause: None })
    }
}
