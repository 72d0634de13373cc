//! Colour, or none: five of the sixteen colours that every terminal has.

/// Puts colour into text, where that is wanted.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Paint {
    on: bool,
}

impl Paint {
    /// `on`: whether there is colour at all.
    pub(in crate::cli) fn new(on: bool) -> Self {
        Self { on }
    }

    /// For what stands out.
    pub(in crate::cli) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// For what may be overlooked.
    pub(in crate::cli) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// For failures.
    pub(in crate::cli) fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// For warnings.
    pub(in crate::cli) fn yellow(self, text: &str) -> String {
        self.wrap("1;33", text)
    }

    /// For what held.
    pub(in crate::cli) fn green(self, text: &str) -> String {
        self.wrap("1;32", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
