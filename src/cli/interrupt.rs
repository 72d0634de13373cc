//! Ctrl-C and `kill`: say what state things are in, and go.
//!
//! Everything the program writes appears whole or goes on later, so ending at once is right at any moment. A second signal ends it
//! without a word, should the first one's words not come out. A server is asked to end by itself: the first signal is how it ends.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::exit::Exit;
use super::failure::Failure;
use super::secrets;
use super::ui::Ui;
use crate::registry::server::Stop;

/// Watches for signals; when one comes, `stop` is asked, or else `state` is told and the program ends.
pub(super) fn watch(ui: &Arc<Ui>, state: String, stop: Option<Stop>) {
    let armed = Arc::new(AtomicBool::new(false));
    let code = i32::from(Exit::Interrupted.number());
    for signal in [SIGINT, SIGTERM] {
        // Order matters: the first signal arms, the next one finds it armed. Without handlers the signals end the program by themselves.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&armed));
        let _ = signal_hook::flag::register(signal, Arc::clone(&armed));
    }
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    let ui = Arc::clone(ui);
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            if let Some(stop) = stop {
                ui.say("stopping: requests under way may end; a second signal cuts them");
                stop.ask();
                return;
            }
            secrets::restore_terminal();
            ui.fail(&Failure::interrupted(state));
            leave(code);
        }
    });
}

#[allow(clippy::exit, reason = "the one place that ends the program from beside the work")]
fn leave(code: i32) {
    std::process::exit(code)
}
