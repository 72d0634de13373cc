//! One blob on its way into every repository that needs it: asked after, sent at most once, mounted into the others where the registry can.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::put::{Fault, Loading};
use crate::digest::Blob;
use crate::oci::Repository;
use crate::ops::transfer::{self, Checked};
use crate::progress::{Event, ItemState};
use crate::registry::{BlobPush, NoNotes, Pushed, PushedSmall, UploadNotes};

/// Bytes from which an upload is noted for another process: a smaller one is begun again, which costs less than keeping notes.
const NOTED: u64 = 1 << 20;
/// Bytes up to which a blob is sent whole from memory, and may be sent without asking whether it is there: that would cost as much.
const SMALL: u64 = 64 << 10;
/// Blobs that were asked after in a row and not there, before small ones are no longer asked after.
const STREAK: u32 = 32;

/// For each repository, how many blobs in a row were not there.
///
/// A load works in payload order, so what a killed one left comes first, and a repository that had nothing of so many blobs has nothing of
/// the rest. Where that is wrong, a small blob is sent that need not have been: never more.
#[derive(Debug, Default)]
pub(super) struct Absent(Mutex<HashMap<Repository, u32>>);

impl Absent {
    fn saw(&self, repository: &Repository, there: bool) {
        let mut streaks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let streak = match streaks.get_mut(repository) {
            Some(streak) => streak,
            None => streaks.entry(repository.clone()).or_default(),
        };
        *streak = if there { 0 } else { streak.saturating_add(1) };
    }

    /// Whether a blob of `size` bytes is to be asked after.
    fn ask(&self, repository: &Repository, size: u64) -> bool {
        let streaks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        size > SMALL || streaks.get(repository).is_none_or(|streak| *streak < STREAK)
    }
}

impl Loading<'_> {
    /// Puts one blob into every repository that needs it.
    pub(super) fn blob(&self, blob: &Blob, repositories: &[Repository]) -> Result<(), Fault> {
        let name = blob.digest.short();
        let say = |state| {
            self.observer.event(Event::Item {
                name: &name,
                digest: Some(&blob.digest),
                bytes: blob.size,
                state,
            });
        };
        let outcome = self.put_blob(blob, repositories, &say);
        if outcome.is_err() {
            say(ItemState::Failed);
        }
        outcome.map(say)
    }

    fn put_blob(
        &self,
        blob: &Blob,
        repositories: &[Repository],
        say: &dyn Fn(ItemState),
    ) -> Result<ItemState, Fault> {
        let notes: &dyn UploadNotes = if blob.size < NOTED { &NoNotes } else { self.notes };
        let mut holders = Vec::new();
        let mut lacking = Vec::new();
        for repository in repositories {
            if !self.absent.ask(repository, blob.size) {
                lacking.push(repository);
                continue;
            }
            let there = self.client.head_blob(repository, &blob.digest)? == Some(blob.size);
            self.absent.saw(repository, there);
            if there {
                // A load killed between the registry's last answer and its own next step left the note.
                notes.forget(repository, &blob.digest);
                holders.push(repository.clone());
            } else {
                lacking.push(repository);
            }
        }
        self.tally.present.fetch_add(holders.len() as u64, Ordering::Relaxed);
        if lacking.is_empty() {
            self.observer.event(Event::Advance { bytes: blob.size });
            return Ok(ItemState::Present);
        }
        say(ItemState::Started);
        holders.extend(self.content.elsewhere(&blob.digest).iter().cloned());
        let place = self.content.whereabouts(&blob.digest);
        let checked = Checked::new(self.content, &place, self.observer).beside_others();
        let mut moved = false;
        for repository in lacking {
            let push = BlobPush { repository, blob: *blob, from: &checked, mount_from: &holders, notes };
            match self.push(&push, &checked)? {
                Pushed::Mounted => {
                    self.tally.mounted.fetch_add(1, Ordering::Relaxed);
                }
                Pushed::Sent { bytes, .. } => {
                    moved = true;
                    self.tally.sent.fetch_add(1, Ordering::Relaxed);
                    self.tally.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
                }
            }
            holders.push(repository.clone());
        }
        if !moved {
            self.observer.event(Event::Advance { bytes: blob.size });
        }
        Ok(if moved { ItemState::Done } else { ItemState::Mounted })
    }

    /// A small blob that nobody can be asked to mount goes whole; every other one, and what the registry does not take so, as a stream.
    fn push(&self, push: &BlobPush<'_>, checked: &Checked<'_>) -> Result<Pushed, Fault> {
        if push.blob.size <= SMALL && push.mount_from.is_empty() {
            let bytes = Bytes::from(transfer::read_whole(checked, &push.blob)?);
            let sent = self.client.push_small(push.repository, &push.blob.digest, &bytes)?;
            if sent == PushedSmall::Sent {
                return Ok(Pushed::Sent { bytes: push.blob.size, resumed_at: 0 });
            }
        }
        Ok(self.client.push_blob(push)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn small_blobs_are_asked_after_until_a_repository_had_none_of_many() {
        let [one, two] = ["one", "two"].map(|path| Repository::new("host.example", path).unwrap());
        let absent = Absent::default();
        for _ in 1..STREAK {
            absent.saw(&one, false);
            assert!(absent.ask(&one, 1));
        }
        absent.saw(&one, true);
        for _ in 0..STREAK {
            assert!(absent.ask(&one, SMALL), "one that is there begins the count again");
            absent.saw(&one, false);
        }
        assert!(!absent.ask(&one, SMALL));
        assert!(absent.ask(&one, SMALL + 1), "large ones are always asked after");
        assert!(absent.ask(&two, 1), "repositories do not speak for each other");
    }
}
