//! Progress on a terminal: a line for each thing under way, and below them the whole with bytes, rate and time left.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Tally, duration, retry};
use crate::checked::ByteSize;
use crate::cli::ui::{Paint, Voice, clean, tell_stderr};
use crate::progress::{Event, ItemState, Observer};

/// Lines for things under way; more of them would not be read.
const ITEMS: usize = 8;
/// The time between two drawings of the whole.
const PAUSE: Duration = Duration::from_millis(100);

/// Draws bars.
pub(in crate::cli) struct Bars {
    all: MultiProgress,
    paint: Paint,
    voice: Voice,
    state: Mutex<State>,
}

struct State {
    tally: Tally,
    total: Option<ProgressBar>,
    items: HashMap<String, ProgressBar>,
    drawn: Instant,
}

impl Bars {
    /// On `all`, which the writer of other lines knows too.
    pub(in crate::cli) fn new(all: MultiProgress, paint: Paint, voice: Voice) -> Self {
        let now = Instant::now();
        let state = State { tally: Tally::new(now), total: None, items: HashMap::new(), drawn: now };
        Self { all, paint, voice, state: Mutex::new(state) }
    }

    fn tell(&self, line: &str) {
        self.all.suspend(|| tell_stderr(&format!("{}\n", clean(line))));
    }

    fn begin(&self, state: &mut State) {
        let (verb, bytes) = (&state.tally.verb, state.tally.total_bytes);
        let length = if bytes > 0 { bytes } else { state.tally.total_items };
        let bar = self.all.add(ProgressBar::new(length));
        bar.set_style(style("{prefix} {wide_bar} {percent:>3} % {msg}"));
        bar.set_prefix(self.paint.bold(verb));
        bar.enable_steady_tick(Duration::from_millis(500));
        state.total = Some(bar);
    }

    fn item(&self, state: &mut State, (name, bytes): (&str, u64), became: ItemState) {
        if became == ItemState::Started {
            if state.items.len() < ITEMS && !state.items.contains_key(name) {
                let bar = match &state.total {
                    Some(total) => self.all.insert_before(total, ProgressBar::new_spinner()),
                    None => self.all.add(ProgressBar::new_spinner()),
                };
                bar.set_style(style("  {spinner} {wide_msg} {elapsed:>4}"));
                let size = if bytes > 0 { format!("  {}", ByteSize(bytes)) } else { String::new() };
                bar.set_message(format!("{}{size}", clean(name)));
                bar.enable_steady_tick(Duration::from_millis(200));
                state.items.insert(name.to_owned(), bar);
            }
            return;
        }
        if let Some(bar) = state.items.remove(name) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        match became {
            ItemState::Failed => self.tell(&format!("{name}: failed")),
            _ if self.voice < Voice::Verbose => {}
            ItemState::Done => self.tell(&format!("{name}: done")),
            ItemState::Present => self.tell(&format!("{name}: there already")),
            ItemState::Mounted => self.tell(&format!("{name}: taken over")),
            ItemState::Started => {}
        }
    }

    fn draw(state: &mut State, now: Instant) {
        state.drawn = now;
        let (Some(bar), tally) = (&state.total, &state.tally) else { return };
        let mut text = if tally.total_bytes > 0 {
            bar.set_position(tally.bytes.min(tally.total_bytes));
            format!("{} of {}", ByteSize(tally.bytes), ByteSize(tally.total_bytes))
        } else {
            bar.set_position(tally.items);
            format!("{} of {}", tally.items, tally.total_items)
        };
        if let Some(rate) = tally.rate(now) {
            text.push_str(&format!("  {}/s", ByteSize(rate)));
        }
        if let Some(left) = tally.left(now) {
            text.push_str(&format!("  {} left", duration(left)));
        }
        bar.set_message(text);
    }
}

impl Observer for Bars {
    fn event(&self, event: Event<'_>) {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tally.count(&event, now);
        match event {
            Event::Begin { .. } => {
                self.begin(&mut state);
                Self::draw(&mut state, now);
            }
            Event::Advance { .. } => {
                if now.duration_since(state.drawn) >= PAUSE {
                    Self::draw(&mut state, now);
                }
            }
            Event::Item { name, bytes, state: became, .. } => {
                self.item(&mut state, (name, bytes), became);
                Self::draw(&mut state, now);
            }
            Event::Retry { what, why, attempt, wait_ms } => self.tell(&retry(what, why, attempt, wait_ms)),
            Event::Stalled { what, seconds } => {
                self.tell(&format!("{what}: nothing has moved for {}", duration(seconds)));
            }
            Event::Note { text } => self.tell(text),
            Event::End => {
                let total = state.total.take();
                for bar in state.items.drain().map(|(_, bar)| bar).chain(total) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
            }
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // Work that failed has not said End.
        let _ = self.all.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸ ").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}
