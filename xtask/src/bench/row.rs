//! One line of the report: a command's best time, beside what the machine could do just then.

use super::machine::{self, Rates};
use super::measure::Run;
use super::medium;
use crate::say;

/// Peak memory that is promised, in bytes.
const MEMORY: u64 = 128 << 20;
/// Times each command of ours is run.
pub(super) const ROUNDS: usize = 3;

/// Bytes per second that processors of these rates allow.
type Formula = fn(Rates) -> f64;
/// A measure that is taken again and again.
type Measure<'a, T> = &'a dyn Fn() -> Result<T, String>;

/// One measured line.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) run: Run,
    /// Bytes of payload handled.
    pub(super) bytes: u64,
    /// The share of the limit that is wanted, and the processors' limit.
    pub(super) wanted: Option<(f64, Formula)>,
    /// All cores together, and one alone: the best seen around the runs.
    pub(super) all: Rates,
    pub(super) one: Rates,
    /// Bytes per second of the medium, where it may be the limit.
    pub(super) medium: Option<f64>,
    /// Seconds of the bare loop.
    pub(super) bare: Option<f64>,
    /// Bytes that may be written.
    pub(super) may_write: Option<u64>,
    /// Whether the promise on memory is about this row.
    pub(super) ours: bool,
}

/// What is measured in turn with a command.
pub(super) struct Beside<'a> {
    pub(super) run: Measure<'a, Run>,
    pub(super) medium: Option<Measure<'a, f64>>,
    pub(super) bare: Measure<'a, f64>,
}

impl Row {
    /// A line with a limit, not measured yet.
    pub(super) fn of(name: &str, bytes: u64, wanted: (f64, Formula)) -> Self {
        Self { wanted: Some(wanted), ours: true, ..Self::once(name, bytes, Run::default()) }
    }

    /// A command of ours that was run once, and has no limit.
    pub(super) fn once(name: &str, bytes: u64, run: Run) -> Self {
        let name = name.to_owned();
        Self {
            name,
            run,
            bytes,
            wanted: None,
            all: Rates::default(),
            one: Rates::default(),
            medium: None,
            bare: None,
            may_write: None,
            ours: true,
        }
    }

    /// Runs the command [`ROUNDS`] times and keeps the fastest; peaks of memory and of bytes written are the highest of all. Of the machine's
    /// measures around and between, the best counts: that makes the limit as high as it was seen to be.
    pub(super) fn measure(&mut self, beside: &Beside<'_>) -> Result<(), String> {
        let cores = machine::cores();
        self.run.seconds = f64::INFINITY;
        self.one = machine::measure(1);
        for _ in 0..ROUNDS {
            medium::settle();
            if let Some(medium) = beside.medium {
                self.medium = Some(self.medium.unwrap_or(0.0).max(medium()?));
            }
            self.all = self.all.or(machine::measure(cores));
            let run = (beside.run)()?;
            self.all = self.all.or(machine::measure(cores));
            self.run.seconds = self.run.seconds.min(run.seconds);
            self.run.memory = self.run.memory.max(run.memory);
            self.run.written = self.run.written.max(run.written);
            let bare = (beside.bare)()?;
            self.bare = Some(self.bare.unwrap_or(f64::INFINITY).min(bare));
            self.all = self.all.or(machine::measure(cores));
            say::line(&format!("  {}: {:.2} s; bare loop {bare:.2} s", self.name, run.seconds));
        }
        self.one = self.one.or(machine::measure(1));
        Ok(())
    }

    pub(super) fn rate(&self) -> f64 {
        self.bytes as f64 / self.run.seconds
    }

    /// Bytes per second that the machine allows: its processors by what all cores did together, or the medium.
    pub(super) fn limit(&self) -> Option<f64> {
        self.wanted.map(|(_, of)| of(self.all).min(self.medium.unwrap_or(f64::INFINITY)))
    }

    /// The same if every core did at once what one does alone.
    pub(super) fn limit_by_one(&self) -> Option<f64> {
        self.wanted
            .map(|(_, of)| of(self.one.times(machine::cores())).min(self.medium.unwrap_or(f64::INFINITY)))
    }

    pub(super) fn holds(&self) -> bool {
        self.limit().zip(self.wanted).is_none_or(|(limit, (wanted, _))| self.rate() >= wanted * limit)
            && (!self.ours || self.run.memory <= MEMORY)
            && self.may_write.is_none_or(|most| self.run.written <= most)
    }
}
