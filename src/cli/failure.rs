//! From an error of a verb to what a tired operator reads: what happened, why, in which state things are, what to do next.
//!
//! Errors carry facts; the advice is here, and so is the choice of kind and exit code. A kind is a stable word for programs.

use std::error::Error;

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use super::exit::Exit;
use crate::text::without_secrets;

mod build;
mod chart;
mod copy;
mod diagnose;
mod export;
mod file;
mod install;
mod keys;
mod license;
mod licensed;
mod load;
mod lock;
mod model;
mod preflight;
mod registry;
mod relocate;
mod repair;
mod serve;
mod store;
mod tools;
mod upgrade;

/// What went wrong, for people and for programs.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    kind: &'static str,
    exit: Exit,
    message: String,
    causes: Vec<String>,
    state: Option<String>,
    hint: Option<String>,
}

pub(super) use install::{acted, answers, unfit_answers};

/// What to do about a fault of a registry that one thing of many met.
pub(super) fn advice_on_registry(error: &crate::registry::Error) -> Option<String> {
    registry::of(error).hint
}

impl Failure {
    fn new(kind: &'static str, exit: Exit, message: impl Into<String>) -> Self {
        Self {
            kind,
            exit,
            message: without_secrets(&message.into()),
            causes: Vec::new(),
            state: None,
            hint: None,
        }
    }

    /// A check said no.
    pub(super) fn refused(kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(kind, Exit::Refused, message)
    }

    /// The question was wrong.
    pub(super) fn usage(kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(kind, Exit::Usage, message)
    }

    /// The world failed.
    pub(super) fn world(kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(kind, Exit::World, message)
    }

    /// Someone stopped it; `state` is what it was stopped in.
    pub(super) fn interrupted(state: impl Into<String>) -> Self {
        Self::new("interrupted", Exit::Interrupted, "interrupted").or_state(&state.into())
    }

    /// What to do next.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Takes the words of `error`: its message in place of this one's, and the causes that the message does not already tell.
    fn telling(mut self, error: &(dyn Error + 'static)) -> Self {
        self.message = without_secrets(&error.to_string());
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = without_secrets(&inner.to_string());
            if !self.message.contains(&text) && !self.causes.iter().any(|told| told.contains(&text)) {
                self.causes.push(text);
            }
            cause = inner.source();
        }
        self
    }

    /// Says in which state things are, where that is worth saying: when the world failed or someone stopped it.
    pub(super) fn or_state(mut self, state: &str) -> Self {
        if matches!(self.exit, Exit::World | Exit::Interrupted) && self.state.is_none() && !state.is_empty() {
            self.state = Some(state.to_owned());
        }
        self
    }

    /// Says in which state things are, whatever the exit code.
    pub(super) fn stating(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// How the program ends.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened; may have several lines.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Why, from near to far.
    pub(super) fn causes(&self) -> &[String] {
        &self.causes
    }

    /// In which state things are.
    pub(super) fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// What to do next.
    pub(super) fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// A failure as programs read it.
#[derive(Debug, serde::Serialize)]
pub(super) struct Body<'a> {
    kind: &'a str,
    message: &'a str,
    causes: &'a [String],
    state: Option<&'a str>,
    hint: Option<&'a str>,
    exit_code: u8,
}

impl Failure {
    /// As programs read it.
    pub(super) fn body(&self) -> Body<'_> {
        Body {
            kind: self.kind,
            message: &self.message,
            causes: &self.causes,
            state: self.state.as_deref(),
            hint: self.hint.as_deref(),
            exit_code: self.exit.number(),
        }
    }
}

impl Serialize for Failure {
    /// `{"error": {kind, message, causes, state, hint, exit_code}}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Failure", 1)?;
        document.serialize_field("error", &self.body())?;
        document.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer: {source}")]
    struct Told {
        source: std::io::Error,
    }

    #[test]
    fn a_cause_that_the_message_tells_is_not_told_again() {
        let error = Told { source: std::io::Error::other("inner") };
        let failure = Failure::world("x", "").telling(&error);
        assert_eq!((failure.message(), failure.causes().len()), ("outer: inner", 0));
    }

    #[test]
    fn state_is_for_work_that_was_cut_short() {
        assert_eq!(Failure::usage("x", "y").or_state("s").state(), None);
        assert_eq!(Failure::world("x", "y").or_state("s").state(), Some("s"));
        let document = serde_json::to_value(Failure::interrupted("s")).unwrap_or_default();
        assert_eq!(document["error"]["exit_code"], 4);
        assert_eq!(document["error"]["state"], "s");
    }
}
