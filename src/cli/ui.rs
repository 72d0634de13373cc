//! The one writer of stdout and stderr.
//!
//! stdout is the answer: a page for people or, with `--json`, one document. stderr is the talk: remarks, progress, failures. Whoever
//! stops reading (`| head`) is left alone; any other fault of stdout is a failure of the command.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::MultiProgress;
use serde::Serialize;

mod page;
mod paint;

pub(super) use page::Page;
pub(super) use paint::Paint;

use super::exit::Exit;
use super::failure::Failure;
use super::global::{Global, Progress};
use super::progress::{Bars, Lines, Plain};
use crate::progress::{Observer, Silent};
use crate::text::{REPLACEMENT, is_printable};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Voice {
    /// Only what went wrong.
    Quiet,
    /// What a person wants to know.
    Normal,
    /// Every item.
    Verbose,
}

/// Tells people, and programs, what happens.
pub(super) struct Ui {
    json: bool,
    voice: Voice,
    out: Paint,
    err: Paint,
    progress: Progress,
    bars: MultiProgress,
    lost: AtomicBool,
}

impl Ui {
    /// As the options say, and the terminal allows.
    pub(super) fn new(global: &Global) -> Self {
        let terminal = io::stderr().is_terminal();
        let voice = match (global.quiet, global.verbose) {
            (true, _) => Voice::Quiet,
            (_, true) => Voice::Verbose,
            _ => Voice::Normal,
        };
        let progress = match global.progress {
            Progress::Auto if voice == Voice::Quiet => Progress::None,
            Progress::Auto if !terminal || std::env::var_os("TERM").is_some_and(|term| term == "dumb") => {
                Progress::Plain
            }
            other => other,
        };
        Self {
            json: global.json,
            voice,
            out: Paint::new(global.color.wanted(io::stdout().is_terminal())),
            err: Paint::new(global.color.wanted(terminal)),
            progress,
            bars: MultiProgress::new(),
            lost: AtomicBool::new(false),
        }
    }

    /// How much is said.
    pub(super) fn voice(&self) -> Voice {
        self.voice
    }

    /// Whether programs read along, on stdout or on stderr.
    pub(super) fn for_programs(&self) -> bool {
        self.json || self.progress == Progress::Json
    }

    /// Whether someone sits there who can be asked.
    pub(super) fn can_ask() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Whoever watches long work, in the way that was asked for.
    pub(super) fn observer(self: &Arc<Self>) -> Arc<dyn Observer> {
        match self.progress {
            Progress::None => Arc::new(Silent),
            Progress::Auto => Arc::new(Bars::new(self.bars.clone(), self.err, self.voice)),
            Progress::Plain => Arc::new(Plain::new(Arc::clone(self))),
            Progress::Json => Arc::new(Lines::new(Arc::clone(self))),
        }
    }

    /// The answer: `report` itself with `--json`, else the page that `draw` makes of it.
    pub(super) fn answer<R: Serialize>(&self, report: &R, draw: impl FnOnce(&mut Page)) {
        if self.json {
            self.out(&document(report));
        } else if self.voice > Voice::Quiet {
            let mut page = Page::new(self.out);
            draw(&mut page);
            self.out(page.text());
        }
    }

    /// An answer that is a text of its own, whatever the options: a man page, a script of completions.
    pub(super) fn text(&self, text: &str) {
        self.out(text);
    }

    /// A remark, on stderr.
    pub(super) fn say(&self, line: &str) {
        if self.voice > Voice::Quiet {
            self.talk("note", "", line);
        }
    }

    /// Lines of talk that are laid out already, on stderr.
    pub(super) fn aside(&self, text: &str) {
        if self.voice > Voice::Quiet && self.progress != Progress::Json {
            self.err(text);
        }
    }

    /// The colours of stderr.
    pub(super) fn paint(&self) -> Paint {
        self.err
    }

