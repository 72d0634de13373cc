//! Where the content of a build comes from, and what is read of it before anything is planned.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Error;
use crate::digest::Digest;
use crate::limits;
use crate::ops::lock::EntryFault;
use crate::ops::parallel::each;
use crate::release::lock::{Graph, Lock, Of};
use crate::release::{Origin, Release};
use crate::sources::{Images, Sources, configuration};

/// Configurations that were read, by digest; no more of them than [`limits::CONFIGS_KEPT`].
pub(super) type Configurations = HashMap<Digest, Vec<u8>>;

/// The source of each image, chart and model, by the numbers that graphs name.
pub(super) fn open(lock: &Lock, sources: &Sources<'_>) -> Result<Vec<Arc<dyn Images>>, Error> {
    let open = |graph: &Graph<'_>| {
        let what = || graph.of.to_string();
        let opened = match graph.of {
            Of::Referrer(..) => return None,
            Of::Image(image) => match image.from.as_deref().map(str::parse::<Origin>).transpose() {
                Ok(from) => sources.open(&image.reference, from.as_ref()).map(|opened| opened.images),
                Err(source) => return Some(Err(Error::From { image: what(), source })),
            },
            Of::Chart(chart) => sources.open_chart(chart),
            Of::Model(model) => sources.open_model(model),
        };
        Some(opened.map_err(|source| Error::Source { what: what(), source: Box::new(source) }))
    };
    lock.graphs().filter_map(|graph| open(&graph)).collect()
}

/// Fills in what images run on where `lock` leaves that to their configurations, of which all are read before a byte is written: a
/// platform stands in the index, in the texts and in what lies before the blobs, whose length every offset follows from. `release` is
/// what the lock is of, and its file.
pub(super) fn learn_platforms(
    lock: &mut Lock,
    release: (&Release, &Path),
    sources: &Sources<'_>,
) -> Result<Configurations, Error> {
    let (release, file) = release;
    let silent: Vec<_> = lock
        .images
        .iter()
        .zip(&release.images)
        .enumerate()
        .filter_map(|(number, (locked, image))| Some((number, image, locked.unread()?.blob())))
        .collect();
    let room = AtomicU64::new(limits::CONFIGS_KEPT);
    let read = each(&silent, limits::LOCK_PARALLEL, |(number, image, config)| {
        let opened = sources.open(&image.value.reference, image.value.from.as_ref());
        let read = opened.and_then(|opened| configuration(opened.images.as_ref(), config));
        let fault = |source| EntryFault::new(image.place, image.value.reference.to_string(), source);
        let (bytes, platform) = read.map_err(fault)?;
        let taken = room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes.len() as u64));
        Ok((*number, platform, taken.is_ok().then_some((config.digest, bytes))))
    });
    let shown = file.display().to_string();
    let (mut kept, mut faults) = (Configurations::new(), Vec::new());
    for one in read {
        let (number, platform, bytes) = match one {
            Ok(one) => one,
            Err(fault) => {
                faults.push(EntryFault::within(fault, &shown));
                continue;
            }
        };
        if let (Some(image), Some(platform)) = (lock.images.get_mut(number), platform) {
            image.runs_on(platform);
        }
        kept.extend(bytes);
    }
    if faults.is_empty() { Ok(kept) } else { Err(Error::Configurations(faults)) }
}
