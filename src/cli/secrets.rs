//! Passphrases: from `BUNDLE_PASSPHRASE`, from a line of stdin when that was asked for, else from whoever sits at the terminal.
//!
//! Never from an argument, which every user of the machine could read.

use std::io::{self, BufRead as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use age::secrecy::SecretString;
use clap::Args;
use dialoguer::Password;
use rustix::termios::{self, OptionalActions, Termios};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::ui::Ui;

/// The environment variable that holds a passphrase.
const VARIABLE: &str = "BUNDLE_PASSPHRASE";
/// Bytes of a passphrase on stdin; far beyond what anybody types.
const LINE_BYTES: u64 = 4096;

/// Where passphrases come from.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Passphrases {
    #[arg(help = "Read passphrases from stdin, one a line (else BUNDLE_PASSPHRASE, else the terminal)")]
    #[arg(long)]
    pub(super) passphrase_stdin: bool,
}

/// Where a new passphrase may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NewFrom {
    /// From wherever one is given.
    Anywhere,
    /// Not from the variable, which holds the passphrase of something else.
    NotTheVariable,
}

impl Passphrases {
    /// The passphrase of what lies at `path`; `None` when there is nobody to ask.
    pub(super) fn ask(self, ui: &Ui, path: &Path) -> Option<SecretString> {
        match self.given() {
            Ok(Some(secret)) => return Some(secret),
            Ok(None) if Ui::can_ask() => {}
            Ok(None) => return None,
            Err(error) => {
                ui.warn(&format!("no passphrase could be read from stdin: {error}"));
                return None;
            }
        }
        let prompt = format!("Passphrase of {}", super::ui::clean(&path.display().to_string()));
        prompted(Password::new().with_prompt(prompt))
    }

    /// The passphrase of something that has one.
    pub(super) fn ask_known(self, ui: &Ui, what: &str) -> Result<SecretString, Failure> {
        self.ask(ui, Path::new(what)).ok_or_else(nobody)
    }

    /// A new passphrase for `what`; asked for twice.
    pub(super) fn ask_new(self, what: &str, from: NewFrom) -> Result<SecretString, Failure> {
        let given = match from {
            NewFrom::NotTheVariable if !self.passphrase_stdin => Ok(None),
            _ => self.given(),
        };
        let given = given.map_err(|error| {
            Failure::usage("no_passphrase", format!("no passphrase could be read from stdin: {error}"))
        })?;
        if let Some(secret) = given {
            return Ok(secret);
        }
        if !Ui::can_ask() {
            return Err(nobody());
        }
        let password = Password::new()
            .with_prompt(format!("New passphrase for {}", super::ui::clean(what)))
            .with_confirmation("The same once more", "They differ; try again");
        prompted(password).ok_or_else(nobody)
    }

    /// One that needs no asking.
    fn given(self) -> io::Result<Option<SecretString>> {
        if self.passphrase_stdin {
            let mut line = Zeroizing::new(String::new());
            // A lock for each line: what follows it stays for the next.
            io::Read::take(io::stdin().lock(), LINE_BYTES).read_line(&mut line)?;
            let secret = line.trim_end_matches(['\r', '\n']);
            if secret.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no line is left"));
            }
            return Ok(Some(SecretString::from(secret.to_owned())));
        }
        let secret = std::env::var(VARIABLE).ok().filter(|secret| !secret.is_empty());
        Ok(secret.map(SecretString::from))
    }
}

fn nobody() -> Failure {
    Failure::usage("no_passphrase", "a passphrase is wanted, and nobody can be asked for one")
        .hint(format!("set {VARIABLE}, or give it on stdin with --passphrase-stdin"))
}

/// The terminal as it was before echo was taken away.
static TERMINAL: Mutex<Option<Termios>> = Mutex::new(None);

fn prompted(password: Password<'_>) -> Option<SecretString> {
    let secret = guarded(|| password.interact()).ok().filter(|secret| !secret.is_empty());
    secret.map(SecretString::from)
}

/// Puts a question such that the terminal is as it was when the program is ended in the middle of it.
pub(super) fn guarded<T>(question: impl FnOnce() -> T) -> T {
    let keep = |termios| *TERMINAL.lock().unwrap_or_else(PoisonError::into_inner) = termios;
    keep(termios::tcgetattr(io::stdin()).ok());
    let answer = question();
    keep(None);
    answer
}

/// Gives the terminal its echo back when the program ends in the middle of a question.
pub(super) fn restore_terminal() {
    let kept = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(kept) = kept {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &kept);
        // A list to choose from hides the cursor.
        super::ui::tell_stderr("\u{1b}[?25h\n");
    }
}