    /// Something a person should look at, on stderr.
    pub(super) fn warn(&self, line: &str) {
        self.talk("warning", &self.err.yellow("warning: "), line);
    }

    /// A question, on stderr; the answer comes in the same line on a `terminal`.
    pub(super) fn prompt(&self, line: &str, terminal: bool) {
        match terminal && self.progress != Progress::Json {
            true => self.err(&format!("{} ", indent(&clean(line)))),
            false => self.talk("question", "", line),
        }
    }

    /// What refuses the work, on stderr.
    pub(super) fn refuse(&self, line: &str) {
        self.talk("refused", &self.err.red("refused: "), line);
    }

    /// What to do next, on stderr.
    pub(super) fn hint(&self, line: &str) {
        self.talk("hint", &self.err.bold("hint: "), line);
    }

    /// One line of talk: for people, or an event when programs read along.
    fn talk(&self, event: &str, label: &str, line: &str) {
        if self.progress == Progress::Json {
            self.event(&serde_json::json!({"event": event, "text": line}));
        } else {
            self.err(&format!("{label}{}\n", indent(&clean(line))));
        }
    }

    /// A line for programs, on stderr.
    pub(super) fn event(&self, event: &serde_json::Value) {
        self.err(&format!("{event}\n"));
    }

    /// What went wrong: on stderr for people, and on stdout for programs with `--json`.
    pub(super) fn fail(&self, failure: &Failure) {
        if self.json {
            self.out(&document(failure));
        }
        if self.progress == Progress::Json {
            self.event(&serde_json::json!({"event": "error", "error": failure.body()}));
            return;
        }
        let mut text = format!("{} {}\n", self.err.red("error:"), indent(&clean(failure.message())));
        for cause in failure.causes() {
            text.push_str(&format!("  because {}\n", indent(&clean(cause))));
        }
        for (label, line) in [("state:", failure.state()), ("hint:", failure.advice())] {
            if let Some(line) = line {
                text.push_str(&format!("{} {}\n", self.err.bold(label), indent(&clean(line))));
            }
        }
        self.err(&text);
    }

    /// Says the last word on `exit`: a lost answer is no success.
    pub(super) fn finish(&self, exit: Exit) -> Exit {
        if exit == Exit::Done && self.lost.load(Ordering::Relaxed) {
            self.err(&format!("{} the answer could not be written to stdout\n", self.err.red("error:")));
            return Exit::World;
        }
        exit
    }

    fn out(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => self.lost.store(true, Ordering::Relaxed),
            _ => {}
        }
    }

    fn err(&self, text: &str) {
        if self.progress == Progress::Auto {
            self.bars.suspend(|| tell_stderr(text));
        } else {
            tell_stderr(text);
        }
    }
}

/// Tells help or the version, before there is a [`Ui`].
pub(super) fn tell_help(text: &str) -> Exit {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Exit::World,
        _ => Exit::Done,
    }
}

/// Writes to stderr as it is, for those without a [`Ui`]. Nobody is left to tell when this fails.
pub(super) fn tell_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// The document of a failure, before there is a [`Ui`].
pub(super) fn tell_failure_as_json(failure: &Failure) {
    let _ = tell_help(&document(failure));
}

fn document(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value)
        .unwrap_or_else(|error| serde_json::json!({"error": {"message": error.to_string()}}).to_string());
    text.push('\n');
    text
}

/// Names and messages come from outside; a terminal must not take orders from them.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || is_printable(c) { c } else { REPLACEMENT }).collect()
}

/// Lines after the first stand under it.
fn indent(text: &str) -> String {
    text.trim_end().replace('\n', "\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert_eq!(clean("a\x1b[31mb\r\n\tc\u{9b}"), "a\u{fffd}[31mb\u{fffd}\n\u{fffd}c\u{fffd}");
        assert_eq!(indent("a\nb\n"), "a\n  b");
    }
}
