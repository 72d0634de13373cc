//! Ctrl-C, `kill` and a terminal that goes away: say what state things are in, and go.
//!
//! Everything the program writes appears whole or goes on later, so ending at once is right at any moment. A second signal ends it
//! without a word, should the first one's words not come out. A server is asked to end by itself: the first signal is how it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::exit::Exit;
use super::failure::Failure;
use super::secrets;
use super::ui::Ui;
use crate::limits;
use crate::registry::server::Stop;
use crate::sys::fs;

/// How a verb is asked to end by itself.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    /// A server: ending is what it waits for.
    Server(Stop),
    /// Work on a cluster, once it has begun.
    Work(Work),
}

/// Work that must not just be dropped: a program of others is in the middle of something, and says where it left it.
#[derive(Debug, Clone, Default)]
pub(super) struct Work(Arc<(AtomicBool, AtomicBool)>);

impl Work {
    /// From now on it is asked to end, and not just ended.
    pub(super) fn begin(&self) {
        self.0.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.0.0.load(Ordering::Relaxed)
    }

    /// Becomes true when it is to end.
    pub(super) fn stop(&self) -> &AtomicBool {
        &self.0.1
    }
}

/// Watches for signals; when one comes, `stop` is asked, or else `state` is told and the program ends.
pub(super) fn watch(ui: &Arc<Ui>, state: String, stop: Option<Ending>) {
    let armed = Arc::new(AtomicBool::new(false));
    let code = i32::from(Exit::Interrupted.number());
    // Under `nohup` the program was started to outlive its terminal; a handler would undo that.
    let signals: &[i32] = if hangup_ignored() { &[SIGINT, SIGTERM] } else { &[SIGHUP, SIGINT, SIGTERM] };
    for &signal in signals {
        // Order matters: the first signal arms, the next one finds it armed. Without handlers the signals end the program by themselves.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&armed));
        let _ = signal_hook::flag::register(signal, Arc::clone(&armed));
    }
    let Ok(mut signals) = Signals::new(signals) else { return };
    let ui = Arc::clone(ui);
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            match stop {
                Some(Ending::Server(stop)) => {
                    ui.say("stopping: requests under way may end; a second signal cuts them");
                    stop.ask();
                    return;
                }
                Some(Ending::Work(work)) if work.has_begun() => {
                    ui.warn("stopping: what is under way is ended in order, and then said; a second signal ends at once");
                    work.stop().store(true, Ordering::Relaxed);
                    return;
                }
                _ => {}
            }
            secrets::restore_terminal();
            ui.fail(&Failure::interrupted(state));
            leave(code);
        }
    });
}

/// Whether whoever started the program had it ignore SIGHUP, as Linux tells; elsewhere it is taken as not.
fn hangup_ignored() -> bool {
    fs::read_limited(std::path::Path::new("/proc/self/status"), limits::HAND_WRITTEN_BYTES)
        .is_ok_and(|status| ignores_hangup(&String::from_utf8_lossy(&status)))
}

/// proc(5), `SigIgn`: a mask in hexadecimal, the lowest bit for signal 1, which is SIGHUP.
fn ignores_hangup(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[allow(clippy::exit, reason = "the one place that ends the program from beside the work")]
fn leave(code: i32) {
    std::process::exit(code)
}

#[cfg(test)]
mod tests {
    use super::ignores_hangup;

    #[test]
    fn only_the_lowest_bit_of_the_ignored_signals_is_nohup() {
        for (status, ignored) in [
            ("Name:\tbundle\nSigIgn:\t0000000000001001\n", true),
            ("SigIgn:\t0000000000001000\n", false),
            ("SigCgt:\t0000000000000001\n", false),
            ("", false),
        ] {
            assert_eq!(ignores_hangup(status), ignored, "{status:?}");
        }
    }
}
