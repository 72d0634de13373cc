//! What has happened so far: counts, rate, time left.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::progress::{Event, ItemState};

/// The rate is that of this stretch of the past.
const WINDOW: Duration = Duration::from_secs(15);
/// Samples are at least this far apart.
const STEP: Duration = Duration::from_millis(250);

/// Counts of one stretch of work.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// What is being done.
    pub(super) verb: String,
    /// Bytes it will handle; 0 when unknown.
    pub(super) total_bytes: u64,
    /// Items it will handle.
    pub(super) total_items: u64,
    /// Bytes that went through, never more than will.
    pub(super) bytes: u64,
    /// Items that are dealt with.
    pub(super) items: u64,
    /// Of those, the ones that were there already.
    pub(super) present: u64,
    /// Of those, the ones that failed.
    pub(super) failed: u64,
    began: Instant,
    samples: VecDeque<(Instant, u64)>,
}

impl Tally {
    /// Nothing yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            verb: String::new(),
            total_bytes: 0,
            total_items: 0,
            bytes: 0,
            items: 0,
            present: 0,
            failed: 0,
            began: now,
            samples: VecDeque::new(),
        }
    }

    /// Counts one event.
    pub(super) fn count(&mut self, event: &Event<'_>, now: Instant) {
        match event {
            Event::Begin { verb, bytes, items } => {
                *self = Self {
                    verb: (*verb).to_owned(),
                    total_bytes: *bytes,
                    total_items: *items,
                    ..Self::new(now)
                };
            }
            Event::Advance { bytes } => {
                self.bytes = self.bytes.saturating_add(*bytes);
                if self.samples.back().is_none_or(|(last, _)| now.duration_since(*last) >= STEP) {
                    self.samples.push_back((now, self.bytes));
                }
                // One sample from before the window stays, so that the whole window is measured.
                while self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
                    self.samples.pop_front();
                }
            }
            Event::Item { state, .. } => match state {
                ItemState::Started => {}
                ItemState::Done => self.items += 1,
                ItemState::Present | ItemState::Mounted => {
                    self.items += 1;
                    self.present += 1;
                }
                ItemState::Failed => {
                    self.items += 1;
                    self.failed += 1;
                }
            },
            Event::Retry { .. } | Event::Stalled { .. } | Event::Note { .. } | Event::End => {}
        }
    }

    /// Bytes a second of late; `None` while that cannot be told.
    pub(super) fn rate(&self, now: Instant) -> Option<u64> {
        // The first sample may hold what an earlier run did, so only what came after it counts.
        let (first, bytes) = self.samples.front()?;
        let millis = u64::try_from(now.duration_since(*first).as_millis()).ok().filter(|ms| *ms >= 500)?;
        Some((self.bytes - bytes).saturating_mul(1000) / millis)
    }

    /// Seconds left at that rate; `None` while that cannot be told.
    pub(super) fn left(&self, now: Instant) -> Option<u64> {
        let rate = self.rate(now).filter(|rate| *rate > 0)?;
        (self.total_bytes > 0).then(|| self.total_bytes.saturating_sub(self.bytes).div_ceil(rate))
    }

    /// How much is done, of 100; `None` when the whole is unknown.
    pub(super) fn percent(&self) -> Option<u64> {
        let (done, all) = if self.total_bytes > 0 {
            (self.bytes, self.total_bytes)
        } else {
            (self.items, self.total_items)
        };
        (all > 0).then(|| u64::try_from(u128::from(done.min(all)) * 100 / u128::from(all)).unwrap_or(100))
    }

    /// Seconds since it began.
    pub(super) fn seconds(&self, now: Instant) -> u64 {
        now.duration_since(self.began).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_late_and_leaves_out_what_an_earlier_run_did() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut tally = Tally::new(start);
        tally.count(&Event::Begin { verb: "build", bytes: 10_000, items: 1 }, start);
        tally.count(&Event::Advance { bytes: 9_000 }, start);
        assert_eq!((tally.rate(start), tally.percent()), (None, Some(90)));
        for second in 1..=4 {
            tally.count(&Event::Advance { bytes: 100 }, at(second));
        }
        assert_eq!((tally.rate(at(4)), tally.left(at(4))), (Some(100), Some(6)));
        for second in 5..=40 {
            tally.count(&Event::Advance { bytes: 10 }, at(second));
        }
        assert_eq!(tally.rate(at(40)), Some(10));
        assert!(tally.samples.len() < 20);
    }

    #[test]
    fn without_bytes_items_count() {
        let now = Instant::now();
        let mut tally = Tally::new(now);
        assert_eq!(tally.percent(), None);
        tally.count(&Event::Begin { verb: "lock", bytes: 0, items: 4 }, now);
        let item = |state| Event::Item { name: "x", digest: None, bytes: 0, state };
        tally.count(&item(ItemState::Started), now);
        tally.count(&item(ItemState::Present), now);
        assert_eq!((tally.percent(), tally.items, tally.present), (Some(25), 1, 1));
    }
}
