//! What there is before anything is sent.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::Error;
use crate::digest::Digest;
use crate::oci::{Pointer, Repository};
use crate::ops::transfer;
use crate::plan::placing::Placed;
use crate::registry::{self, Client};

/// For each thing, whether the registry holds it under its name with the very digest, and all that refers to it.
///
/// A registry that fails when it is asked (5xx) leaves the thing unknown, and it is sent as if it were not there: a tag that its disk lost
/// answers so for ever, and putting it again is what mends it. What the registry says after the push decides.
pub(super) fn ask(placed: &[Placed], parallel: usize, client: &Client) -> Result<Vec<bool>, Error> {
    let answers: Vec<Mutex<Option<Result<bool, registry::Error>>>> =
        placed.iter().map(|_| Mutex::new(None)).collect();
    transfer::in_parallel(placed.len(), parallel.max(4), &AtomicBool::new(false), &|item| {
        let answer = match is_there(&placed[item], client) {
            Err(registry::Error::Refused { status: 500.., .. }) => Ok(false),
            answer => answer,
        };
        if let Ok(mut slot) = answers[item].lock() {
            *slot = Some(answer);
        }
    });
    answers
        .into_iter()
        .map(|slot| match slot.into_inner() {
            Ok(Some(answer)) => Ok(answer?),
            _ => Ok(false),
        })
        .collect()
}

fn is_there(placed: &Placed, client: &Client) -> Result<bool, registry::Error> {
    let repository = placed.to.repository();
    if !holds(repository, &placed.pointer(), placed.root, client)? {
        return Ok(false);
    }
    for referrer in &placed.referrers {
        if !holds(repository, &referrer.pointer(), referrer.listed.digest, client)? {
            return Ok(false);
        }
    }
    Ok(unlisted(placed, client)?.is_empty())
}

/// What refers to `placed` by its subject, and is not in the registry's list of that; one question for each subject.
pub(super) fn unlisted(placed: &Placed, client: &Client) -> Result<Vec<Digest>, registry::Error> {
    let mut wanted = BTreeMap::<Digest, Vec<Digest>>::new();
    for referrer in placed.referrers.iter().filter(|referrer| referrer.listed.tag.is_none()) {
        wanted.entry(referrer.listed.subject).or_default().push(referrer.listed.digest);
    }
    let mut missing = Vec::new();
    for (subject, digests) in wanted {
        let listed: HashSet<Digest> =
            client.referrers(placed.to.repository(), &subject)?.iter().map(|listed| listed.digest).collect();
        missing.extend(digests.into_iter().filter(|digest| !listed.contains(digest)));
    }
    Ok(missing)
}

fn holds(
    repository: &Repository,
    pointer: &Pointer,
    wanted: Digest,
    client: &Client,
) -> Result<bool, registry::Error> {
    Ok(client.glance_manifest(repository, pointer)?.is_some_and(|head| head.digest == Some(wanted)))
}
