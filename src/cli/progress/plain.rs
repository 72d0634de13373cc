//! Progress as lines: for logs. A line every few seconds while bytes move, and one for everything worth remembering.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Tally, duration, retry};
use crate::checked::ByteSize;
use crate::cli::ui::{Ui, Voice};
use crate::progress::{Event, ItemState, Observer};

/// The time between two lines about the same work.
const PAUSE: Duration = Duration::from_secs(5);

/// Writes lines.
pub(in crate::cli) struct Plain {
    ui: Arc<Ui>,
    state: Mutex<(Tally, Instant)>,
}

impl Plain {
    /// To the stderr of `ui`.
    pub(in crate::cli) fn new(ui: Arc<Ui>) -> Self {
        let now = Instant::now();
        Self { ui, state: Mutex::new((Tally::new(now), now)) }
    }
}

impl Observer for Plain {
    fn event(&self, event: Event<'_>) {
        let now = Instant::now();
        let line = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let (tally, told) = &mut *state;
            tally.count(&event, now);
            let line = line(&event, tally, self.ui.voice());
            match (line, event) {
                (Some(line), _) => Some(line),
                (None, Event::Advance { .. } | Event::Item { .. }) if now.duration_since(*told) >= PAUSE => {
                    *told = now;
                    Some(so_far(tally, now))
                }
                (None, Event::End) if tally.seconds(now) > 0 => Some(whole(tally, now)),
                (None, Event::Begin { .. }) => {
                    *told = now;
                    None
                }
                (None, _) => None,
            }
        };
        if let Some(line) = line {
            self.ui.say(&line);
        }
    }
}

/// What is worth a line at once.
fn line(event: &Event<'_>, tally: &Tally, voice: Voice) -> Option<String> {
    let verb = &tally.verb;
    match event {
        Event::Item { name, bytes, state, .. } => {
            let became = match state {
                ItemState::Failed => "failed",
                ItemState::Started => return None,
                _ if voice < Voice::Verbose => return None,
                ItemState::Done => "done",
                ItemState::Present => "there already",
                ItemState::Mounted => "taken over",
            };
            let size = if *bytes > 0 { format!(" ({})", ByteSize(*bytes)) } else { String::new() };
            Some(format!("{verb}: {name}{size}: {became}"))
        }
        Event::Retry { what, why, attempt, wait_ms } => Some(retry(what, why, *attempt, *wait_ms)),
        Event::Stalled { what, seconds } => {
            Some(format!("{what}: nothing has moved for {}", duration(*seconds)))
        }
        Event::Note { text } => Some((*text).to_owned()),
        Event::Begin { .. } | Event::Advance { .. } | Event::End => None,
    }
}

fn so_far(tally: &Tally, now: Instant) -> String {
    let mut line = format!("{}:", tally.verb);
    if let Some(percent) = tally.percent() {
        line.push_str(&format!(" {percent} %,"));
    }
    if tally.total_bytes > 0 {
        line.push_str(&format!(" {} of {}", ByteSize(tally.bytes), ByteSize(tally.total_bytes)));
    } else {
        line.push_str(&format!(" {} of {}", tally.items, tally.total_items));
    }
    if let Some(rate) = tally.rate(now) {
        line.push_str(&format!(", {}/s", ByteSize(rate)));
    }
    if let Some(left) = tally.left(now) {
        line.push_str(&format!(", {} left", duration(left)));
    }
    line
}

fn whole(tally: &Tally, now: Instant) -> String {
    let amount =
        if tally.bytes > 0 { ByteSize(tally.bytes).to_string() } else { format!("{} items", tally.items) };
    format!("{}: {amount} in {}", tally.verb, duration(tally.seconds(now)))
}
