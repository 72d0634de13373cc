//! Progress for programs: one JSON object a line on stderr.
//!
//! `event` says which: `begin`, `progress` (at most two a second), `item`, `retry`, `stalled`, `note`, `end`; the rest of the talk comes
//! as `warning`, `refused`, `hint` and `error`. Sizes are bytes, times are seconds unless the field's name says otherwise.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Tally;
use crate::cli::ui::Ui;
use crate::progress::{Event, ItemState, Observer};

/// The time between two `progress` events.
const PAUSE: Duration = Duration::from_millis(500);

/// Writes events.
pub(in crate::cli) struct Lines {
    ui: Arc<Ui>,
    state: Mutex<(Tally, Option<Instant>)>,
}

impl Lines {
    /// To the stderr of `ui`.
    pub(in crate::cli) fn new(ui: Arc<Ui>) -> Self {
        Self { ui, state: Mutex::new((Tally::new(Instant::now()), None)) }
    }
}

impl Observer for Lines {
    fn event(&self, event: Event<'_>) {
        let now = Instant::now();
        // Written under the lock, so that counts never go backwards from line to line.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (tally, told) = &mut *state;
        tally.count(&event, now);
        if let Event::Advance { .. } = event {
            if told.is_some_and(|last| now.duration_since(last) < PAUSE) {
                return;
            }
            *told = Some(now);
        }
        self.ui.event(&value(&event, tally, now));
    }
}

fn value(event: &Event<'_>, tally: &Tally, now: Instant) -> Value {
    match event {
        Event::Begin { verb, bytes, items } => {
            json!({"event": "begin", "verb": verb, "total_bytes": bytes, "total_items": items})
        }
        Event::Advance { .. } => json!({
            "event": "progress", "verb": tally.verb, "bytes": tally.bytes, "total_bytes": tally.total_bytes,
            "items": tally.items, "total_items": tally.total_items,
            "bytes_per_second": tally.rate(now), "seconds_left": tally.left(now),
        }),
        Event::Item { name, digest, bytes, state } => {
            let state = match state {
                ItemState::Started => "started",
                ItemState::Done => "done",
                ItemState::Present => "present",
                ItemState::Mounted => "mounted",
                ItemState::Failed => "failed",
            };
            json!({"event": "item", "name": name, "digest": digest, "bytes": bytes, "state": state})
        }
        Event::Retry { what, why, attempt, wait_ms } => {
            json!({"event": "retry", "what": what, "why": why, "attempt": attempt, "wait_ms": wait_ms})
        }
        Event::Stalled { what, seconds } => json!({"event": "stalled", "what": what, "seconds": seconds}),
        Event::Note { text } => json!({"event": "note", "text": text}),
        Event::End => json!({
            "event": "end", "verb": tally.verb, "bytes": tally.bytes, "items": tally.items,
            "present": tally.present, "failed": tally.failed, "seconds": tally.seconds(now),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_says_what_it_is() {
        let now = Instant::now();
        let mut tally = Tally::new(now);
        for (event, name) in [
            (Event::Begin { verb: "load", bytes: 9, items: 1 }, "begin"),
            (Event::Advance { bytes: 9 }, "progress"),
            (Event::Item { name: "a", digest: None, bytes: 9, state: ItemState::Done }, "item"),
            (Event::Retry { what: "a", why: "b", attempt: 2, wait_ms: 0 }, "retry"),
            (Event::Stalled { what: "a", seconds: 9 }, "stalled"),
            (Event::Note { text: "a" }, "note"),
            (Event::End, "end"),
        ] {
            tally.count(&event, now);
            assert_eq!(value(&event, &tally, now)["event"], name);
        }
        assert_eq!(value(&Event::End, &tally, now)["bytes"], 9);
    }
}
