//! Programs of others, run with nothing of the machine's environment but what is given.
//!
//! The only place that starts a process. A program's words are passed on as facts; what they mean is for whoever asked.

pub mod credential;
pub mod helm;
pub mod kubectl;
mod process;

use std::path::{Path, PathBuf};

pub use process::{Ended, ProcessError, Run};

use crate::sys::environment;

/// Where the program `name` is: at `named` alone when that is given, else first on the search path, else at `carried`.
fn located(name: &str, named: Option<&Path>, carried: Option<&Path>) -> Option<PathBuf> {
    let found = match named {
        Some(path) => Some(path.to_owned()),
        None => {
            // An entry that is not absolute, an empty one among them, means the folder one happens to be in: that may be the medium.
            let path = environment::path("PATH").unwrap_or_default();
            let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
            let first = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
            first.or_else(|| carried.map(Path::to_owned))
        }
    };
    // Programs may run in a folder of their own, where a relative path would lead elsewhere.
    std::path::absolute(found?).ok().filter(|path| path.is_file())
}

/// What a program said on its way out, without the prefix and the lines that only its authors need.
fn words(ended: &Ended) -> String {
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    let said = said.trim();
    let said = said.strip_prefix("Error: ").unwrap_or(said);
    let said: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.contains("--debug flag") && !is_log(line))
        .collect();
    let said = said.join("\n  ");
    if said.is_empty() {
        return match ended.code {
            Some(code) => format!("it ended with exit code {code} and said nothing"),
            None => "it was ended by a signal".to_owned(),
        };
    }
    said.chars()
        .take(4000)
        .map(|c| if c == '\n' || crate::text::is_printable(c) { c } else { crate::text::REPLACEMENT })
        .collect()
}

/// Whether a line is of the log that Kubernetes' programs write between their words: `E1125 03:01:58.6   1 memcache.go:265] …`.
fn is_log(line: &str) -> bool {
    let head = line.as_bytes();
    matches!(head.first(), Some(b'E' | b'W' | b'I'))
        && head.get(1..5).is_some_and(|day| day.iter().all(u8::is_ascii_digit))
        && line.contains(".go:")
}
